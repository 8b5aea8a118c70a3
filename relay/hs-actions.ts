/**
 * What became of the messages to a relay's onion-service roles, counted by C tor's names (relay_metrics.h).
 *
 * @module
 */
import { ProtocolError } from '../shared/bytes/errors.js';

/** Outcomes by message. Those C tor has no name for on a message count as malformed. */
const OUTCOMES = {
  estIntro: ['success', 'malformed', 'unsuitable_circuit', 'circuit_dead'],
  estRend: ['success', 'unsuitable_circuit', 'single_hop', 'malformed', 'duplicate_cookie', 'circuit_dead'],
  intro1: [
    'success',
    'circuit_dead',
    'malformed',
    'unknown_service',
    'rate_limited',
    'circuit_reused',
    'single_hop',
  ],
  rend1: ['success', 'unsuitable_circuit', 'malformed', 'unknown_cookie', 'circuit_dead'],
} as const;

/** ESTABLISH_INTRO, ESTABLISH_RENDEZVOUS, INTRODUCE1, RENDEZVOUS1. */
export type HsMessage = keyof typeof OUTCOMES;
export type HsOutcome = (typeof OUTCOMES)[HsMessage][number];

/** How often each outcome was, by message. */
export type HsActions = Readonly<Record<HsMessage, Readonly<Record<string, number>>>>;

/** A message that costs its sender the circuit, and what it counts as. */
export class HsRefusal extends ProtocolError {
  readonly outcome: HsOutcome;
  constructor(outcome: HsOutcome, message: string) {
    super(message);
    this.outcome = outcome;
  }
}

/** Counts. */
export class HsCounts {
  readonly actions: Record<HsMessage, Record<string, number>>;

  constructor() {
    const zeros = (names: readonly string[]) => Object.fromEntries(names.map((name) => [name, 0]));
    this.actions = {
      estIntro: zeros(OUTCOMES.estIntro),
      estRend: zeros(OUTCOMES.estRend),
      intro1: zeros(OUTCOMES.intro1),
      rend1: zeros(OUTCOMES.rend1),
    };
  }

  count(message: HsMessage, outcome: HsOutcome): void {
    const counts = this.actions[message];
    const name = outcome in counts ? outcome : 'malformed';
    counts[name] = (counts[name] ?? 0) + 1;
  }
}
