/**
 * All relays an authority knows: takes their documents, keeps what tests say of them, and shows them as the vote
 * needs them.
 *
 * @module
 */
import type { DirCache } from '../shared/dir/cache.js';
import type { Log } from '../shared/log/types.js';
import { parseExtraInfos } from '../shared/netdoc/extra-info.js';
import { parseServerDescriptors } from '../shared/netdoc/server-descriptor.js';
import type { FailedDocument } from '../shared/netdoc/split.js';
import type { RelayId, ServerDescriptor } from '../shared/netdoc/types.js';
import { type Admission, type AdmissionRules, admit, admitExtraInfo } from './accept.js';
import type { Measurements } from './bandwidth-file.js';
import { downSince, isRunning, needsTestNow, type RunningRules } from './reachability.js';
import { MAX_DESCRIPTOR_AGE, type RelayView } from './relay-view.js';
import type { RouterHistory } from './router-history.js';

/** What a roster needs. */
export interface RosterConfig {
  readonly cache: DirCache;
  readonly history: RouterHistory;
  readonly admission: AdmissionRules;
  readonly running: RunningRules;
  /** Fingerprints of the configured authorities' relays. */
  readonly authorities: ReadonlySet<RelayId>;
  readonly log: Log;
  /** A relay that is new, or has moved, wants to be tested now. */
  testNow(descriptor: ServerDescriptor): void;
  /** New keys were pinned: the journal is to be saved. */
  pinned(): void;
}

/** What became of an upload. */
export interface UploadResult {
  readonly verdict: Admission['verdict'];
  /** For the one who uploaded. */
  readonly reason: string;
  /** Whether any document is new. */
  readonly changed: boolean;
}

const SEVERITY: Readonly<Record<Admission['verdict'], number>> = { accepted: 0, known: 1, rejected: 2 };

/** The relays. */
export class Roster {
  private readonly config: RosterConfig;
  private readonly lastReachable = new Map<RelayId, number>();

  constructor(config: RosterConfig) {
    this.config = config;
  }

  /** When each relay was last reached, milliseconds, to keep across restarts. */
  reached(): [RelayId, number][] {
    return [...this.lastReachable];
  }

  /** Takes what was kept. */
  restore(reached: readonly (readonly [RelayId, number])[]): void {
    for (const [id, time] of reached) this.lastReachable.set(id, time);
  }

  /** Forgets when relays were reached of which there is no descriptor any more. */
  forgetGone(): void {
    for (const id of this.lastReachable.keys())
      if (!this.config.cache.descriptorOf(id)) this.lastReachable.delete(id);
  }

  lastReachableOf(id: RelayId): number {
    return this.lastReachable.get(id) ?? 0;
  }

  /** The newest descriptor of every relay that is not too old. */
  *descriptors(now: number): Generator<ServerDescriptor> {
    for (const descriptor of this.config.cache.descriptors())
      if (descriptor.published >= now - MAX_DESCRIPTOR_AGE) yield descriptor;
  }

  /** How many relays there are, and how many of them are up. */
  count(now: number): { known: number; running: number } {
    let [known, running] = [0, 0];
    for (const descriptor of this.descriptors(now)) {
      known++;
      if (isRunning(descriptor, this.lastReachableOf(descriptor.id), this.config.running, now)) running++;
    }
    return { known, running };
  }

  /** A test reached a relay. */
  reachedNow(descriptor: ServerDescriptor, now: number, movePenalty: number): void {
    this.lastReachable.set(descriptor.id, now);
    const address = `${descriptor.address}:${descriptor.orPort}`;
    this.config.history.reachable(descriptor.id, address, now, movePenalty);
  }

  /** Takes server descriptors and extra-infos, as uploaded or fetched, and says the worst that happened. */
  upload(text: string, now: number): UploadResult {
    const servers = parseServerDescriptors(text);
    const extras = parseExtraInfos(text);
    const outcomes: Admission[] = [
      ...servers.documents.map((descriptor) => this.take(descriptor, now)),
      ...extras.documents.map((extra) => {
        const outcome = admitExtraInfo(extra, this.config.cache.descriptorOf(extra.id));
        if (outcome.verdict === 'accepted') this.config.cache.addExtraInfo(extra);
        return outcome;
      }),
      ...[...servers.errors, ...extras.errors].map(asRejection),
    ];
    const worst = outcomes.reduce<Admission | undefined>(
      (a, b) => (a && SEVERITY[a.verdict] >= SEVERITY[b.verdict] ? a : b),
      undefined,
    );
    if (!worst) return { verdict: 'rejected', reason: 'No descriptors found in your POST.', changed: false };
    return {
      verdict: worst.verdict,
      reason: worst.verdict === 'accepted' ? 'Descriptor accepted' : worst.reason,
      changed: outcomes.some(({ verdict }) => verdict === 'accepted'),
    };
  }

  private take(descriptor: ServerDescriptor, now: number): Admission {
    const { cache, admission, log } = this.config;
    const old = cache.descriptorOf(descriptor.id);
    const outcome = admit(descriptor, old, admission, now);
    const who = { nickname: descriptor.nickname, fingerprint: descriptor.id };
    if (outcome.verdict === 'rejected') log.info(`Refused a descriptor: ${outcome.reason}`, who);
    if (outcome.verdict !== 'accepted') return outcome;
    if (admission.pins.pin(descriptor.rsaId, descriptor.ed25519Id)) this.config.pinned();
    cache.addDescriptor(descriptor);
    log.info('Took a descriptor', who);
    if (this.config.running.testing && needsTestNow(descriptor, old)) this.config.testNow(descriptor);
    return outcome;
  }

  /**
   * All relays as the vote sees them. Those that are down are told to the history, if the authority has been up long
   * enough to know.
   */
  views(now: number, measured: Measurements, judgesRunning: boolean): RelayView[] {
    const views: RelayView[] = [];
    for (const descriptor of this.descriptors(now)) {
      const status = this.config.admission.rules.statusOf(descriptor);
      if (status.reject === undefined)
        views.push(this.viewOf(descriptor, status, now, measured, judgesRunning));
    }
    return views;
  }

  private viewOf(
    descriptor: ServerDescriptor,
    status: ReturnType<AdmissionRules['rules']['statusOf']>,
    now: number,
    measured: Measurements,
    judgesRunning: boolean,
  ): RelayView {
    const { history, running, authorities } = this.config;
    const { id } = descriptor;
    const lastReachable = this.lastReachableOf(id);
    const up = isRunning(descriptor, lastReachable, running, now);
    if (!up && judgesRunning) history.unreachable(id, downSince(lastReachable, now));
    return {
      descriptor,
      authority: authorities.has(id),
      running: up,
      valid: !status.invalid,
      badExit: status.badExit,
      middleOnly: status.middleOnly,
      stripGuard: status.stripGuard,
      stripHsDir: status.stripHsDir,
      stripV2Dir: status.stripV2Dir,
      measured: measured.of(id),
      uptime: history.uptime(id, now),
      mtbf: history.meanTimeBetweenFailures(id, now),
      timeKnown: history.timeKnown(id, now),
      wfu: history.fractionalUptime(id, now),
    };
  }
}

const asRejection = ({ error }: FailedDocument): Admission => ({
  verdict: 'rejected',
  reason: `Malformed descriptor: ${error.message}`,
});
