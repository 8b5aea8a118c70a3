/**
 * An authority's part in the voting: runs the exchange at its times, forms votes, carries what is to be sent, publishes.
 *
 * @module
 */
import { basename, dirname, isAbsolute } from 'node:path';
import { fetchDocuments } from '../relay/dir-documents.js';
import type { DirCache } from '../shared/dir/cache.js';
import { isReasonablyLive } from '../shared/dir/verify.js';
import { parseMicrodescriptor } from '../shared/netdoc/microdesc.js';
import type { AuthorityEntry, Consensus, RelayId, Vote } from '../shared/netdoc/types.js';
import type { Env } from '../shared/runtime/env.js';
import type { Timer } from '../shared/runtime/types.js';
import { diskStore } from '../shared/store/disk.js';
import type { Options } from '../shared/torrc/options.js';
import { type BandwidthFile, Measurements, parseBandwidthFile } from './bandwidth-file.js';
import { Exchange, type ExchangeAction } from './exchange.js';
import type { AuthorityKeys } from './keys.js';
import type { Opinions } from './opinion.js';
import type { Peers } from './peers.js';
import type { CommitVerdict } from './shared-random.js';
import { SharedRandom, type SharedRandomSnapshot } from './shared-random.js';

/** What voting needs. */
export interface VotingConfig {
  readonly env: Env;
  readonly options: Options;
  readonly keys: AuthorityKeys;
  /** Fingerprint of our relay. */
  readonly fingerprint: RelayId;
  /** v3idents of all authorities. */
  readonly authorities: ReadonlySet<RelayId>;
  readonly cache: DirCache;
  readonly peers: Peers;
  readonly opinions: Opinions;
  /** A vote of another authority came. */
  sawVote(vote: Vote): void;
  /** Consensuses and certificates changed, or documents with them. */
  changed(what: 'consensus' | 'everything'): void;
  /** A round is over; saves what it changed. */
  roundOver(): void;
  save(): Promise<void>;
}

/** Verdicts on commitments that a sound authority never earns. */
const ODD: ReadonlySet<CommitVerdict> = new Set(['malformed', 'changed', 'wrong reveal', 'reveals early']);

/** The voting. */
export class Voting {
  readonly exchange: Exchange;
  private readonly config: VotingConfig;
  private readonly env: Env;
  private readonly options: Options;
  private readonly cache: DirCache;
  private readonly started: number;
  private readonly kept: SharedRandomSnapshot | undefined;
  private sharedRandom: SharedRandom;
  private hasVoted = false;
  private bandwidth: { readonly bytes: Uint8Array; readonly file: BandwidthFile } | undefined;
  private readonly measurements = new Measurements();
  private timer: Timer | undefined;
  private working: Promise<void> = Promise.resolve();
  private stopped = false;

  constructor(config: VotingConfig, kept: SharedRandomSnapshot | undefined) {
    this.config = config;
    const { env, options } = config;
    this.env = env;
    this.kept = kept;
    this.options = options;
    this.cache = config.cache;
    this.started = env.clock.monotonic();
    const now = env.clock.now();
    this.sharedRandom = this.makeSharedRandom(now);
    this.exchange = this.makeExchange(now);
    this.sharedRandom.prepare(this.exchange.schedule.validAfter, this.interval());
  }

  private makeSharedRandom(now: number): SharedRandom {
    const { env, keys, authorities } = this.config;
    const { identity } = keys.certificate;
    return new SharedRandom({ identity, authorities, random: env.random }, now, this.interval(), this.kept);
  }

  start(): void {
    this.schedule();
  }

  /** Stops; a step under way is finished. */
  stop(): Promise<void> {
    this.stopped = true;
    this.timer?.cancel();
    return this.working;
  }

  /** What is kept of shared randomness. */
  snapshot(): SharedRandomSnapshot {
    return this.sharedRandom.snapshot();
  }

  /** The bandwidth file as it was used for the last vote. */
  bandwidthFile(): Uint8Array | undefined {
    return this.bandwidth?.bytes;
  }

  /** Takes up the pace and the shared random values of a consensus that came from another authority. */
  follow(consensus: Consensus): void {
    const moved = this.exchange.follow(this.env.clock.now());
    // In a round that goes on, too: what we vote in it is what the others have agreed on (`sr_act_post_consensus`).
    this.sharedRandom.published(consensus, this.exchange.schedule.validAfter, this.interval());
    if (moved) this.schedule();
  }

  /** Takes up other times, after the options changed. */
  reschedule(): void {
    const now = this.env.clock.now();
    if (!this.exchange.follow(now)) return;
    const { validAfter } = this.exchange.schedule;
    this.env.log.notice(
      `The voting times changed; the next consensus is that of ${new Date(validAfter).toISOString()}.`,
    );
    // What was prepared for a first round that never was may be for later than the one that comes.
    if (!this.hasVoted) this.sharedRandom = this.makeSharedRandom(now);
    this.sharedRandom.prepare(validAfter, this.interval());
    this.schedule();
  }

  // The rounds

  private makeExchange(now: number): Exchange {
    const { env, options, cache, config } = this;
    const { authorities, keys, peers } = config;
    const names = new Map(options.DirAuthority.map((line) => [line.v3Ident, line.nickname]));
    return new Exchange(
      {
        log: env.log,
        options,
        rules: { authorities, testing: options.TestingTorNetwork },
        identity: keys.certificate.identity,
        signingKey: keys.signingKey,
        nameOf: (authority) => names.get(authority) ?? authority,
        makeVote: (schedule, at) => this.makeVote(schedule.validAfter, at),
        tookVote: (vote) => this.tookVote(vote),
        certificate: (identity, key) => cache.certificates.get(identity, key),
        consensus: () => cache.consensus('ns'),
        sharedRandomness: () => ({
          participate: options.AuthDirSharedRandomness,
          fresh: this.sharedRandom.fresh,
        }),
        isSigned: (consensus, at) => peers.verify(consensus, at).ok,
        report: (event) => env.report?.(event),
      },
      now,
    );
  }

  private schedule(): void {
    const { clock } = this.env;
    this.timer?.cancel();
    if (this.stopped) return;
    const wait = Math.max(0, this.exchange.nextAt - clock.now());
    this.timer = clock.setTimer(wait, () => {
      this.working = clock.hold(
        this.runStep().catch((error: unknown) => {
          this.env.log.error('A step of the vote failed; this is a bug', { error });
        }),
      );
      void this.working.then(() => this.schedule());
    });
  }

  private async runStep(): Promise<void> {
    const { clock } = this.env;
    // Timers come up to a millisecond early: the time that asks for no file must not be past the vote a moment later.
    let now = clock.now();
    if (now >= this.exchange.schedule.voteAt) {
      await this.readBandwidthFile();
      now = clock.now();
    }
    try {
      for (const action of this.exchange.act(now)) this.perform(action);
    } finally {
      // Whatever the last step came to: a round that is over has no step that anybody would wait for.
      if (this.exchange.roundOver) this.nextRound(clock.now());
    }
    await this.config.save();
  }

  private nextRound(now: number): void {
    this.exchange.startRound(now);
    const { validAfter } = this.exchange.schedule;
    this.sharedRandom.published(this.cache.consensus('ns'), validAfter, this.interval());
    this.config.roundOver();
  }

  private perform(action: ExchangeAction): void {
    const { exchange } = this;
    const { peers } = this.config;
    const { clock } = this.env;
    switch (action.type) {
      case 'post-vote':
        void peers.post('/tor/post/vote', action.body, 'vote');
        return;
      case 'post-signatures':
        void peers.post('/tor/post/consensus-signature', action.body, 'signature');
        return;
      case 'fetch-votes':
        void peers.getFromAll(
          `/tor/status-vote/next/${action.authorities.join('+')}`,
          'votes',
          (text, from) => exchange.addVotes(text, 'fetched', from, clock.now()),
        );
        return;
      case 'fetch-signatures':
        void peers.getFromAll('/tor/status-vote/next/consensus-signatures', 'signatures', (text, from) =>
          exchange.addSignatures(text, from),
        );
        return;
      case 'publish':
        this.publish(action.consensuses);
        return;
      default:
        action satisfies never;
    }
  }

  private publish(consensuses: readonly Consensus[]): void {
    for (const consensus of consensuses) {
      this.cache.setConsensus(consensus);
      if (consensus.flavor === 'ns') this.reportConsensus(consensus);
    }
    this.cache.prune(this.env.clock.now());
    this.config.changed('everything');
    void this.fetchMicrodescriptors();
  }

  /** How this authority appears in its vote: by its own descriptor. */
  private entry(): AuthorityEntry | undefined {
    const own = this.cache.descriptorOf(this.config.fingerprint);
    if (!own) return undefined;
    const { options } = this;
    const { identity } = this.config.keys.certificate;
    const { address, dirPort, orPort } = own;
    const contact = options.ContactInfo ?? '(none)';
    return {
      nickname: options.Nickname,
      identity,
      hostname: address,
      address,
      dirPort,
      orPort,
      contact,
      voteDigest: undefined,
    };
  }

  private makeVote(validAfter: number, now: number): string | undefined {
    const { log, clock } = this.env;
    const authority = this.entry();
    if (this.config.keys.certificate.expires <= now) {
      log.error('Cannot vote: the certificate of this authority has expired.');
      return undefined;
    }
    if (!authority) {
      log.warn('Cannot vote: our own address is not known. Set Address.');
      return undefined;
    }
    this.hasVoted = true;
    const { text, microdescriptors } = this.config.opinions.form({
      now,
      validAfter,
      authority,
      ownUptime: clock.monotonic() - this.started,
      consensus: this.cache.consensus('ns'),
      bandwidthFile: this.bandwidth?.file,
      measurements: this.measurements,
      sharedRandom: this.sharedRandom.vote(),
    });
    for (const [digest, each] of microdescriptors)
      if (!this.cache.microdesc(digest)) this.cache.addMicrodesc(parseMicrodescriptor(each), now);
    return text;
  }

  private tookVote(vote: Vote): void {
    const { identity } = vote.authority;
    if (this.cache.certificates.add(vote.certificate)) this.config.changed('consensus');
    const verdicts = this.sharedRandom.receive(identity, vote.sharedRandCommits);
    const odd = verdicts.filter((verdict) => ODD.has(verdict));
    if (odd.length > 0)
      this.env.log.warn(`Shared randomness: ${vote.authority.nickname}'s commitment is ${odd.join(', ')}`);
    if (identity !== this.config.keys.certificate.identity) this.config.sawVote(vote);
  }

  private async readBandwidthFile(): Promise<void> {
    const { env } = this;
    const name = this.options.V3BandwidthsFile;
    if (name === undefined) return;
    const store = isAbsolute(name) ? diskStore(dirname(name)) : env.store;
    const bytes = await store.read(isAbsolute(name) ? basename(name) : name).catch((error: Error) => {
      env.log.warn(`Cannot read V3BandwidthsFile ${name}: ${error.message}`);
      return undefined;
    });
    if (!bytes) env.log.warn(`V3BandwidthsFile ${name} is not there; voting without measurements.`);
    const now = env.clock.now();
    const file = parseBandwidthFile(bytes ?? new Uint8Array(0), now);
    this.measurements.take(file, now);
    if (bytes) for (const problem of file.problems) env.log.warn(`V3BandwidthsFile ${name}: ${problem}`);
    this.bandwidth = { bytes: bytes ?? new Uint8Array(0), file };
  }

  /** Of what length rounds are, for the phases of shared randomness (C tor `get_voting_interval`). */
  private interval(): number {
    const consensus = this.cache.consensus('ns');
    if (consensus && isReasonablyLive(consensus, this.env.clock.now()))
      return consensus.freshUntil - consensus.validAfter;
    return this.options.V3AuthVotingInterval;
  }

  /** Fetches the microdescriptors of the consensus that our own vote did not make. */
  async fetchMicrodescriptors(): Promise<void> {
    const { env, cache, config } = this;
    const { peers, fingerprint: self } = config;
    const { authorities, others } = peers;
    if (others.length === 0) return;
    const complete = await fetchDocuments({ ...env, cache, authorities, self, isCache: false }).catch(
      (error: Error) => {
        env.log.info(`Cannot fetch microdescriptors: ${error.message}`);
        return false;
      },
    );
    if (complete) config.changed('everything');
  }

  /** Tells whoever started us of a consensus. */
  reportConsensus({ validAfter, validUntil, routers }: Consensus): void {
    this.env.report?.({ type: 'consensus', validAfter, validUntil, relays: routers.length });
  }
}
