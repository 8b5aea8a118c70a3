/**
 * The votes of one round and of the one before (C tor `dirvote_add_vote`, `dirvote_get_vote`).
 *
 * @module
 */
import { DecodeError } from '../shared/bytes/errors.js';
import { splitDocuments } from '../shared/netdoc/split.js';
import type { RelayId, Vote } from '../shared/netdoc/types.js';
import { parseVote, verifyVote } from '../shared/netdoc/vote.js';
import type { VotingSchedule } from './schedule.js';

/** An HTTP status and reason phrase. */
export interface Receipt {
  readonly status: number;
  readonly reason: string;
}

/** How a vote came. A posted one is refused when it comes so late that others may not have it. */
export type Delivery = 'own' | 'posted' | 'fetched';

/** What a ballot box needs to know. */
export interface BallotRules {
  /** v3idents of the configured authorities. */
  readonly authorities: ReadonlySet<RelayId>;
  /** `TestingTorNetwork`: shorter intervals are allowed. */
  readonly testing: boolean;
}

const OK: Receipt = { status: 200, reason: 'ok' };
const refused = (reason: string): Receipt => ({ status: 400, reason });

const SECOND = 1000;
/** Least voting interval, milliseconds, and delays, seconds, that C tor's parser takes. */
const MIN_INTERVAL = 300 * SECOND;
const MIN_INTERVAL_TESTING = 10 * SECOND;
const MIN_DELAY = 2;

const when = (ms: number): string => new Date(ms).toISOString().slice(0, 19).replace('T', ' ');

/**
 * What C tor would refuse a vote for, beyond what parser and signature check find. An authority that took such a vote
 * would compute another consensus than the rest.
 */
export function voteFault(vote: Vote, { authorities, testing }: BallotRules): string | undefined {
  if (!authorities.has(vote.authority.identity)) return 'Vote not from a recognized v3 authority';
  const least = testing ? MIN_INTERVAL_TESTING : MIN_INTERVAL;
  if (vote.freshUntil - vote.validAfter < least) return 'Freshness interval is too short';
  if (vote.validUntil - vote.validAfter < 2 * least) return 'Liveness interval is too short';
  if (vote.votingDelay.vote < MIN_DELAY || vote.votingDelay.dist < MIN_DELAY)
    return 'Voting delay is too short';
  return undefined;
}

/** Votes by authority, pending and previous. */
export class BallotBox {
  private readonly rules: BallotRules;
  private pending = new Map<RelayId, Vote>();
  private previous = new Map<RelayId, Vote>();

  constructor(rules: BallotRules) {
    this.rules = rules;
  }

  /** The votes of this round. */
  votes(): Vote[] {
    return [...this.pending.values()];
  }

  has(authority: RelayId): boolean {
    return this.pending.has(authority);
  }

  /** A vote by its authority, of this round or the one before. */
  byAuthority(authority: RelayId, round: 'pending' | 'previous'): Vote | undefined {
    return this[round].get(authority);
  }

  /** A vote by its digest (upper-case hex), of either round. */
  byDigest(digest: string): Vote | undefined {
    return [...this.pending.values(), ...this.previous.values()].find((vote) => vote.digest === digest);
  }

  /** This round is over: its votes become the previous ones. */
  close(): void {
    this.previous = this.pending;
    this.pending = new Map();
  }

  /**
   * Takes the votes of a text (a fetched one may hold several). `taken` is called for each that is new. The receipt
   * is the worst of all.
   */
  add(
    text: string,
    delivery: Delivery,
    schedule: VotingSchedule,
    now: number,
    taken: (vote: Vote) => void,
  ): Receipt {
    const texts = splitDocuments(text, ['network-status-version'], 'network-status-version');
    if (texts.length === 0) return refused('Unable to parse vote');
    let worst = OK;
    for (const each of texts) {
      const receipt = this.addOne(each, delivery, schedule, now, taken);
      if (receipt.status > worst.status) worst = receipt;
    }
    return worst;
  }

  private addOne(
    text: string,
    delivery: Delivery,
    schedule: VotingSchedule,
    now: number,
    taken: (vote: Vote) => void,
  ): Receipt {
    let vote: Vote;
    try {
      vote = parseVote(text);
      verifyVote(vote);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      return refused(`Unable to parse vote: ${error.message}`);
    }
    const fault = voteFault(vote, this.rules);
    if (fault !== undefined) return refused(fault);
    if (vote.validAfter !== schedule.validAfter)
      return refused(`Bad valid-after time ${when(vote.validAfter)}, expected ${when(schedule.validAfter)}`);
    if (delivery === 'posted' && now > schedule.fetchVotesAt)
      return refused('Posted vote received too late, would be dangerous to count it');
    const old = this.pending.get(vote.authority.identity);
    if (old?.digest === vote.digest) return OK;
    if (old && old.published! >= vote.published!) return refused('Already have a newer pending vote');
    this.pending.set(vote.authority.identity, vote);
    taken(vote);
    return OK;
  }
}
