/**
 * Paths of onion-service circuits [route_len_for_purpose]: to a relay that we chose, guard and vanguard and that relay;
 * to one that somebody else may have chosen, a middle relay more.
 *
 * @module
 */
import { toHex } from '../../shared/bytes/text.js';
import { addressesOf, type LinkSpecifier, relayNamed } from '../../shared/cell/link-specifiers.js';
import type { HopTarget } from '../../shared/circuit/hop.js';
import { parseProtocols } from '../../shared/netdoc/protover.js';
import type { Random } from '../../shared/runtime/types.js';
import { isInternal } from '../internal-address.js';
import { hopOf, type Network, type Relay } from '../network.js';
import { mayUse, type PathRules } from '../path.js';
import type { Vanguards } from './vanguards.js';

/** What a circuit is for. */
export type HsPurpose =
  /** The client's rendezvous point: chosen by us. */
  | 'client-rendezvous'
  | 'client-introduction'
  | 'client-directory'
  | 'service-introduction'
  | 'service-rendezvous'
  | 'service-directory';

/** The end of a circuit: a relay of the consensus, or one that a descriptor or a client named. */
export interface HsTarget {
  readonly hop: HopTarget;
  /** Upper-case hex of its RSA identity. */
  readonly id: string;
}

const NO_PROTOCOLS = parseProtocols('');

/** A relay of the consensus as target. */
export const targetOf = (relay: Relay): HsTarget => ({ hop: hopOf(relay), id: relay.id });

/**
 * A relay named by link specifiers, or why it cannot be: without an IPv4 address and an RSA identity nobody extends to
 * it [hs_get_extend_info_from_lspecs]. Throws DecodeError when it names two.
 */
export function namedTarget(
  specifiers: readonly LinkSpecifier[],
  onionKey: Uint8Array,
  allowPrivate: boolean,
): HsTarget | { readonly refused: string } {
  const name = relayNamed(specifiers);
  if (!name.ipv4 || name.ipv4.port === 0) return { refused: 'no IPv4 address' };
  if (!name.rsaId) return { refused: 'no RSA identity' };
  if (!allowPrivate && isInternal(name.ipv4.host)) return { refused: 'a private address' };
  const hop = {
    addresses: addressesOf(name),
    rsaId: name.rsaId,
    ...(name.ed25519Id && { ed25519Id: name.ed25519Id }),
    ntorKey: Uint8Array.from(onionKey),
    protocols: NO_PROTOCOLS,
  };
  return { hop, id: toHex(name.rsaId) };
}

/** Whether the relay was not chosen by us alone, so that a hop more keeps our vanguards from it. */
const extraHop = (purpose: HsPurpose): boolean => purpose !== 'client-rendezvous';

/** The hops between guard and target; undefined when too few relays are known. */
export function middleHops(
  network: Network,
  rules: PathRules,
  random: Random,
  vanguards: Vanguards,
  now: number,
  purpose: HsPurpose,
  ends: { readonly guard: string; readonly target: string },
): Relay[] | undefined {
  const second = vanguards.choose(network, now, new Set([ends.guard, ends.target]));
  if (!second) return undefined;
  if (!extraHop(purpose)) return [second];
  const third = network
    .weighted('middle')
    .choose(
      random,
      (relay) =>
        mayUse(relay, 'middle', rules) &&
        (rules.middle.empty || rules.middle.has(relay.status)) &&
        relay.status.flags.has('Fast') &&
        ![ends.guard, ends.target, second.id].includes(relay.id),
    );
  return third && [second, third];
}

/** A relay of our own choice at the end of a path: Fast and Stable, not among those to avoid. */
export function chooseEnd(
  network: Network,
  rules: PathRules,
  random: Random,
  place: 'introduction' | 'rendezvous',
  suits: (relay: Relay) => boolean,
): Relay | undefined {
  const list = network.weighted('middle');
  const fits = (relay: Relay) => mayUse(relay, place, rules) && suits(relay);
  const steady = ({ status: { flags } }: Relay) => flags.has('Fast') && flags.has('Stable');
  return list.choose(random, (relay) => steady(relay) && fits(relay)) ?? list.choose(random, fits);
}
