/**
 * One authority's part in shared randomness: a run of 24 voting rounds, 12 in which everybody commits to a number and
 * 12 in which everybody reveals it; at the end of a run the new value is made (srv-spec 2-4; C tor
 * `shared_random_state.c`).
 *
 * @module
 */
import type { Consensus, RelayId, SharedRandomCommit, SharedRandomValue } from '../shared/netdoc/types.js';
import type { Random } from '../shared/runtime/types.js';
import { compareText } from './order.js';
import { computeSharedRandom, isWellFormed, makeCommit, revealMatches } from './shared-random-values.js';

/** Rounds in each of the two phases. */
export const ROUNDS_PER_PHASE = 12;
const ROUNDS_PER_RUN = 2 * ROUNDS_PER_PHASE;

/** Which half of a run a round belongs to. */
export type SharedRandomPhase = 'commit' | 'reveal';

/** The phase of the round with this valid-after, voting every `interval` milliseconds. */
export const phaseAt = (validAfter: number, interval: number): SharedRandomPhase =>
  Math.floor(validAfter / interval) % ROUNDS_PER_RUN < ROUNDS_PER_PHASE ? 'commit' : 'reveal';

/** When the run that contains `now` ends. */
export const endOfRun = (now: number, interval: number): number =>
  (Math.floor(now / interval / ROUNDS_PER_RUN) + 1) * ROUNDS_PER_RUN * interval;

/** What is kept across restarts. */
export interface SharedRandomSnapshot {
  readonly validAfter: number;
  readonly validUntil: number;
  readonly commits: readonly SharedRandomCommit[];
  readonly previous: SharedRandomValue | undefined;
  readonly current: SharedRandomValue | undefined;
}

/** What an authority's vote says about shared randomness. */
export interface SharedRandomVote {
  readonly commits: readonly SharedRandomCommit[];
  readonly previous: SharedRandomValue | undefined;
  readonly current: SharedRandomValue | undefined;
}

/** Who this authority is and whose commitments count. */
export interface SharedRandomConfig {
  readonly identity: RelayId;
  readonly authorities: ReadonlySet<RelayId>;
  readonly random: Random;
}

/** What came of a commitment in somebody's vote; the rest is why it was left aside. */
export type CommitVerdict =
  | 'kept'
  | 'revealed'
  | 'malformed'
  | 'not its own'
  | 'unknown authority'
  | 'known'
  | 'reveals early'
  | 'never committed'
  | 'changed'
  | 'no reveal'
  | 'wrong reveal';

/** The state machine. It owns no timer: `prepare` is called when a round is over. */
export class SharedRandom {
  private readonly config: SharedRandomConfig;
  private phase: SharedRandomPhase;
  private validAfter = 0;
  private validUntil: number;
  private commits = new Map<RelayId, SharedRandomCommit>();
  private previous: SharedRandomValue | undefined;
  private current: SharedRandomValue | undefined;
  /** Whether `current` was made by this authority and has not been in a consensus yet. */
  private newValue = false;

  /** Begins without history in the round that `now` lies in, or from what was kept if its run is not over. */
  constructor(config: SharedRandomConfig, now: number, interval: number, kept?: SharedRandomSnapshot) {
    this.config = config;
    if (kept && kept.validUntil >= now && kept.validAfter < kept.validUntil) {
      this.phase = phaseAt(kept.validAfter, interval);
      this.validAfter = kept.validAfter;
      this.validUntil = kept.validUntil;
      this.commits = new Map(kept.commits.map((commit) => [commit.identity, commit]));
      this.previous = kept.previous;
      this.current = kept.current;
    } else {
      this.phase = phaseAt(now, interval);
      this.validUntil = endOfRun(now, interval);
    }
  }

  /** Whether a value was just made that needs the larger majority. */
  get fresh(): boolean {
    return this.newValue;
  }

  snapshot(): SharedRandomSnapshot {
    return {
      validAfter: this.validAfter,
      validUntil: this.validUntil,
      commits: [...this.commits.values()],
      previous: this.previous,
      current: this.current,
    };
  }

  /** Gets ready to vote for the round with this valid-after; a second call for the same round does nothing. */
  prepare(validAfter: number, interval: number): void {
    if (validAfter <= this.validAfter) return;
    const next = phaseAt(validAfter, interval);
    if (next !== this.phase) {
      if (next === 'commit') this.startRun(validAfter, interval);
      this.phase = next;
    } else if (next === 'commit' && this.commits.size === 0) {
      // Started in the middle of a commit phase.
      this.commit(validAfter);
    }
    this.validAfter = validAfter;
  }

  /** Takes the values of the consensus that was just published, since the majority decides, and prepares the next round. */
  published(
    consensus: Pick<Consensus, 'sharedRandPrevious' | 'sharedRandCurrent'> | undefined,
    nextValidAfter: number,
    interval: number,
  ): void {
    if (consensus) {
      this.previous = consensus.sharedRandPrevious;
      this.current = consensus.sharedRandCurrent;
      this.newValue = false;
    }
    this.prepare(nextValidAfter, interval);
  }

  /** Looks at the commitments in the vote of `voter`. */
  receive(voter: RelayId, commits: readonly SharedRandomCommit[]): CommitVerdict[] {
    return commits.map((commit) => this.consider(voter, commit));
  }

  /** What to vote: reveals only in the reveal phase. */
  vote(): SharedRandomVote {
    const sorted = [...this.commits.values()].sort((a, b) => compareText(a.identity, b.identity));
    return {
      commits: this.phase === 'reveal' ? sorted : sorted.map((commit) => ({ ...commit, reveal: undefined })),
      previous: this.previous,
      current: this.current,
    };
  }

  private startRun(validAfter: number, interval: number): void {
    // Only after a reveal phase; `prepare` calls this on the change of phase alone, so that is always so.
    this.previous = this.current;
    const known = [...this.commits.values()].filter((c) => this.config.authorities.has(c.identity));
    this.current = computeSharedRandom(known, this.previous);
    this.newValue = true;
    this.commits.clear();
    this.validUntil = endOfRun(validAfter, interval);
    this.commit(validAfter);
  }

  private commit(start: number): void {
    const { identity, random } = this.config;
    this.commits.set(identity, makeCommit(random, start, identity));
  }

  private consider(voter: RelayId, commit: SharedRandomCommit): CommitVerdict {
    if (!isWellFormed(commit)) return 'malformed';
    if (commit.identity !== voter) return 'not its own';
    if (!this.config.authorities.has(voter)) return 'unknown authority';
    const saved = this.commits.get(voter);
    if (this.phase === 'commit') {
      if (saved) return saved.commit === commit.commit ? 'known' : 'changed';
      if (commit.reveal !== undefined) return 'reveals early';
      this.commits.set(voter, commit);
      return 'kept';
    }
    if (!saved) return 'never committed';
    if (saved.commit !== commit.commit) return 'changed';
    if (saved.reveal !== undefined) return 'known';
    if (commit.reveal === undefined) return 'no reveal';
    if (!revealMatches(commit)) return 'wrong reveal';
    this.commits.set(voter, commit);
    return 'revealed';
  }
}
