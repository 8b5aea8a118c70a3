/**
 * Keeps a client's directory documents: the microdesc consensus, the certificates it is signed with, the
 * microdescriptors it names (dir-spec 5; C tor: networkstatus.c, microdesc.c). What is not signed by more than half
 * of the authorities, or is out of date, is refused.
 *
 * @module
 */
import type { DirCache } from '../shared/dir/cache.js';
import { clientFetchTime, LOOK_AGAIN, nextDelay } from '../shared/dir/schedule.js';
import type { DirResponse } from '../shared/dir/types.js';
import {
  type MissingCertificate,
  REASONABLY_LIVE,
  type Verdict,
  verifyConsensus,
} from '../shared/dir/verify.js';
import type { Log } from '../shared/log/types.js';
import { parseAuthorityCertificates } from '../shared/netdoc/authority-cert.js';
import { parseConsensus } from '../shared/netdoc/consensus.js';
import { parseMicrodescriptors } from '../shared/netdoc/microdesc.js';
import type { Consensus, Microdescriptor, RelayId } from '../shared/netdoc/types.js';
import type { Clock, Random, Timer } from '../shared/runtime/types.js';
import type { Store } from '../shared/store/types.js';
import type { Options } from '../shared/torrc/options.js';
import { type DirSource, DirSourceError, type DirSources } from './dir-sources.js';
import { Network } from './network.js';

/** Most decompressed bytes of each kind of answer. */
const MAX_CONSENSUS = 32 * 1024 * 1024;
const MAX_CERTIFICATES = 1024 * 1024;
const MAX_MICRODESCS = 4 * 1024 * 1024;
/** Microdescriptors asked for in one request (C tor: MAX_MICRODESC_PER_REQUEST), and requests at once. */
const BATCH = 92;
const PARALLEL = 4;
/** Sources asked for a consensus at once when the first is slow. */
const MAX_RACERS = 3;
/** Every so many tries without news an authority or fallback is asked in place of a guard. */
const STALE_TRIES = 4;

/** Waits, milliseconds. */
interface DirTimes {
  readonly retry: number;
  /** Longest pause between tries without, and with, a consensus at hand. */
  readonly longestBare: number;
  readonly longest: number;
  /** After this long another source is asked as well. */
  readonly hedge: number;
  readonly timeout: number;
}

const PUBLIC_TIMES: DirTimes = {
  retry: 1000,
  longestBare: 60_000,
  longest: 600_000,
  hedge: 5000,
  timeout: 60_000,
};
// A test network makes its first consensus within seconds of its start, and everybody waits for it.
const TESTING_TIMES: DirTimes = { retry: 150, longestBare: 250, longest: 2000, hedge: 1000, timeout: 10_000 };

/** Steps of a bootstrap that show here. */
export type DirStep =
  | { readonly step: 'requesting-status' | 'loading-status' | 'loading-keys' }
  | { readonly step: 'descriptors'; readonly have: number; readonly total: number };

/** What the manager needs. */
export interface DirManagerEnv {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly store: Store;
  readonly options: Options;
  readonly cache: DirCache;
  readonly sources: DirSources;
  /** Another consensus is in force. */
  readonly onNetwork: (network: Network) => void;
  /** Microdescriptors came. */
  readonly onMicrodescs: (network: Network) => void;
  readonly onStep: (step: DirStep) => void;
}

/** Fetches and keeps. */
export class DirManager {
  private readonly env: DirManagerEnv;
  private readonly times: DirTimes;
  private readonly identities: readonly RelayId[];
  private readonly timers = new Set<Timer>();
  private network: Network | undefined;
  private stopped = false;
  private delay = 0;
  /** Tries since the last news. */
  private stale = 0;
  private fetchingMicrodescs = false;
  private microdescDelay = 0;

  constructor(env: DirManagerEnv) {
    this.env = env;
    this.times = env.options.TestingTorNetwork ? TESTING_TIMES : PUBLIC_TIMES;
    this.identities = env.options.DirAuthority.map((authority) => authority.v3Ident).filter(
      (ident) => ident !== undefined,
    );
  }

  /** Begins with what an earlier run saved, if that is still good. */
  async load(): Promise<void> {
    const { cache, store, log } = this.env;
    await cache.load(store, log, (consensus) => {
      const reason = this.whyRefused(consensus);
      if (reason) log.info('the saved consensus is of no use', { reason });
      return reason === undefined;
    });
    const held = cache.consensus('microdesc');
    if (held) this.took(held);
  }

  /** Fetches from now on. */
  start(): void {
    if (this.network) this.scheduleRefresh();
    else this.refresh();
  }

  stop(): void {
    this.stopped = true;
    for (const timer of this.timers) timer.cancel();
    this.timers.clear();
  }

  private later(delay: number, run: () => void): void {
    if (this.stopped) return;
    const timer = this.env.clock.setTimer(delay, () => {
      this.timers.delete(timer);
      run();
    });
    this.timers.add(timer);
  }

  // The consensus

  private scheduleRefresh(): void {
    const { random, options } = this.env;
    const held = this.network!.consensus;
    const interval = held.freshUntil - held.validAfter;
    // In a test network relays come and go with every vote: keep up with it.
    const at = options.TestingTorNetwork
      ? held.freshUntil + (random.fraction() * interval) / 4
      : clientFetchTime(held, random);
    this.refreshAt(at);
  }

  private refreshAt(time: number): void {
    const wait = Math.max(time - this.env.clock.now(), 0);
    if (wait > LOOK_AGAIN) this.later(LOOK_AGAIN, () => this.refreshAt(time));
    else this.later(wait, () => this.refresh());
  }

  private refresh(): void {
    this.fetchConsensus().then(
      (fresh) => {
        if (fresh) {
          this.delay = 0;
          this.stale = 0;
          this.scheduleRefresh();
        } else this.retry();
      },
      (error: Error) => {
        this.env.log.info('no consensus yet; trying again', { error: error.message });
        this.retry();
      },
    );
  }

  private retry(): void {
    this.stale++;
    const { retry, longest, longestBare } = this.times;
    this.delay = nextDelay(this.delay, retry, this.network ? longest : longestBare, this.env.random);
    this.later(this.delay, () => this.refresh());
  }

  /** True when a consensus came that is newer than what there was. */
  private async fetchConsensus(): Promise<boolean> {
    const { cache, log, onStep } = this.env;
    const held = this.network?.consensus;
    onStep({ step: 'requesting-status' });
    const { response, source } = await this.race({
      method: 'GET',
      path: '/tor/status-vote/current/consensus-microdesc.z',
      headers: held ? { 'if-modified-since': new Date(held.validAfter).toUTCString() } : {},
    });
    if (this.stopped || response.status === 304) return false;
    onStep({ step: 'loading-status' });
    const consensus = parseConsensus(Buffer.from(response.body).toString('utf8'));
    if (consensus.flavor !== 'microdesc') throw new DirSourceError(`${source.name} sent another flavour`);
    const { missing } = this.verify(consensus);
    if (missing.length > 0) await this.fetchCertificates(missing, source);
    const reason = this.whyRefused(consensus);
    if (reason) {
      log.warn(`Directory ${source.name} gave a consensus that is not to be believed: ${reason}`);
      return false;
    }
    if (!cache.setConsensus(consensus)) return false;
    this.took(consensus);
    // What could not be saved is in force all the same, and the next one is due in its time.
    await cache.saveConsensus(this.env.store).catch((error: Error) => {
      log.warn(`Cannot save the consensus: ${error.message}`);
    });
    return true;
  }

  private verify(consensus: Consensus): Verdict {
    const { cache, clock } = this.env;
    const certificate = (identity: RelayId, key: string) => cache.certificates.get(identity, key);
    return verifyConsensus(consensus, { identities: this.identities, certificate }, clock.now());
  }

  /** Signatures first, then age: a clock that is a day slow is tolerated, a document that has expired is not. */
  private whyRefused(consensus: Consensus): string | undefined {
    const verdict = this.verify(consensus);
    if (!verdict.ok) return verdict.reason;
    const now = this.env.clock.now();
    if (now > consensus.validUntil) return `it expired ${new Date(consensus.validUntil).toISOString()}`;
    if (now < consensus.validAfter - REASONABLY_LIVE)
      return `it becomes valid ${new Date(consensus.validAfter).toISOString()}: is the clock right?`;
    return undefined;
  }

  /** Asks one source, and more while it is slow; the first consensus (or 304) wins. */
  private async race(
    request: Parameters<DirSources['ask']>[1],
  ): Promise<{ response: DirResponse; source: DirSource }> {
    const { sources, clock } = this.env;
    const { hedge, timeout } = this.times;
    const asked = new Set<RelayId>();
    return new Promise((resolve, reject) => {
      let running = 0;
      let over = false;
      let timer: Timer | undefined;
      const finish = (act: () => void) => {
        if (over) return;
        over = true;
        timer?.cancel();
        act();
      };
      const next = (last?: Error): void => {
        timer?.cancel();
        if (over) return;
        // Guards that lag behind, or withhold what is new, are passed by now and then.
        const configured = asked.size > 1 || this.stale % STALE_TRIES === STALE_TRIES - 1;
        const source = asked.size < MAX_RACERS ? sources.pick(asked, configured) : undefined;
        if (!source) {
          if (running === 0) finish(() => reject(last ?? new DirSourceError('no directory can be asked')));
          return;
        }
        asked.add(source.id);
        running++;
        timer = clock.setTimer(hedge, () => next());
        sources.ask(source, request, timeout, MAX_CONSENSUS).then(
          (response) => {
            running--;
            if (response.status === 200 || response.status === 304)
              finish(() => resolve({ response, source }));
            else next(new DirSourceError(`${source.name}: ${response.status} ${response.reason}`));
          },
          (error: Error) => {
            running--;
            next(error);
          },
        );
      };
      next();
    });
  }

  private async fetchCertificates(missing: readonly MissingCertificate[], from: DirSource): Promise<void> {
    const { sources, cache, log, onStep } = this.env;
    onStep({ step: 'loading-keys' });
    const wanted = new Set(missing.map((one) => `${one.identity}-${one.signingKeyDigest}`));
    const path = `/tor/keys/fp-sk/${[...wanted].join('+')}.z`;
    const response = await sources.ask(from, { method: 'GET', path }, this.times.timeout, MAX_CERTIFICATES);
    if (response.status !== 200) return;
    const { documents, errors } = parseAuthorityCertificates(Buffer.from(response.body).toString('utf8'));
    for (const { error } of errors) log.info('a bad authority certificate', { error: error.message });
    for (const certificate of documents)
      if (this.identities.includes(certificate.identity)) cache.certificates.add(certificate);
  }

  private took(consensus: Consensus): void {
    const { cache, sources, log, onNetwork, clock } = this.env;
    this.network = new Network(consensus, (digest) => cache.microdesc(digest));
    log.info('have a consensus', {
      relays: consensus.routers.length,
      missing: this.network.missing().length,
    });
    cache.prune(clock.now());
    sources.setNetwork(this.network);
    onNetwork(this.network);
    this.wantMicrodescs();
  }

  // Microdescriptors

  private wantMicrodescs(): void {
    if (this.fetchingMicrodescs || this.stopped) return;
    const network = this.network!;
    const missing = network.missing();
    this.reportDescriptors(network, missing.length);
    if (missing.length === 0) return;
    this.fetchingMicrodescs = true;
    this.fetchMicrodescs(network, missing).then(
      (got) => this.gotMicrodescs(got > 0),
      (error: Error) => {
        this.env.log.warn(`Cannot take in microdescriptors: ${error.message}`);
        this.gotMicrodescs(false);
      },
    );
  }

  private gotMicrodescs(progress: boolean): void {
    this.fetchingMicrodescs = false;
    if (this.stopped) return;
    const { cache, store, log, random } = this.env;
    if (progress) {
      this.microdescDelay = 0;
      cache.saveDocuments(store).catch((error: Error) => {
        log.warn(`Cannot save microdescriptors: ${error.message}`);
      });
    }
    if (this.network!.missing().length === 0) return;
    const { retry, longest, longestBare } = this.times;
    const most = this.network!.enoughKnown() ? longest : longestBare;
    this.microdescDelay = nextDelay(this.microdescDelay, retry, most, random);
    this.later(this.microdescDelay, () => this.wantMicrodescs());
  }

  /** Fetches batches, a few at a time, each from a source of its own choice; returns how many came. */
  private async fetchMicrodescs(network: Network, digests: readonly string[]): Promise<number> {
    const batches: string[][] = [];
    // Small networks are spread over requests as well, so that no one source decides what we know (dir-spec 5.3).
    const size = Math.min(BATCH, Math.max(16, Math.ceil(digests.length / PARALLEL)));
    for (let from = 0; from < digests.length; from += size) batches.push(digests.slice(from, from + size));
    let got = 0;
    const worker = async () => {
      for (let batch = batches.shift(); batch && !this.stopped; batch = batches.shift())
        got += await this.fetchBatch(network, batch);
    };
    await Promise.all(Array.from({ length: PARALLEL }, worker));
    return got;
  }

  private async fetchBatch(network: Network, digests: readonly string[]): Promise<number> {
    const { sources, cache, clock, log, onMicrodescs } = this.env;
    const source = sources.pick(new Set(), this.microdescDelay > this.times.retry * 4);
    if (!source) return 0;
    let response: DirResponse;
    try {
      const path = `/tor/micro/d/${digests.join('-')}.z`;
      response = await sources.ask(source, { method: 'GET', path }, this.times.timeout, MAX_MICRODESCS);
    } catch (error) {
      log.info('no microdescriptors', { from: source.name, error: (error as Error).message });
      return 0;
    }
    if (response.status !== 200 || this.stopped) return 0;
    const { documents, errors } = parseMicrodescriptors(Buffer.from(response.body).toString('utf8'));
    for (const { error } of errors) log.info('a bad microdescriptor', { error: error.message });
    const wanted = new Set(digests);
    const micros = documents.filter((micro: Microdescriptor) => wanted.has(micro.digest));
    for (const micro of micros) cache.addMicrodesc(micro, clock.now());
    network.add(micros);
    if (network !== this.network) this.network!.add(micros);
    this.reportDescriptors(this.network!, this.network!.missing().length);
    onMicrodescs(this.network!);
    return micros.length;
  }

  private reportDescriptors(network: Network, missing: number): void {
    const total = network.relays.length;
    this.env.onStep({ step: 'descriptors', have: total - missing, total });
  }
}
