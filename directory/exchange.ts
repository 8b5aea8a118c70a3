/**
 * The hour of an authority: vote, gather votes, compute, gather signatures, publish (dir-spec 3.4; C tor
 * `dirvote_act`). Does no I/O and owns no timer: `act` is called when `nextAt` has come and returns what to send;
 * what others send comes in by `addVotes` and `addSignatures`.
 *
 * @module
 */
import { DecodeError } from '../shared/bytes/errors.js';
import type { RsaKey } from '../shared/crypto/rsa.js';
import type { Log } from '../shared/log/types.js';
import { parseConsensus } from '../shared/netdoc/consensus.js';
import { encodeDetachedSignatures, parseDetachedSignatures } from '../shared/netdoc/detached.js';
import type { Consensus, DetachedSignatures, RelayId, Vote } from '../shared/netdoc/types.js';
import type { NodeEvent } from '../shared/runtime/env.js';
import { BallotBox, type BallotRules, type Delivery, type Receipt } from './ballot-box.js';
import { type FindCertificate, PendingConsensus } from './pending.js';
import {
  type ScheduleOptions,
  type TimedConsensus,
  type VotingSchedule,
  votingSchedule,
} from './schedule.js';
import { type TallyInput, tally } from './tally.js';

/** What the exchange wants done. "Others" are the other configured authorities. */
export type ExchangeAction =
  /** Send a vote to the others. */
  | { readonly type: 'post-vote'; readonly body: string }
  /** Ask each of the others for the votes of these authorities. */
  | { readonly type: 'fetch-votes'; readonly authorities: readonly RelayId[] }
  /** Send detached signatures to the others. */
  | { readonly type: 'post-signatures'; readonly body: string }
  /** Ask each of the others for its detached signatures. */
  | { readonly type: 'fetch-signatures' }
  /** Serve these from now on; sufficiently signed. */
  | { readonly type: 'publish'; readonly consensuses: readonly Consensus[] };

/** What the exchange asks of the authority around it. */
export interface ExchangeHost {
  readonly log: Log;
  readonly options: ScheduleOptions;
  readonly rules: BallotRules;
  /** v3ident. */
  readonly identity: RelayId;
  readonly signingKey: RsaKey;
  /** Names of authorities, for logs. */
  nameOf(authority: RelayId): string;
  /** Our vote as text, or undefined with the reason logged. */
  makeVote(schedule: VotingSchedule, now: number): string | undefined;
  /** A vote was taken: its certificate and commitments are worth looking at. */
  tookVote(vote: Vote): void;
  certificate: FindCertificate;
  /** The newest consensus that is published. */
  consensus(): TimedConsensus | undefined;
  sharedRandomness(): TallyInput['sharedRandomness'];
  /** Whether a consensus has enough good signatures. */
  isSigned(consensus: Consensus, now: number): boolean;
  report(event: NodeEvent): void;
}

const FLAVORS = ['ns', 'microdesc'] as const;
type Flavor = (typeof FLAVORS)[number];

/** Detached signatures that came before our own consensus, at most. */
const MAX_QUEUED = 64;

type Step = 'vote' | 'fetch votes' | 'compute' | 'fetch signatures' | 'publish';
const STEPS: readonly Step[] = ['vote', 'fetch votes', 'compute', 'fetch signatures', 'publish'];

/** When each step is due. */
const dueAt = (step: Step, schedule: VotingSchedule): number => {
  switch (step) {
    case 'vote':
      return schedule.voteAt;
    case 'fetch votes':
      return schedule.fetchVotesAt;
    case 'compute':
      return schedule.computeAt;
    case 'fetch signatures':
      return schedule.fetchSignaturesAt;
    case 'publish':
      return schedule.validAfter;
    default:
      return step satisfies never;
  }
};

/** One authority's exchange. */
export class Exchange {
  private readonly host: ExchangeHost;
  private readonly ballots: BallotBox;
  private current: VotingSchedule;
  /** Index into STEPS of what is to be done next. */
  private step = 0;
  private pending = new Map<Flavor, PendingConsensus>();
  private queued: { readonly offered: DetachedSignatures; readonly from: string }[] = [];

  constructor(host: ExchangeHost, now: number) {
    this.host = host;
    this.ballots = new BallotBox(host.rules);
    this.current = this.scheduleAt(now);
  }

  /** The round under way. */
  get schedule(): VotingSchedule {
    return this.current;
  }

  /** When `act` wants to be called; never while a round is over and the next one not begun. */
  get nextAt(): number {
    const step = STEPS[this.step];
    return step === undefined ? Number.POSITIVE_INFINITY : dueAt(step, this.current);
  }

  /** Does every step that is due. */
  act(now: number): ExchangeAction[] {
    const actions: ExchangeAction[] = [];
    while (this.nextAt <= now) {
      const step = STEPS[this.step]!;
      this.step++;
      actions.push(...this.perform(step, now));
    }
    return actions;
  }

  // What others ask for

  /** A vote of this round (`next`) or the one before (`current`), by authority; ours without one. */
  voteOf(authority: RelayId | undefined, when: 'current' | 'next'): Vote | undefined {
    return this.ballots.byAuthority(
      authority ?? this.host.identity,
      when === 'next' ? 'pending' : 'previous',
    );
  }

  /** A vote by its digest, of either round. */
  voteByDigest(digest: string): Vote | undefined {
    return this.ballots.byDigest(digest);
  }

  /** The consensus in the making, with the signatures there are. */
  pendingConsensus(flavor: Flavor): string | undefined {
    return this.pending.get(flavor)?.text();
  }

  /** The detached signatures of the consensus in the making. */
  pendingSignatures(): string | undefined {
    const ns = this.pending.get('ns');
    if (!ns) return undefined;
    const { validAfter, freshUntil, validUntil } = ns.document;
    const all = [...this.pending.values()];
    return encodeDetachedSignatures({
      validAfter,
      freshUntil,
      validUntil,
      digests: new Map(all.map((pending) => [pending.flavor, pending.digest])),
      signatures: new Map(all.map((pending) => [pending.flavor, pending.allSignatures()])),
    });
  }

  // What others send

  /** Takes one vote or several. `from` names the sender for the log. */
  addVotes(text: string, delivery: Delivery, from: string, now: number): Receipt {
    const { log } = this.host;
    const receipt = this.ballots.add(text, delivery, this.current, now, (vote) => {
      log.info(`Took the vote of ${this.host.nameOf(vote.authority.identity)}`, { delivery, from });
      this.host.tookVote(vote);
    });
    if (receipt.status >= 400) log.warn(`Refused a vote from ${from}: ${receipt.reason}`, { delivery });
    return receipt;
  }

  /** Takes detached signatures; kept for later when our own consensus is not there yet. */
  addSignatures(text: string, from: string): Receipt {
    let offered: DetachedSignatures;
    try {
      offered = parseDetachedSignatures(text);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      return { status: 400, reason: `Couldn't parse detached signatures: ${error.message}` };
    }
    if (this.pending.size > 0) return this.addParsedSignatures(offered, from);
    if (this.queued.length >= MAX_QUEUED) return { status: 503, reason: 'Too many signatures are waiting' };
    this.queued.push({ offered, from });
    return { status: 200, reason: 'Signature queued' };
  }

  private addParsedSignatures(offered: DetachedSignatures, from: string): Receipt {
    const { log, nameOf } = this.host;
    let fresh = 0;
    const refusals: string[] = [];
    for (const pending of this.pending.values()) {
      const result = pending.add(offered, this.host.certificate);
      if ('refused' in result) {
        refusals.push(result.refused);
        continue;
      }
      fresh += result.added.length;
      if (result.bad.length > 0) {
        const names = result.bad.map(nameOf).join(', ');
        log.warn(`Bad signature of ${names} on the ${pending.flavor} consensus`, { from });
      }
    }
    if (refusals.length > 0) {
      log.warn(
        `Cannot use signatures from ${from}: ${refusals.join('; ')}. Its consensus differs from ours.`,
      );
      if (fresh === 0) return { status: 400, reason: refusals[0]! };
    }
    return { status: 200, reason: fresh > 0 ? 'Signatures added' : 'Signatures ignored' };
  }

  // The steps

  private perform(step: Step, now: number): ExchangeAction[] {
    switch (step) {
      case 'vote':
        return this.vote(now);
      case 'fetch votes':
        return this.fetchVotes();
      case 'compute':
        return this.compute();
      case 'fetch signatures':
        return this.fetchSignatures();
      case 'publish':
        try {
          return this.publish(now);
        } finally {
          this.closeRound();
        }
      default:
        return step satisfies never;
    }
  }

  private event(
    step: 'vote' | 'votes-fetched' | 'computed' | 'signed' | 'published' | 'failed',
    detail?: string,
  ): void {
    const event = { type: 'voting', step, validAfter: this.current.validAfter } as const;
    this.host.report(detail === undefined ? event : { ...event, detail });
  }

  private vote(now: number): ExchangeAction[] {
    this.host.log.notice('Time to vote.');
    const body = this.host.makeVote(this.current, now);
    if (body === undefined) return [];
    const receipt = this.addVotes(body, 'own', 'ourselves', now);
    if (receipt.status !== 200) return [];
    this.event('vote');
    return [{ type: 'post-vote', body }];
  }

  private fetchVotes(): ExchangeAction[] {
    const missing = [...this.host.rules.authorities].filter((authority) => !this.ballots.has(authority));
    if (missing.length === 0) return [];
    const names = missing.map((authority) => this.host.nameOf(authority)).join(', ');
    this.host.log.notice(`Votes of ${missing.length} authorities are missing (${names}); asking the others.`);
    return [{ type: 'fetch-votes', authorities: missing }];
  }

  private compute(): ExchangeAction[] {
    const { host } = this;
    const votes = this.ballots.votes();
    const authorities = host.rules.authorities.size;
    const needed = Math.floor(authorities / 2) + 1;
    this.event('votes-fetched', `${votes.length} of ${authorities}`);
    if (votes.length < needed)
      return this.fail(
        `Not enough votes for a consensus: ${votes.length} of ${authorities} authorities, ${needed} are needed.`,
      );
    if (!votes.some((vote) => vote.knownFlags.includes('Running')))
      return this.fail('Nobody has voted on the Running flag: a consensus would list no relays.');

    const result = tally({ votes, authorities, sharedRandomness: host.sharedRandomness() });
    if (!result.methodKnown)
      host.log.warn(
        'The votes call for a consensus method that this version does not know: our consensus will differ from the others. Upgrade!',
      );
    for (const flavor of FLAVORS) {
      const pending = new PendingConsensus(result[flavor]);
      pending.sign(host.identity, host.signingKey);
      this.pending.set(flavor, pending);
    }
    this.event('computed', `method ${result.method}, ${result.ns.routers.length} relays`);
    host.log.notice(
      `Computed the consensus from ${votes.length} of ${authorities} votes: ${result.ns.routers.length} relays.`,
    );
    const { queued } = this;
    this.queued = [];
    for (const { offered, from } of queued) this.addParsedSignatures(offered, from);
    return [{ type: 'post-signatures', body: this.pendingSignatures()! }];
  }

  private fail(reason: string): ExchangeAction[] {
    this.host.log.warn(reason);
    this.event('failed', reason);
    return [];
  }

  private fetchSignatures(): ExchangeAction[] {
    const { authorities } = this.host.rules;
    const incomplete = [...this.pending.values()].some(
      (pending) => pending.signers().length < authorities.size,
    );
    return incomplete ? [{ type: 'fetch-signatures' }] : [];
  }

  private publish(now: number): ExchangeAction[] {
    const actions: ExchangeAction[] = [];
    const consensuses: Consensus[] = [];
    for (const pending of this.pending.values()) {
      const consensus = parseConsensus(pending.text());
      const signers = pending.signers().length;
      const of = `${signers} of ${this.host.rules.authorities.size} authorities`;
      if (this.host.isSigned(consensus, now)) {
        consensuses.push(consensus);
        if (pending.flavor === 'ns') this.event('signed', of);
      } else {
        this.fail(`The ${pending.flavor} consensus is signed by ${of} only and cannot be published.`);
      }
    }
    if (consensuses.length > 0) {
      actions.push({ type: 'publish', consensuses });
      this.event('published', `${consensuses[0]!.routers.length} relays`);
      this.host.log.notice(`Published the consensus of ${new Date(this.current.validAfter).toISOString()}.`);
    } else {
      this.tellWithoutConsensus(now);
    }
    return actions;
  }

  private closeRound(): void {
    this.ballots.close();
    this.pending = new Map();
    this.queued = [];
  }

  /** What serves on when a round fails. */
  private tellWithoutConsensus(now: number): void {
    const old = this.host.consensus();
    const until = old && new Date(old.validUntil).toISOString();
    if (old && old.validUntil > now)
      this.host.log.warn(`There is no new consensus this time; the last one is served until ${until}.`);
    else this.host.log.warn('There is no consensus that is still valid.');
  }

  /** Begins the next round. The caller does so after acting on `publish`, so that the new consensus sets the pace. */
  startRound(now: number): void {
    this.current = this.scheduleAt(now);
    this.step = 0;
  }

  /**
   * Takes up the pace of a consensus that came from elsewhere. False when the round stays as it is; a round of the
   * same valid-after goes on, so that nobody votes twice.
   */
  follow(now: number): boolean {
    const next = this.scheduleAt(now);
    if (next.validAfter === this.current.validAfter) return false;
    this.closeRound();
    this.current = next;
    this.step = 0;
    return true;
  }

  /** Whether the round is over and `startRound` is due. */
  get roundOver(): boolean {
    return this.step >= STEPS.length;
  }

  private scheduleAt(now: number): VotingSchedule {
    return votingSchedule(now, this.host.options, this.host.consensus());
  }
}
