/**
 * An authority, put together and running: a relay whose directory server also votes.
 *
 * @module
 */
import { basename, dirname, isAbsolute } from 'node:path';
import { Authorities } from '../relay/authorities.js';
import { fetchDocuments } from '../relay/dir-documents.js';
import { type RelayNode, startRelay } from '../relay/node.js';
import { linkSource } from '../relay/ports.js';
import { toHex } from '../shared/bytes/text.js';
import { loadOrCreateRelayKeys, type RelayKeys } from '../shared/crypto/relay-keys.js';
import { DirCache } from '../shared/dir/cache.js';
import { createDirServer } from '../shared/dir/server.js';
import { isReasonablyLive } from '../shared/dir/verify.js';
import { parseMicrodescriptor } from '../shared/netdoc/microdesc.js';
import type { AuthorityEntry, Consensus, RelayId, Vote } from '../shared/netdoc/types.js';
import type { Env, NodeEvent } from '../shared/runtime/env.js';
import type { Timer } from '../shared/runtime/types.js';
import { diskStore } from '../shared/store/disk.js';
import type { Options } from '../shared/torrc/options.js';
import { type BandwidthFile, parseBandwidthFile } from './bandwidth-file.js';
import { Exchange, type ExchangeAction } from './exchange.js';
import { Gathering } from './gathering.js';
import { Keeper } from './keeper.js';
import { KeyPins } from './key-pinning.js';
import { AuthorityKeyError, type AuthorityKeys, expiryWarning, loadAuthorityKeys } from './keys.js';
import { Opinions } from './opinion.js';
import { Peers } from './peers.js';
import { Prober } from './prober.js';
import { RelayRules } from './relay-rules.js';
import { Roster, type UploadResult } from './roster.js';
import { RouterHistory } from './router-history.js';
import { SharedRandom } from './shared-random.js';
import { authoritySource } from './source.js';
import {
  loadHistory,
  loadPins,
  loadSharedRandom,
  readApprovedRouters,
  type SavedHistory,
  saveHistory,
  savePins,
  saveSharedRandom,
} from './state.js';

const MINUTE = 60_000;
/** Milliseconds for one exchange with another authority. */
const PEER_TIMEOUT = MINUTE;
const PEER_TIMEOUT_TESTING = 5_000;
/** Changes are gathered for so long before they are saved. */
const SAVE_DELAY = 15_000;
const SAVE_DELAY_TESTING = 1_000;
/** Histories are saved, discounted, and the certificate is looked at this often. */
const HOUSEKEEPING = 30 * MINUTE;
/** Downtime that having moved counts as, before there is a consensus to tell (C tor `rep_hist_note_router_reachable`). */
const MOVE_PENALTY = 60 * MINUTE;
const MOVE_PENALTY_TESTING = 4 * MINUTE;

type Kept = 'documents' | 'consensus' | 'pinned keys' | 'shared randomness' | 'router history';

/** How an authority is, for readiness, logs and metrics. */
export interface AuthorityStatus {
  readonly v3ident: RelayId;
  /** valid-after of the consensus served, and how long it may be. */
  readonly consensus: { readonly validAfter: number; readonly validUntil: number } | undefined;
  /** valid-after of the round under way. */
  readonly nextConsensus: number;
  /** Relays with a current descriptor. */
  readonly relays: number;
}

/** A running authority. */
export interface AuthorityNode {
  /** Its relay. */
  readonly relay: RelayNode;
  /** SHA-1 of the authority identity key. */
  readonly v3ident: RelayId;
  readonly cache: DirCache;
  status(): AuthorityStatus;
  stop(graceful: boolean): Promise<void>;
}

/**
 * Starts an authority. Rejects with AuthorityKeyError when its keys are missing or no DirAuthority line names it, and
 * like `startRelay`.
 */
export async function startAuthority(options: Options, env: Env): Promise<AuthorityNode> {
  const log = env.log.child('authority');
  const keys = await loadAuthorityKeys(env.store, env.clock.now());
  const relayKeys = await loadOrCreateRelayKeys(env.store, env);
  checkListed(options, keys, relayKeys);
  const authority = new Authority(options, { ...env, log }, keys, relayKeys);
  await authority.load();
  await authority.start(env);
  return authority;
}

/** An authority that the configuration does not know would vote alone. */
function checkListed(options: Options, { certificate }: AuthorityKeys, { rsaId }: RelayKeys): void {
  const { identity } = certificate;
  const line = options.DirAuthority.find(({ v3Ident }) => v3Ident === identity);
  if (!line)
    throw new AuthorityKeyError(
      `No DirAuthority line has v3ident=${identity}, the identity of this authority. Add one for it, the same at every node.`,
    );
  const fingerprint = toHex(rsaId);
  if (line.fingerprint !== fingerprint)
    throw new AuthorityKeyError(
      `The DirAuthority line of ${line.nickname} has the fingerprint ${line.fingerprint}, but this relay's is ${fingerprint}.`,
    );
}

class Authority implements AuthorityNode {
  readonly v3ident: RelayId;
  readonly cache = new DirCache();
  private node: RelayNode | undefined;
  private readonly options: Options;
  private readonly env: Env;
  private readonly keys: AuthorityKeys;
  private readonly relayKeys: RelayKeys;
  private readonly fingerprint: RelayId;
  private readonly authorities: ReadonlySet<RelayId>;
  private readonly started: number;
  private readonly pins = new KeyPins();
  private readonly rules: RelayRules;
  private readonly peers: Peers;
  private readonly peerAuthorities: Authorities;
  private readonly keeper: Keeper<Kept>;
  private readonly gathering: Gathering;
  private history!: RouterHistory;
  private roster!: Roster;
  private prober!: Prober;
  private opinions!: Opinions;
  private sharedRandom!: SharedRandom;
  private exchange!: Exchange;
  private bandwidth: { readonly bytes: Uint8Array; readonly file: BandwidthFile } | undefined;
  private readonly timers: Partial<Record<'voting' | 'housekeeping' | 'certificate', Timer>> = {};
  private working: Promise<void> = Promise.resolve();
  private stopping: Promise<void> | undefined;

  constructor(options: Options, env: Env, keys: AuthorityKeys, relayKeys: RelayKeys) {
    this.options = options;
    this.env = env;
    this.keys = keys;
    this.relayKeys = relayKeys;
    this.v3ident = keys.certificate.identity;
    this.fingerprint = toHex(relayKeys.rsaId);
    this.started = env.clock.monotonic();
    const idents = options.DirAuthority.map(({ v3Ident }) => v3Ident);
    this.authorities = new Set(idents.filter((ident) => ident !== undefined));
    this.rules = new RelayRules(options);
    const testing = options.TestingTorNetwork;
    const { cache, fingerprint: self } = this;
    this.peerAuthorities = new Authorities(options.DirAuthority, {
      ...env,
      localHost: linkSource(options),
      timeout: testing ? PEER_TIMEOUT_TESTING : PEER_TIMEOUT,
    });
    this.peers = new Peers({ ...env, authorities: this.peerAuthorities, self, cache });
    this.keeper = new Keeper<Kept>(
      env,
      {
        documents: () => cache.saveDocuments(env.store),
        consensus: () => cache.saveConsensus(env.store),
        'pinned keys': () => savePins(env.store, this.pins),
        'shared randomness': () => saveSharedRandom(env.store, this.sharedRandom.snapshot()),
        'router history': () => saveHistory(env.store, this.savedHistory()),
      },
      testing ? SAVE_DELAY_TESTING : SAVE_DELAY,
    );
    this.gathering = new Gathering({
      ...env,
      cache,
      peers: this.peers,
      testingNetwork: testing,
      take: (text) => void this.upload(text),
      gotConsensus: (consensus) => this.gotConsensus(consensus),
      fetchMicrodescriptors: () => this.fetchMicrodescriptors(),
    });
  }

  get relay(): RelayNode {
    return this.node!;
  }

  // Beginning

  /** Takes up what was kept. */
  async load(): Promise<void> {
    const { env, options, cache, pins } = this;
    const now = env.clock.now();
    await cache.load(
      env.store,
      env.log,
      (consensus) => this.peers.verify(consensus, now).ok && isReasonablyLive(consensus, now),
    );
    cache.certificates.add(this.keys.certificate);
    await loadPins(env.store, pins, env.log);
    const approved = await readApprovedRouters(env.store);
    for (const line of this.rules.loadApprovedRouters(approved ?? ''))
      env.log.warn(`approved-routers: ignoring a line that names no relay: ${line}`);

    const saved = await loadHistory(env.store, env.log);
    this.history = new RouterHistory(saved?.history, now);
    this.roster = this.makeRoster();
    this.roster.restore(saved?.reached ?? []);
    this.prober = this.makeProber();
    this.opinions = new Opinions({
      options,
      roster: this.roster,
      history: this.history,
      rules: this.rules,
      ...this.keys,
    });

    const interval = this.sharedRandomInterval();
    const { v3ident: identity, authorities } = this;
    const kept = await loadSharedRandom(env.store, env.log);
    this.sharedRandom = new SharedRandom({ identity, authorities, random: env.random }, now, interval, kept);
    this.exchange = this.makeExchange(now);
    this.sharedRandom.prepare(this.exchange.schedule.validAfter, interval);
  }

  private makeRoster(): Roster {
    const { options, cache, history, pins, rules, fingerprint } = this;
    return new Roster({
      cache,
      history,
      log: this.env.log,
      admission: {
        rules,
        pins,
        enforcePins: options.AuthDirPinKeys,
        allowPrivate: options.DirAllowPrivateAddresses,
      },
      running: { testing: options.AuthDirTestReachability, own: fingerprint },
      authorities: new Set(options.DirAuthority.map((line) => line.fingerprint)),
      testNow: (descriptor) => this.prober.testNow(descriptor),
      pinned: () => this.keeper.soon('pinned keys'),
    });
  }

  private makeProber(): Prober {
    const { env, roster, options, fingerprint: own } = this;
    return new Prober({
      ...env,
      roster,
      own,
      testingNetwork: options.TestingTorNetwork,
      channels: () => this.relay.channels,
      movePenalty: () => {
        const consensus = this.cache.consensus('ns');
        if (!consensus) return options.TestingTorNetwork ? MOVE_PENALTY_TESTING : MOVE_PENALTY;
        const { validAfter, freshUntil, validUntil } = consensus;
        return (freshUntil - validAfter + validUntil - validAfter) / 2;
      },
    });
  }

  private makeExchange(now: number): Exchange {
    const { env, options, v3ident, authorities, cache } = this;
    const names = new Map(options.DirAuthority.map((line) => [line.v3Ident, line.nickname]));
    return new Exchange(
      {
        log: env.log,
        options,
        rules: { authorities, testing: options.TestingTorNetwork },
        identity: v3ident,
        signingKey: this.keys.signingKey,
        nameOf: (authority) => names.get(authority) ?? authority,
        makeVote: (schedule, at) => this.makeVote(schedule.validAfter, at),
        tookVote: (vote) => this.tookVote(vote),
        certificate: (identity, key) => cache.certificates.get(identity, key),
        consensus: () => cache.consensus('ns'),
        sharedRandomness: () => ({
          participate: options.AuthDirSharedRandomness,
          fresh: this.sharedRandom.fresh,
        }),
        isSigned: (consensus, at) => this.peers.verify(consensus, at).ok,
        report: (event) => env.report?.(event),
      },
      now,
    );
  }

  /** Opens the ports and begins to test and to vote. */
  async start(env: Env): Promise<void> {
    const { cache, fingerprint: relay, v3ident } = this;
    const source = authoritySource({
      cache,
      clock: env.clock,
      relay,
      v3ident,
      exchange: () => this.exchange,
      bandwidthFile: () => this.bandwidth?.bytes,
      upload: (text) => this.upload(text),
    });
    const dirServer = createDirServer(source, this.env);
    const report = (event: NodeEvent) =>
      env.report?.(event.type === 'identity' ? { ...event, v3ident } : event);
    this.node = await startRelay(
      this.options,
      { ...env, report },
      { dirServer, keys: this.relayKeys, cache },
    );
    this.env.log.notice(
      `Authority ${this.options.Nickname} of ${this.authorities.size}; the next consensus is that of ${new Date(this.exchange.schedule.validAfter).toISOString()}.`,
    );
    const held = cache.consensus('ns');
    if (held) this.reportConsensus(held);
    this.prober.start();
    this.gathering.followConsensus();
    this.scheduleVoting();
    this.keepHouse();
    this.watchCertificate();
  }

  // Documents

  private upload(text: string): UploadResult {
    const result = this.roster.upload(text, this.env.clock.now());
    if (result.changed) this.keeper.soon('documents');
    return result;
  }

  private async fetchMicrodescriptors(): Promise<void> {
    const { env, cache, fingerprint: self, peerAuthorities: authorities } = this;
    if (this.peers.others.length === 0) return;
    const complete = await fetchDocuments({ ...env, cache, authorities, self, isCache: false }).catch(
      (error: Error) => {
        env.log.info(`Cannot fetch microdescriptors: ${error.message}`);
        return false;
      },
    );
    if (complete) this.keeper.soon('documents');
  }

  /** Another authority had a newer consensus than we. */
  private gotConsensus(consensus: Consensus): void {
    this.keeper.soon('consensus');
    if (consensus.flavor !== 'ns') return;
    this.reportConsensus(consensus);
    const now = this.env.clock.now();
    if (!this.exchange.follow(now)) return;
    const { validAfter } = this.exchange.schedule;
    this.sharedRandom.published(consensus, validAfter, this.sharedRandomInterval());
    this.scheduleVoting();
  }

  private reportConsensus({ validAfter, validUntil, routers }: Consensus): void {
    this.env.report?.({ type: 'consensus', validAfter, validUntil, relays: routers.length });
  }

  // Voting

  private scheduleVoting(): void {
    const { clock } = this.env;
    this.timers.voting?.cancel();
    if (this.stopping) return;
    const wait = Math.max(0, this.exchange.nextAt - clock.now());
    this.timers.voting = clock.setTimer(wait, () => {
      this.working = clock.hold(
        this.votingStep().catch((error: unknown) => {
          this.env.log.error('A step of the vote failed; this is a bug', { error });
        }),
      );
      void this.working.then(() => this.scheduleVoting());
    });
  }

  private async votingStep(): Promise<void> {
    const { clock } = this.env;
    if (clock.now() >= this.exchange.schedule.voteAt) await this.readBandwidthFile();
    for (const action of this.exchange.act(clock.now())) this.perform(action);
    if (this.exchange.roundOver) {
      this.exchange.startRound(clock.now());
      const { validAfter } = this.exchange.schedule;
      this.sharedRandom.published(this.cache.consensus('ns'), validAfter, this.sharedRandomInterval());
      this.gathering.followConsensus();
    }
    await this.keeper.now('shared randomness');
  }

  private perform(action: ExchangeAction): void {
    const { peers, exchange } = this;
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
    this.keeper.soon('consensus', 'documents', 'router history');
    void this.fetchMicrodescriptors();
  }

  /** How this authority appears in its vote: by its own descriptor. */
  private entry(): AuthorityEntry | undefined {
    const own = this.cache.descriptorOf(this.fingerprint);
    if (!own) return undefined;
    const { options, v3ident: identity } = this;
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
    if (this.keys.certificate.expires <= now) {
      log.error('Cannot vote: the certificate of this authority has expired.');
      return undefined;
    }
    if (!authority) {
      log.warn('Cannot vote: our own address is not known. Set Address.');
      return undefined;
    }
    const { text, microdescriptors } = this.opinions.form({
      now,
      validAfter,
      authority,
      ownUptime: clock.monotonic() - this.started,
      consensus: this.cache.consensus('ns'),
      bandwidthFile: this.bandwidth?.file,
      sharedRandom: this.sharedRandom.vote(),
    });
    for (const each of microdescriptors) this.cache.addMicrodesc(parseMicrodescriptor(each), now);
    return text;
  }

  private tookVote(vote: Vote): void {
    const { identity } = vote.authority;
    if (this.cache.certificates.add(vote.certificate)) this.keeper.soon('consensus');
    const verdicts = this.sharedRandom.receive(identity, vote.sharedRandCommits);
    const odd = verdicts.filter((verdict) =>
      ['malformed', 'changed', 'wrong reveal', 'reveals early'].includes(verdict),
    );
    if (odd.length > 0)
      this.env.log.warn(`Shared randomness: ${vote.authority.nickname}'s commitment is ${odd.join(', ')}`);
    if (identity !== this.v3ident) void this.gathering.descriptorsOf(vote);
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
    const file = parseBandwidthFile(bytes ?? new Uint8Array(0), env.clock.now());
    if (bytes) for (const problem of file.problems) env.log.warn(`V3BandwidthsFile ${name}: ${problem}`);
    this.bandwidth = { bytes: bytes ?? new Uint8Array(0), file };
  }

  /** Of what length rounds are, for the phases of shared randomness (C tor `get_voting_interval`). */
  private sharedRandomInterval(): number {
    const consensus = this.cache.consensus('ns');
    if (consensus && isReasonablyLive(consensus, this.env.clock.now()))
      return consensus.freshUntil - consensus.validAfter;
    return this.options.V3AuthVotingInterval;
  }

  // Keeping house

  private savedHistory(): SavedHistory {
    return { history: this.history.snapshot(this.env.clock.now()), reached: this.roster.reached() };
  }

  private keepHouse(): void {
    this.timers.housekeeping = this.env.clock.setTimer(HOUSEKEEPING, () => {
      this.history.downrate(this.env.clock.now());
      this.keeper.soon('router history');
      this.keepHouse();
    });
  }

  private watchCertificate(): void {
    const { clock, log } = this.env;
    const warning = expiryWarning(this.keys.certificate.expires, clock.now());
    if (warning) log[warning.level](warning.message);
    this.timers.certificate = clock.setTimer(warning?.repeatAfter ?? 24 * 60 * MINUTE, () =>
      this.watchCertificate(),
    );
  }

  status(): AuthorityStatus {
    const held = this.cache.consensus('ns');
    return {
      v3ident: this.v3ident,
      consensus: held && { validAfter: held.validAfter, validUntil: held.validUntil },
      nextConsensus: this.exchange.schedule.validAfter,
      relays: [...this.roster.descriptors(this.env.clock.now())].length,
    };
  }

  stop(graceful: boolean): Promise<void> {
    this.stopping ??= this.shutDown(graceful);
    return this.stopping;
  }

  private async shutDown(graceful: boolean): Promise<void> {
    for (const timer of Object.values(this.timers)) timer.cancel();
    this.prober.stop();
    this.gathering.stop();
    await this.relay.stop(graceful);
    await this.working;
    await this.keeper.now('documents', 'consensus', 'pinned keys', 'shared randomness', 'router history');
  }
}
