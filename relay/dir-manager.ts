/**
 * Keeps a relay's directory documents current: the consensus, the certificates that sign it, and, for a directory
 * cache, all that both flavours name, fetched from the authorities (dir-spec 4.2 - 4.4).
 *
 * @module
 */
import type { DirCache, Flavor } from '../shared/dir/cache.js';
import { cacheFetchTime, LOOK_AGAIN } from '../shared/dir/schedule.js';
import { isReasonablyLive, type MissingCertificate, verifyConsensus } from '../shared/dir/verify.js';
import type { Log } from '../shared/log/types.js';
import { parseAuthorityCertificates } from '../shared/netdoc/authority-cert.js';
import { parseConsensus } from '../shared/netdoc/consensus.js';
import type { Consensus, RelayId } from '../shared/netdoc/types.js';
import type { Clock, Random, Timer } from '../shared/runtime/types.js';
import type { Store } from '../shared/store/types.js';
import type { Authorities } from './authorities.js';
import { Backoff } from './backoff.js';
import { fetchDocuments } from './dir-documents.js';

/** Decompressed bytes of a consensus: the public network's has some 3 MB. */
const MAX_CONSENSUS = 32 * 1024 * 1024;
const MAX_CERTIFICATES = 1024 * 1024;

/** Waits between tries, milliseconds. */
export interface DirTimes {
  readonly retry: { readonly first: number; readonly longest: number };
}

export const PUBLIC_DIR_TIMES: DirTimes = { retry: { first: 10_000, longest: 600_000 } };
/** A test network makes a consensus every few seconds, and nobody is patient. */
export const TESTING_DIR_TIMES: DirTimes = { retry: { first: 400, longest: 2_000 } };

/** What fetching needs. */
export interface DirManagerEnv {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly store: Store;
  readonly cache: DirCache;
  readonly authorities: Authorities;
  /** This relay, which does not ask itself. */
  readonly self: RelayId;
  readonly times: DirTimes;
  /** Both flavours with all they name, rather than the microdesc one. */
  readonly isCache: boolean;
  /** A newer consensus is in the cache. */
  consensusChanged(consensus: Consensus): void;
}

/** One flavour being kept. */
interface Keeping {
  readonly flavor: Flavor;
  readonly backoff: Backoff;
  timer: Timer | undefined;
}

const pathOf = (flavor: Flavor) =>
  `/tor/status-vote/current/${flavor === 'ns' ? 'consensus' : 'consensus-microdesc'}.z`;

/** Fetches and keeps. */
export class DirManager {
  private readonly env: DirManagerEnv;
  private readonly keeping: readonly Keeping[];
  private readonly documentsBackoff: Backoff;
  private documentsTimer: Timer | undefined;
  private fetching = false;
  private again = false;
  /** Whether there are documents that a restart would have to fetch again. */
  private unsaved = false;
  private stopped = false;

  constructor(env: DirManagerEnv) {
    this.env = env;
    const flavors: Flavor[] = env.isCache ? ['microdesc', 'ns'] : ['microdesc'];
    const backoff = () => new Backoff(env.random, env.times.retry);
    this.keeping = flavors.map((flavor) => ({ flavor, backoff: backoff(), timer: undefined }));
    this.documentsBackoff = backoff();
  }

  /** Begins with what an earlier run saved. */
  async load(): Promise<void> {
    const { cache, store, log, clock } = this.env;
    await cache.load(store, log, (consensus) => {
      const now = clock.now();
      return isReasonablyLive(consensus, now) && this.verify(consensus).ok;
    });
    const held = cache.consensus('microdesc');
    if (held) this.env.consensusChanged(held);
  }

  /** Fetches from now on; after `stop` again. */
  start(): void {
    this.stopped = false;
    for (const keeping of this.keeping) this.schedule(keeping);
    this.wantDocuments();
  }

  /** Fetches nothing: the relay goes down, or sleeps (C tor: `should_delay_dir_fetches`). */
  stop(): void {
    this.stopped = true;
    for (const keeping of this.keeping) keeping.timer?.cancel();
    this.documentsTimer?.cancel();
  }

  // The consensus

  private schedule(keeping: Keeping): void {
    const { clock, cache, random } = this.env;
    const held = cache.consensus(keeping.flavor);
    const now = clock.now();
    // A consensus that is no longer fresh is due for replacement now, however long it stays valid.
    this.at(keeping, held && held.freshUntil > now ? cacheFetchTime(held, random) : now);
  }

  private at(keeping: Keeping, time: number): void {
    const wait = time - this.env.clock.now();
    if (wait > LOOK_AGAIN) this.after(keeping, LOOK_AGAIN, () => this.at(keeping, time));
    else this.after(keeping, wait);
  }

  private after(keeping: Keeping, wait: number, act = () => this.refresh(keeping)): void {
    if (this.stopped) return;
    keeping.timer?.cancel();
    keeping.timer = this.env.clock.setTimer(wait, act);
  }

  private refresh(keeping: Keeping): void {
    this.fetchConsensus(keeping.flavor).then(
      (fresh) => {
        if (fresh) {
          keeping.backoff.reset();
          this.schedule(keeping);
        } else this.after(keeping, keeping.backoff.next());
      },
      (error: Error) => {
        this.env.log.info('cannot fetch a consensus; trying again', {
          flavor: keeping.flavor,
          error: error.message,
        });
        this.after(keeping, keeping.backoff.next());
      },
    );
  }

  /** True when the cache now holds a consensus that is still fresh. */
  private async fetchConsensus(flavor: Flavor): Promise<boolean> {
    const { authorities, cache, clock, self, log } = this.env;
    const authority = authorities.pick(self);
    if (!authority) return false;
    const held = cache.consensus(flavor);
    const headers: Record<string, string> = held
      ? { 'if-modified-since': new Date(held.validAfter).toUTCString() }
      : {};
    const request = { method: 'GET', path: pathOf(flavor), headers } as const;
    const response = await authorities.ask(authority, request, MAX_CONSENSUS);
    if (response.status !== 200 || this.stopped) return false;
    const consensus = parseConsensus(Buffer.from(response.body).toString('utf8'));
    if (consensus.flavor !== flavor) throw new Error(`asked for ${flavor}, got ${consensus.flavor}`);
    if (!isReasonablyLive(consensus, clock.now())) throw new Error('the consensus is not of this time');
    await this.fetchCertificates(this.verify(consensus).missing);
    const verdict = this.verify(consensus);
    if (!verdict.ok) {
      log.warn(
        `Authority ${authority.nickname} gave a consensus that is not to be believed: ${verdict.reason}`,
      );
      return false;
    }
    if (cache.setConsensus(consensus)) await this.took(consensus);
    return consensus.freshUntil > clock.now();
  }

  private verify(consensus: Consensus) {
    const { authorities, cache, clock } = this.env;
    const { certificates } = cache;
    const trusted = {
      identities: authorities.identities,
      certificate: (identity: RelayId, key: string) => certificates.get(identity, key),
    };
    return verifyConsensus(consensus, trusted, clock.now());
  }

  private async took(consensus: Consensus): Promise<void> {
    const { cache, clock, store, log, consensusChanged } = this.env;
    log.info('have a new consensus', { flavor: consensus.flavor, relays: consensus.routers.length });
    cache.prune(clock.now());
    consensusChanged(consensus);
    this.wantDocuments();
    // What could not be saved is in force all the same, and the next one is due in its time.
    await cache.saveConsensus(store).catch((error: Error) => {
      log.warn(`Cannot save the consensus: ${error.message}`);
    });
  }

  private async fetchCertificates(missing: readonly MissingCertificate[]): Promise<void> {
    const { authorities, cache, self, log } = this.env;
    const trusted = new Set(authorities.identities);
    const wanted = missing.map(({ identity, signingKeyDigest }) => `${identity}-${signingKeyDigest}`);
    const authority = authorities.pick(self);
    if (wanted.length === 0 || !authority) return;
    const path = `/tor/keys/fp-sk/${[...new Set(wanted)].join('+')}.z`;
    const response = await authorities.ask(authority, { method: 'GET', path }, MAX_CERTIFICATES);
    if (response.status !== 200) return;
    const { documents, errors } = parseAuthorityCertificates(Buffer.from(response.body).toString('utf8'));
    for (const { error } of errors) log.info('a bad authority certificate', { error: error.message });
    for (const certificate of documents)
      if (trusted.has(certificate.identity)) cache.certificates.add(certificate);
  }

  // What it names

  private wantDocuments(): void {
    if (this.stopped) return;
    // A consensus that comes while documents of another are fetched names more of them.
    this.again = this.fetching;
    if (this.fetching) return;
    this.documentsTimer?.cancel();
    this.fetching = true;
    const took = () => {
      this.unsaved = true;
    };
    fetchDocuments(this.env, took).then(
      (complete) => this.gotDocuments(complete),
      (error: Error) => {
        this.env.log.info('cannot fetch directory documents; trying again', { error: error.message });
        this.gotDocuments(false);
      },
    );
  }

  private gotDocuments(complete: boolean): void {
    this.fetching = false;
    if (this.stopped) return;
    if (this.again) {
      this.wantDocuments();
      return;
    }
    // Not only what is complete: one document that a relay names and nobody has would keep all others unsaved.
    if (complete || this.unsaved) this.saveDocuments();
    if (complete) {
      this.documentsBackoff.reset();
      return;
    }
    this.documentsTimer = this.env.clock.setTimer(this.documentsBackoff.next(), () => this.wantDocuments());
  }

  private saveDocuments(): void {
    const { cache, store, log } = this.env;
    this.unsaved = false;
    cache.saveDocuments(store).catch((error: Error) => {
      log.warn(`Cannot save directory documents: ${error.message}`);
    });
  }
}
