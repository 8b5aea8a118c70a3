/**
 * An authority, put together and running: a relay whose directory server also votes.
 *
 * @module
 */
import { Authorities } from '../relay/authorities.js';
import { keyOptionsOf } from '../relay/key-options.js';
import { type RelayNode, startRelay } from '../relay/node.js';
import { linkSource } from '../relay/ports.js';
import { toHex } from '../shared/bytes/text.js';
import { loadOrCreateRelayKeys, type RelayKeyOptions, type RelayKeys } from '../shared/crypto/relay-keys.js';
import { DirCache } from '../shared/dir/cache.js';
import { FrontPage } from '../shared/dir/front-page.js';
import { createDirServer } from '../shared/dir/server.js';
import { isReasonablyLive } from '../shared/dir/verify.js';
import type { Consensus, RelayId } from '../shared/netdoc/types.js';
import type { Env, NodeEvent } from '../shared/runtime/env.js';
import type { Timer } from '../shared/runtime/types.js';
import type { Options } from '../shared/torrc/options.js';
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
import { Voting } from './voting.js';

const MINUTE = 60_000;
/** Milliseconds for one exchange with another authority. */
const PEER_TIMEOUT = MINUTE;
const PEER_TIMEOUT_TESTING = 5_000;
/** Changes are gathered for so long before they are saved. */
const SAVE_DELAY = 15_000;
const SAVE_DELAY_TESTING = 1_000;
/** Histories are saved, discounted, and the certificate is looked at this often. */
const HOUSEKEEPING = 30 * MINUTE;
/** In a testing network somebody may wait for relays to be seen; changes within so long are told at once. */
const RELAYS_NEWS_TESTING = 20;
/** Downtime that having moved counts as, before there is a consensus to tell (C tor `rep_hist_note_router_reachable`). */
const MOVE_PENALTY = 60 * MINUTE;
const MOVE_PENALTY_TESTING = 4 * MINUTE;

const ALL = ['documents', 'consensus', 'pinned keys', 'router history', 'shared randomness'] as const;
type Kept = (typeof ALL)[number];

/** Options on which the times of votes depend, taken over at SIGHUP (C tor `options_transition_affects_dirauth_timing`). */
const TIMING = [
  'V3AuthVotingInterval',
  'V3AuthVoteDelay',
  'V3AuthDistDelay',
  'TestingV3AuthInitialVotingInterval',
  'TestingV3AuthInitialVoteDelay',
  'TestingV3AuthInitialDistDelay',
  'TestingV3AuthVotingStartOffset',
] as const;

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
  /**
   * Takes over what its relay can change while running, the times of votes, and `approved-routers`; the names of all
   * options it takes over.
   */
  reload(options: Options): readonly string[];
  stop(graceful: boolean): Promise<void>;
}

/**
 * Starts an authority. Rejects with AuthorityKeyError when its keys are missing or no DirAuthority line names it, and
 * like `startRelay`.
 */
export async function startAuthority(
  options: Options,
  env: Env,
  keyOptions: RelayKeyOptions = {},
): Promise<AuthorityNode> {
  const log = env.log.child('authority');
  const keys = await loadAuthorityKeys(env.store, env.clock.now());
  const relayKeys = await loadOrCreateRelayKeys(env.store, env, {
    ...keyOptionsOf(options),
    ...keyOptions,
  });
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
  private readonly pins = new KeyPins();
  private readonly rules: RelayRules;
  private readonly peers: Peers;
  private readonly keeper: Keeper<Kept>;
  private readonly gathering: Gathering;
  private history!: RouterHistory;
  private roster!: Roster;
  private prober!: Prober;
  private voting!: Voting;
  private readonly timers: Partial<Record<'housekeeping' | 'certificate' | 'relays', Timer>> = {};
  private stopping: Promise<void> | undefined;

  constructor(options: Options, env: Env, keys: AuthorityKeys, relayKeys: RelayKeys) {
    this.options = options;
    this.env = env;
    this.keys = keys;
    this.relayKeys = relayKeys;
    this.v3ident = keys.certificate.identity;
    this.fingerprint = toHex(relayKeys.rsaId);
    const idents = options.DirAuthority.map(({ v3Ident }) => v3Ident);
    this.authorities = new Set(idents.filter((ident) => ident !== undefined));
    this.rules = new RelayRules(options);
    const testing = options.TestingTorNetwork;
    const { cache, fingerprint: self } = this;
    const peerAuthorities = new Authorities(options.DirAuthority, {
      ...env,
      localHost: linkSource(options),
      timeout: testing ? PEER_TIMEOUT_TESTING : PEER_TIMEOUT,
    });
    this.peers = new Peers({ ...env, authorities: peerAuthorities, self, cache });
    this.keeper = new Keeper<Kept>(
      env,
      {
        documents: () => cache.saveDocuments(env.store),
        consensus: () => cache.saveConsensus(env.store),
        'pinned keys': () => savePins(env.store, this.pins),
        'shared randomness': () => saveSharedRandom(env.store, this.voting.snapshot()),
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
      fetchMicrodescriptors: () => this.voting.fetchMicrodescriptors(),
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
    await this.loadApproved();

    const saved = await loadHistory(env.store, env.log);
    this.history = new RouterHistory(saved?.history, now);
    this.roster = this.makeRoster();
    this.roster.restore(saved?.reached ?? []);
    this.prober = this.makeProber();
    const opinions = new Opinions({
      options,
      roster: this.roster,
      history: this.history,
      rules: this.rules,
      ...this.keys,
    });

    this.voting = new Voting(
      {
        env,
        keys: this.keys,
        fingerprint: this.fingerprint,
        authorities: this.authorities,
        peers: this.peers,
        options,
        opinions,
        cache,
        sawVote: (vote) => void this.gathering.descriptorsOf(vote),
        changed: (what) => this.keeper.soon(...(what === 'consensus' ? ['consensus' as const] : ALL)),
        roundOver: () => this.gathering.followConsensus(),
        save: () => this.keeper.now('shared randomness'),
      },
      await loadSharedRandom(env.store, env.log),
    );
  }

  /** Reads `approved-routers`. Without such a file the rules stay as they are, as with C tor. */
  private async loadApproved(): Promise<void> {
    const { log, store } = this.env;
    const approved = await readApprovedRouters(store);
    if (approved === undefined) return;
    for (const line of this.rules.loadApprovedRouters(approved))
      log.warn(`approved-routers: ignoring a line that names no relay: ${line}`);
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
      reached: () => this.relaysChanged(),
      movePenalty: () => {
        const consensus = this.cache.consensus('ns');
        if (!consensus) return options.TestingTorNetwork ? MOVE_PENALTY_TESTING : MOVE_PENALTY;
        const { validAfter, freshUntil, validUntil } = consensus;
        return (freshUntil - validAfter + validUntil - validAfter) / 2;
      },
    });
  }

  /** Opens the ports and begins to test and to vote. */
  async start(env: Env): Promise<void> {
    const { cache, fingerprint: relay, v3ident } = this;
    const page = new FrontPage(env);
    const source = authoritySource({
      cache,
      page,
      clock: env.clock,
      relay,
      v3ident,
      exchange: () => this.voting.exchange,
      bandwidthFile: () => this.voting.bandwidthFile(),
      upload: (text) => this.upload(text),
    });
    const dirServer = createDirServer(source, this.env);
    const report = (event: NodeEvent) =>
      env.report?.(event.type === 'identity' ? { ...event, v3ident } : event);
    this.node = await startRelay(
      this.options,
      { ...env, report },
      { dirServer, page, keys: this.relayKeys, cache },
    );
    this.env.log.notice(
      `Authority ${this.options.Nickname} of ${this.authorities.size}; the next consensus is that of ${new Date(this.voting.exchange.schedule.validAfter).toISOString()}.`,
    );
    const held = cache.consensus('ns');
    if (held) this.voting.reportConsensus(held);
    this.prober.start();
    this.gathering.followConsensus();
    this.voting.start();
    this.keepHouse();
    this.watchCertificate();
  }

  // Documents

  private upload(text: string): UploadResult {
    const result = this.roster.upload(text, this.env.clock.now());
    if (result.changed) {
      this.keeper.soon('documents');
      this.relaysChanged();
    }
    return result;
  }

  /** Tells how many relays there are, where that is few enough to count often. */
  private relaysChanged(): void {
    const { clock, report } = this.env;
    if (!report || !this.options.TestingTorNetwork || this.timers.relays) return;
    this.timers.relays = clock.setTimer(RELAYS_NEWS_TESTING, () => {
      delete this.timers.relays;
      report({ type: 'relays', ...this.roster.count(clock.now()) });
    });
  }

  /** Another authority had a newer consensus than we. */
  private gotConsensus(consensus: Consensus): void {
    this.keeper.soon('consensus');
    if (consensus.flavor !== 'ns') return;
    this.voting.reportConsensus(consensus);
    this.voting.follow(consensus);
    this.keeper.soon('shared randomness');
  }

  // Keeping house

  private savedHistory(): SavedHistory {
    return { history: this.history.snapshot(this.env.clock.now()), reached: this.roster.reached() };
  }

  private keepHouse(): void {
    this.timers.housekeeping = this.env.clock.setTimer(HOUSEKEEPING, () => {
      this.history.downrate(this.env.clock.now());
      this.roster.forgetGone();
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
      nextConsensus: this.voting.exchange.schedule.validAfter,
      relays: [...this.roster.descriptors(this.env.clock.now())].length,
    };
  }

  reload(options: Options): readonly string[] {
    const changed = TIMING.filter((name) => this.options[name] !== options[name]);
    for (const name of changed) Object.assign(this.options, { [name]: options[name] });
    if (changed.length > 0) this.voting.reschedule();
    const { clock, log } = this.env;
    const approved = this.loadApproved().catch((error: Error) =>
      log.warn(`Cannot read approved-routers, going on with the old rules: ${error.message}`),
    );
    void clock.hold(approved);
    return [...TIMING, ...this.relay.reload(options)];
  }

  stop(graceful: boolean): Promise<void> {
    // A second signal ends the wait of the first.
    if (!graceful && this.stopping) void this.relay.stop(false);
    this.stopping ??= this.shutDown(graceful);
    return this.stopping;
  }

  private async shutDown(graceful: boolean): Promise<void> {
    for (const timer of Object.values(this.timers)) timer.cancel();
    const voted = this.voting.stop();
    this.prober.stop();
    this.gathering.stop();
    await this.relay.stop(graceful);
    await voted;
    await this.keeper.now(...ALL);
  }
}
