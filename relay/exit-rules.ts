/**
 * What the configuration says about exiting.
 *
 * @module
 */
import { effectiveExitPolicy } from '../shared/netdoc/exit-policy.js';
import type { ExitPolicy } from '../shared/netdoc/policy.js';
import type { Options } from '../shared/torrc/options.js';
import type { ExitRules } from './exit.js';
import type { Network } from './network.js';
import { bindAddresses } from './ports.js';
import type { SelfAddress } from './self.js';

/** A relay is no exit unless it was told to be one, by `ExitRelay 1` or by a policy. */
export const isExitWanted = (options: Options): boolean =>
  options.ExitRelay === 'auto'
    ? options.ExitPolicy.length > 0 || options.ReducedExitPolicy || options.IPv6Exit
    : options.ExitRelay;

/** The rules; the policy follows the relay's own addresses, which it refuses to connect to. */
export function exitRulesOf(options: Options, address: SelfAddress, network: Network): ExitRules {
  const bind = bindAddresses(options, 'OutboundBindAddressExit');
  const bound = [bind, bindAddresses(options, 'OutboundBindAddressOR')].flatMap((hosts) =>
    Object.values(hosts),
  );
  let made: readonly unknown[] = [];
  let policy: ExitPolicy | undefined;
  const current = (): ExitPolicy => {
    const ownAddresses = address.all.map(({ host }) => host);
    const exit = isExitWanted(options);
    // Asked for each stream. A value that is read anew comes in the place of the old one, which stays as it is.
    const { ExitPolicy, ReducedExitPolicy, IPv6Exit, ExitPolicyRejectPrivate } = options;
    const from = [exit, ExitPolicy, ReducedExitPolicy, IPv6Exit, ExitPolicyRejectPrivate, ...ownAddresses];
    if (policy && from.length === made.length && from.every((part, i) => part === made[i])) return policy;
    made = from;
    policy = effectiveExitPolicy({
      lines: ExitPolicy,
      exit,
      reduced: ReducedExitPolicy,
      ipv6: IPv6Exit,
      rejectPrivate: ExitPolicyRejectPrivate,
      ownAddresses: [...ownAddresses, ...bound],
    });
    return policy;
  };
  return {
    // As C tor: what refuses everything is no exit, whatever it was told (`router_my_exit_policy_is_reject_star`).
    get isExit() {
      const policy = current();
      return !policy.rejectsAll(4) || !policy.rejectsAll(6);
    },
    get ipv6() {
      return options.IPv6Exit;
    },
    get anyName() {
      return options.ServerDNSAllowNonRFC953Hostnames;
    },
    bind,
    get policy() {
      return current();
    },
    refuseUnknown: () =>
      options.RefuseUnknownExits === 'auto'
        ? network.param('refuseunknownexits', 1, 0, 1) === 1
        : options.RefuseUnknownExits,
  };
}
