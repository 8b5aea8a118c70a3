/**
 * Where first hops come from: the guards, or any relay where guards are not used.
 *
 * @module
 */
import type { Clock, Random } from '../shared/runtime/types.js';
import type { Options } from '../shared/torrc/options.js';
import type { GuardManager, GuardTicket } from './guards.js';
import type { Network } from './network.js';
import { chooseUnguardedFirst, type GuardChooser, type PathRules } from './path.js';

/** What choosing needs. */
export interface FirstHopParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly options: Options;
  readonly rules: PathRules;
  readonly guards: GuardManager;
}

/** Guards; with UseEntryGuards 0, or in a network that has none yet, a weighted choice for each circuit. */
export function firstHops(parts: FirstHopParts, network: Network): GuardChooser<GuardTicket | undefined> {
  const { guards, options, rules, random, clock } = parts;
  if (options.UseEntryGuards && guards.any)
    return {
      choose: (obeys) => {
        const chosen = guards.choose('traffic', obeys, clock.now());
        return chosen && { relay: chosen.relay, guard: chosen.ticket };
      },
      release: (ticket) => ticket && guards.release(ticket),
    };
  return {
    choose: (obeys) => {
      const relay = chooseUnguardedFirst(network, rules, random, obeys);
      return relay && { relay, guard: undefined };
    },
    release() {},
  };
}
