/**
 * A service in one time period: its keys, its introduction points, its descriptor and where that was left
 * (rend-spec-v3 2.2.1, 2.4).
 *
 * @module
 */
import type { IntroDosParams } from '../../shared/cell/hs-cells.js';
import { type Ed25519ExpandedKey, generateEd25519 } from '../../shared/crypto/ed25519.js';
import { srvRunLength, srvRunStart } from '../../shared/hs/periods.js';
import { revisionCounter, revisionKey } from '../../shared/hs/revision.js';
import type { PeriodKeys } from '../../shared/hs/service-key.js';
import type { Log } from '../../shared/log/types.js';
import { encodeHsDescriptor } from '../../shared/netdoc/hs-descriptor.js';
import type { ConsensusParam } from '../../shared/onion/flow.js';
import type { Clock, Random } from '../../shared/runtime/types.js';
import type { Network } from '../network.js';
import type { PathRules } from '../path.js';
import type { HsDirClient, HsDirectory } from './directory.js';
import { controlsCongestion, offeredSendmeInc } from './flow.js';
import { chooseEnd } from './paths.js';
import { type IntroPointParts, ServiceIntroPoint } from './service-intro.js';
import { Uploads } from './uploads.js';

const MINUTE = 60_000;
/** A descriptor is published anew after one to two hours. */
const REFRESH = 60 * MINUTE;
/** A relay that failed as introduction point is not tried again for so long [INTRO_CIRC_RETRY_PERIOD]. */
const FAILED_FOR = 5 * MINUTE;
/**
 * A descriptor that an HSDir refused is followed by a newer one after these times, then no more before its refresh:
 * whoever served the same directory before us published in the same second, or by a clock that is ahead of ours.
 */
const AFTER_REFUSAL = [3000, 15_000, MINUTE, 5 * MINUTE];
/** When not all introduction points come about, the descriptor goes out with those there are. */
const PATIENCE = 30_000;
/** Certificates of a descriptor [HS_DESC_CERT_LIFETIME]. */
const CERT_LIFETIME = 54 * 60 * MINUTE;
/** Introduction points that are tried beyond those wanted, when there is none [get_intro_point_num_extra]. */
const EXTRA_POINTS = 2;
/** Introduction points begun within five minutes, for each that is wanted: a network that fails us is not hammered. */
const MAX_BEGUN = 5;

/** What a period needs of its service. */
export interface PeriodParts extends Omit<IntroPointParts, 'dos'> {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly param: ConsensusParam;
  readonly rules: PathRules;
  readonly directory: HsDirClient;
  /** As it is now: it may change while the service runs. */
  config(): PeriodConfig;
}

/** What the owner has a say in. */
export interface PeriodConfig {
  readonly introPoints: number;
  /** What the service wants to be spared; undefined: what the consensus says. */
  readonly dos: IntroDosParams | undefined;
  /** x25519 keys; empty: everyone may come. */
  readonly clients: readonly Uint8Array[];
}

/** A service in one period. */
export class ServicePeriod {
  readonly keys: PeriodKeys;
  private readonly parts: PeriodParts;
  private readonly signing: Ed25519ExpandedKey;
  private readonly revisionKey: Uint8Array;
  private readonly uploads: Uploads;
  private points: ServiceIntroPoint[] = [];
  /** The SENDME increment their descriptors offer. */
  private offered: number;
  /** Relays that failed, and until when they are left alone (monotonic). */
  private readonly failed = new Map<string, number>();
  private begun: number[] = [];
  private waitingSince: number | undefined;
  private nextUpload = 0;
  /** Descriptors in a row that were refused, and whether the next one follows such. */
  private refusals = 0;
  private wasRefused = false;
  private published = '';
  private lastRevision = 0n;
  private stopped = false;

  constructor(keys: PeriodKeys, parts: PeriodParts) {
    this.keys = keys;
    this.parts = parts;
    this.signing = generateEd25519(parts.random);
    this.revisionKey = revisionKey(keys.blinded);
    this.uploads = new Uploads({ ...parts, refused: () => this.refused() });
    this.offered = offeredSendmeInc(parts.param);
  }

  /** HSDirs that hold the newest descriptor. */
  get held(): number {
    return this.uploads.held;
  }

  get established(): readonly ServiceIntroPoint[] {
    return this.points.filter((point) => point.state === 'established');
  }

  /** What is due. `slot`: which of the two descriptors of this time it is. */
  tick(directory: HsDirectory, slot: 0 | 1): void {
    if (this.stopped) return;
    this.followConsensus();
    this.keepPoints(directory.network);
    this.publish(directory, slot);
  }

  // Introduction points

  /**
   * Whoever has a descriptor with another SENDME increment than we go by must not come on it: both ends of its circuit
   * would count differently, and it would die of that [hs_service_new_consensus_params].
   */
  private followConsensus(): void {
    const offer = offeredSendmeInc(this.parts.param);
    if (offer === this.offered) return;
    this.offered = offer;
    this.keepOnly([]);
  }

  private keepPoints(network: Network): void {
    const now = this.parts.clock.monotonic();
    for (const point of [...this.points]) {
      const listed = network.get(point.relay.id)?.status.flags.has('Running') ?? false;
      if (point.state === 'gone') this.failed.set(point.relay.id, now + FAILED_FOR);
      if (point.state !== 'gone' && listed && !point.isSpent(now)) continue;
      point.close();
      this.points.splice(this.points.indexOf(point), 1);
    }
    const { introPoints } = this.parts.config();
    const established = this.established;
    // The quickest stay.
    if (established.length >= introPoints) this.keepOnly(established.slice(0, introPoints));
    const wanted = this.points.length === 0 ? introPoints + EXTRA_POINTS : introPoints;
    while (this.points.length < wanted && this.begin(network, now));
  }

  private keepOnly(chosen: readonly ServiceIntroPoint[]): void {
    for (const point of this.points) if (!chosen.includes(point)) point.close();
    this.points = [...chosen];
  }

  private begin(network: Network, now: number): boolean {
    const { rules, random } = this.parts;
    const { introPoints, dos } = this.parts.config();
    for (const [id, until] of this.failed) if (until <= now) this.failed.delete(id);
    this.begun = this.begun.filter((time) => now - time < FAILED_FOR);
    if (this.begun.length >= introPoints * MAX_BEGUN + EXTRA_POINTS) return false;
    const used = new Set(this.points.map(({ relay }) => relay.id));
    const relay = chooseEnd(
      network,
      rules,
      random,
      'introduction',
      (each) => each.status.protocols.has('HSIntro', 4) && !used.has(each.id) && !this.failed.has(each.id),
    );
    if (!relay) return false;
    this.begun.push(now);
    const point = new ServiceIntroPoint(relay, { ...this.parts, dos });
    this.points.push(point);
    point.start();
    return true;
  }

  // The descriptor

  private publish(directory: HsDirectory, slot: 0 | 1): void {
    const now = this.parts.clock.monotonic();
    const relays = directory.storeAt(slot, this.keys.blindedKey);
    const points = this.established;
    const content = `${contentName(points)} ${relays
      .map(({ id }) => id)
      .sort()
      .join()}`;
    if (relays.length === 0 || !this.isComplete(points.length, now)) return;
    if (content === this.published && now < this.nextUpload) return;
    const text = this.encode(points, directory.network, slot);
    if (text === undefined) return;
    this.refusals = content === this.published && this.wasRefused ? this.refusals + 1 : 0;
    this.wasRefused = false;
    this.published = content;
    this.nextUpload = now + REFRESH + this.parts.random.below(REFRESH);
    this.uploads.start(relays, text);
    this.parts.log.info('publishing a descriptor', {
      period: this.keys.period.number,
      introPoints: points.length,
      directories: relays.length,
    });
  }

  /** Whether it is time to publish with as many introduction points as there are. */
  private isComplete(established: number, now: number): boolean {
    const complete = established >= this.parts.config().introPoints;
    if (complete || established === 0) {
      this.waitingSince = undefined;
      return complete;
    }
    this.waitingSince ??= now;
    return now - this.waitingSince >= PATIENCE || this.points.every(({ state }) => state !== 'connecting');
  }

  private encode(
    points: readonly ServiceIntroPoint[],
    { consensus }: Network,
    slot: 0 | 1,
  ): string | undefined {
    const { clock, random, param } = this.parts;
    const { clients } = this.parts.config();
    const now = clock.now();
    // The first descriptor goes by the value of the run before the current one.
    const start = srvRunStart(consensus) - (slot === 0 ? srvRunLength(consensus) : 0);
    const revision = revisionCounter(this.revisionKey, (now - start) / 1000);
    // HSDirs take only what is newer: twice within a second waits.
    if (revision <= this.lastRevision) return undefined;
    this.lastRevision = revision;
    return encodeHsDescriptor(
      {
        blindedKey: this.keys.blinded,
        signingKey: this.signing,
        subcredential: this.keys.subcredential,
        revision,
        certExpires: now + CERT_LIFETIME,
        introPoints: points.map(({ entry }) => entry),
        clients,
        ...(controlsCongestion(param) && {
          flowControl: { versions: '1-2', sendmeInc: offeredSendmeInc(param) },
        }),
      },
      random,
    );
  }

  private refused(): void {
    const delay = AFTER_REFUSAL[this.refusals];
    if (delay === undefined) return;
    this.wasRefused = true;
    this.nextUpload = Math.min(this.nextUpload, this.parts.clock.monotonic() + delay);
  }

  /** Publishes anew as soon as it can. */
  republish(): void {
    this.nextUpload = 0;
  }

  stop(): void {
    this.stopped = true;
    this.uploads.stop();
    for (const point of this.points) point.close();
    this.points = [];
  }
}

/** Tells whether introduction points changed. */
const contentName = (points: readonly ServiceIntroPoint[]): string =>
  points
    .map(({ keys }) => Buffer.from(keys.authKey).toString('base64'))
    .sort()
    .join();
