/**
 * Vanguards-lite (prop333): second hops of onion-service circuits come from a few relays that stay for days, so that
 * whoever makes us build circuits without end does not soon own the hop next to our guard.
 *
 * @module
 */
import type { Random } from '../../shared/runtime/types.js';
import type { Network, Relay } from '../network.js';
import { mayUse, type PathRules } from '../path.js';

const DAY_SECONDS = 86_400;
/** A vanguard that could not be reached is passed over for so long, where another of the set can be had, milliseconds. */
const FAILED_FOR = 60_000;

interface Vanguard {
  readonly id: string;
  /** Wall clock, milliseconds. */
  readonly until: number;
}

/** What a vanguard must be, where there are enough such relays [maintain_layer2_guards]. */
const isSteady = ({ status: { flags } }: Relay) => flags.has('Fast') && flags.has('Stable');

/** The relays second hops are chosen from. They are not written down: a new process has new ones, as C tor. */
export class Vanguards {
  private readonly random: Random;
  private readonly rules: PathRules;
  private vanguards: Vanguard[] = [];
  /** Until when (wall clock). */
  private readonly failing = new Map<string, number>();

  constructor(random: Random, rules: PathRules) {
    this.random = random;
    this.rules = rules;
  }

  /** One of them that is not excluded; undefined when there is none. */
  choose(network: Network, now: number, excluded: ReadonlySet<string>): Relay | undefined {
    this.maintain(network, now);
    const fit = this.vanguards
      .map(({ id }) => network.get(id))
      .filter((relay): relay is Relay => relay !== undefined && !excluded.has(relay.id))
      .filter((relay) => mayUse(relay, 'middle', this.rules));
    // The set stays as it is: who can make relays fail must not move us to others.
    const working = fit.filter(({ id }) => (this.failing.get(id) ?? 0) <= now);
    const choice = working.length > 0 ? working : fit;
    return choice[this.random.below(choice.length)];
  }

  /** A circuit did not come past our guard: its vanguard may be down. */
  failed(id: string, now: number): void {
    for (const [known, until] of this.failing) if (until <= now) this.failing.delete(known);
    this.failing.set(id, now + FAILED_FOR);
  }

  /** Drops those whose time is over, that are gone or that are not steady any more, and fills up. */
  private maintain(network: Network, now: number): void {
    this.vanguards = this.vanguards.filter(({ id, until }) => {
      const relay = network.get(id);
      // One that cannot be used until its microdescriptor is fetched again keeps its place.
      return until > now && relay?.status.flags.has('Running') && !this.rules.exclude.has(relay.status);
    });
    const wanted = network.param('guard-hs-l2-number', 4, 1, 19);
    const add = (suits: (relay: Relay) => boolean) => {
      const chosen = this.another(network, suits);
      if (chosen) this.vanguards.push({ id: chosen.id, until: now + this.lifetime(network) });
      return chosen !== undefined;
    };
    // In a network of few steady relays the others keep their places.
    for (const vanguard of this.vanguards.filter(({ id }) => !isSteady(network.get(id)!))) {
      if (!add(isSteady)) break;
      this.vanguards.splice(this.vanguards.indexOf(vanguard), 1);
    }
    while (this.vanguards.length < wanted && (add(isSteady) || add(() => true)));
  }

  private another(network: Network, suits: (relay: Relay) => boolean): Relay | undefined {
    const known = new Set(this.vanguards.map(({ id }) => id));
    return network
      .weighted('middle')
      .choose(
        this.random,
        (relay) => suits(relay) && !known.has(relay.id) && mayUse(relay, 'middle', this.rules),
      );
  }

  /** The longer of two draws: most stay long, none can be told the day of its end. */
  private lifetime(network: Network): number {
    const min = network.param('guard-hs-l2-lifetime-min', DAY_SECONDS, 1);
    const max = Math.max(min, network.param('guard-hs-l2-lifetime-max', 12 * DAY_SECONDS, 1));
    const draw = () => min + this.random.fraction() * (max - min);
    return 1000 * Math.max(draw(), draw());
  }
}
