/**
 * Fetches what other authorities know and this one does not: descriptors their votes list, the consensus after a vote
 * was missed, microdescriptors it names (C tor: an authority is a directory cache as well,
 * `update_consensus_router_descriptor_downloads`).
 *
 * @module
 */
import { toHex } from '../shared/bytes/text.js';
import type { DirCache } from '../shared/dir/cache.js';
import type { Log } from '../shared/log/types.js';
import type { Consensus, RouterStatus, Vote } from '../shared/netdoc/types.js';
import type { Clock, Timer } from '../shared/runtime/types.js';
import type { Peers } from './peers.js';

/** A document that could not be had is not asked for again for so long, milliseconds. */
const FORGET_AFTER = 3600_000;
/** Waits between tries for a consensus. */
const CONSENSUS_RETRY = 60_000;
const CONSENSUS_RETRY_TESTING = 2_000;

/** What gathering needs. */
export interface GatheringConfig {
  readonly clock: Clock;
  readonly log: Log;
  readonly cache: DirCache;
  readonly peers: Peers;
  /** `TestingTorNetwork`. */
  readonly testingNetwork: boolean;
  /** Takes descriptors and extra-infos as if uploaded. */
  take(text: string): void;
  /** A verified consensus from another authority. */
  gotConsensus(consensus: Consensus): void;
  /** Fetches the microdescriptors of the consensus that are missing. */
  fetchMicrodescriptors(): Promise<void>;
}

/** The fetching. */
export class Gathering {
  private readonly config: GatheringConfig;
  /** When a digest was asked for. */
  private readonly asked = new Map<string, number>();
  private timer: Timer | undefined;
  private stopped = false;

  constructor(config: GatheringConfig) {
    this.config = config;
  }

  stop(): void {
    this.stopped = true;
    this.timer?.cancel();
  }

  /** Fetches descriptors that an authority lists and that are newer than ours, from that authority. */
  async descriptorsOf(vote: Vote): Promise<void> {
    const { peers, take, cache } = this.config;
    const wanted = vote.routers.filter((router) => this.wants(router)).map(({ digest }) => toHex(digest!));
    if (wanted.length === 0) return;
    const { nickname } = vote.authority;
    this.config.log.info(`Fetching ${wanted.length} descriptors that ${nickname} knows and we do not`);
    await peers.fetchDescriptors(nickname, 'server', wanted, take);
    const extras = wanted
      .map((digest) => cache.descriptor(digest)?.extraInfoDigest)
      .filter((named) => named !== undefined)
      .map(({ sha1 }) => toHex(sha1))
      .filter((digest) => !cache.extraInfo(digest));
    if (extras.length > 0) await peers.fetchDescriptors(nickname, 'extra', extras, take);
  }

  private wants({ id, digest, published }: RouterStatus): boolean {
    const { cache, clock } = this.config;
    if (!digest) return false;
    const name = toHex(digest);
    if (cache.descriptor(name)) return false;
    const own = cache.descriptorOf(id);
    if (own && own.published >= published) return false;
    const now = clock.now();
    for (const [each, when] of this.asked) if (now - when > FORGET_AFTER) this.asked.delete(each);
    if (this.asked.has(name)) return false;
    this.asked.set(name, now);
    return true;
  }

  /** Asks the others for a consensus until there is one that is fresh. */
  followConsensus(): void {
    this.timer?.cancel();
    if (this.stopped || this.hasFresh() || this.config.peers.others.length === 0) return;
    void this.fetchConsensus().finally(() => {
      if (this.stopped || this.hasFresh()) return;
      const wait = this.config.testingNetwork ? CONSENSUS_RETRY_TESTING : CONSENSUS_RETRY;
      this.timer = this.config.clock.setTimer(wait, () => this.followConsensus());
    });
  }

  private hasFresh(): boolean {
    const held = this.config.cache.consensus('ns');
    return held !== undefined && this.config.clock.now() < held.freshUntil;
  }

  private async fetchConsensus(): Promise<void> {
    const { cache, peers, gotConsensus } = this.config;
    for (const consensus of await peers.fetchConsensus()) {
      if (this.stopped) return;
      if (cache.setConsensus(consensus)) gotConsensus(consensus);
    }
    await this.config.fetchMicrodescriptors();
  }
}
