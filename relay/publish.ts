/**
 * Makes this relay known: builds its descriptor when something changed or the last one grows old, and uploads it to
 * every authority until each has taken it (dir-spec 2.1, C tor: `check_descriptor_*`, router.c).
 *
 * @module
 */
import type { DirResponse } from '../shared/dir/types.js';
import type { Log } from '../shared/log/types.js';
import type { NodeEvent } from '../shared/runtime/env.js';
import type { Clock, Random, Timer } from '../shared/runtime/types.js';
import type { DirAuthorityOption } from '../shared/torrc/options.js';
import type { Authorities } from './authorities.js';
import { Backoff } from './backoff.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** A pair of documents as uploaded: the extra-info belongs to the descriptor. */
export interface OwnDocuments {
  readonly descriptor: string;
  readonly extraInfo: string;
}

/** Times of publishing, milliseconds. */
export interface PublishTimes {
  /** A descriptor this old is made anew (C tor: FORCE_REGENERATE_DESCRIPTOR_INTERVAL). */
  readonly maxAge: number;
  /** How often change is looked for. */
  readonly check: number;
  /** Least time between descriptors that differ in bandwidth only (C tor: MAX_BANDWIDTH_CHANGE_FREQ). */
  readonly bandwidthEvery: number;
  /** A relay that the consensus does not list makes a new one after so long (C tor: FAST_RETRY_DESCRIPTOR_INTERVAL). */
  readonly unlisted: number;
  /** Waits between tries at one authority that cannot be reached. */
  readonly retry: { readonly first: number; readonly longest: number };
  /** Wait after an authority refused. */
  readonly refused: number;
}

export const PUBLIC_TIMES: PublishTimes = {
  maxAge: 18 * HOUR,
  check: MINUTE,
  bandwidthEvery: 3 * HOUR,
  unlisted: 90 * MINUTE,
  retry: { first: 30_000, longest: HOUR },
  refused: HOUR,
};

export const TESTING_TIMES: PublishTimes = {
  maxAge: 18 * HOUR,
  check: 2_000,
  bandwidthEvery: 5 * MINUTE,
  unlisted: MINUTE,
  retry: { first: 250, longest: 5_000 },
  refused: 10_000,
};

/** What publishing needs. */
export interface PublishEnv {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly authorities: Authorities;
  /** Whether to upload now (`PublishServerDescriptor`, the port was reached); else the documents are only made. */
  upload(): boolean;
  readonly times: PublishTimes;
  /** Makes the documents; undefined while something is missing (an address). */
  build(): OwnDocuments | undefined;
  /** Bytes a second. */
  observed(): number;
  /** Why a descriptor should be made anew, by what the consensus says of this relay (`not listed`, `StaleDesc`). */
  complaint(): string | undefined;
  report(event: NodeEvent): void;
}

type Upload = { readonly authority: DirAuthorityOption; backoff: Backoff; timer: Timer | undefined };

/** Keeps the authorities up to date. */
export class Publisher {
  private readonly env: PublishEnv;
  private documents: OwnDocuments | undefined;
  private published = 0;
  private observed = 0;
  private dirty: string | undefined = 'start';
  private uploads: Upload[] = [];
  private taken = new Set<string>();
  private timer: Timer | undefined;
  private stopped = false;

  constructor(env: PublishEnv) {
    this.env = env;
  }

  /** The documents as last made. */
  get current(): OwnDocuments | undefined {
    return this.documents;
  }

  /** Fingerprints of the authorities that have the current descriptor. */
  get acceptedBy(): ReadonlySet<string> {
    return this.taken;
  }

  /** Publishes now and from now on. */
  start(): void {
    this.check();
  }

  stop(): void {
    this.stopped = true;
    this.timer?.cancel();
    this.cancelUploads();
  }

  /** Something the descriptor tells has changed: make it anew now. */
  changed(reason: string): void {
    this.dirty = reason;
    if (this.timer) this.check();
  }

  /** The bandwidth was tested: what others should know of it is told now, and not in some hours. */
  tested(): void {
    if (this.differs) this.changed('the bandwidth was tested');
  }

  /** What kept the documents from being uploaded may be over. */
  retry(): void {
    if (!this.stopped && this.documents && this.uploads.length === 0) this.uploadAll(this.documents);
  }

  private check(): void {
    if (this.stopped) return;
    this.timer?.cancel();
    this.timer = this.env.clock.setTimer(this.env.times.check, () => this.check());
    const reason = this.dirty ?? this.reasonToRenew();
    if (reason !== undefined) this.renew(reason);
  }

  private reasonToRenew(): string | undefined {
    const { clock, times } = this.env;
    const age = clock.now() - this.published;
    if (age >= times.maxAge) return `it is ${Math.round(age / HOUR)} hours old`;
    if (age < 0) return 'the clock was set back';
    if (age >= times.unlisted) {
      const complaint = this.env.complaint();
      if (complaint !== undefined) return complaint;
    }
    return this.differs && age >= times.bandwidthEvery ? 'the bandwidth changed' : undefined;
  }

  /** Whether the bandwidth is another than what the descriptor tells. */
  private get differs(): boolean {
    const observed = this.env.observed();
    return observed > 2 * this.observed || observed < this.observed / 2;
  }

  private renew(reason: string): void {
    const documents = this.env.build();
    if (!documents) return;
    this.dirty = undefined;
    this.documents = documents;
    this.published = this.env.clock.now();
    this.observed = this.env.observed();
    this.taken = new Set();
    this.env.log.info('made a new descriptor', { reason });
    this.cancelUploads();
    this.uploadAll(documents);
  }

  private uploadAll(documents: OwnDocuments): void {
    if (!this.env.upload()) return;
    this.uploads = this.env.authorities.all.map((authority) => ({
      authority,
      backoff: new Backoff(this.env.random, this.env.times.retry),
      timer: undefined,
    }));
    for (const upload of this.uploads) this.upload(upload, documents);
  }

  private cancelUploads(): void {
    for (const upload of this.uploads) upload.timer?.cancel();
    this.uploads = [];
  }

  private upload(upload: Upload, documents: OwnDocuments): void {
    const later = (wait: number) => {
      if (this.stopped || this.documents !== documents) return;
      upload.timer = this.env.clock.setTimer(wait, () => {
        // Publishing may have been switched off meanwhile, and may be switched on again.
        if (this.env.upload()) this.upload(upload, documents);
        else later(wait);
      });
    };
    this.post(upload.authority, documents).then(
      (response) => {
        if (this.documents !== documents) return;
        if (response.status === 200) this.accepted(upload.authority);
        else {
          this.refused(upload.authority, response);
          later(this.env.times.refused);
        }
      },
      (error: Error) => {
        this.env.log.info('cannot reach an authority to publish; trying again', {
          authority: upload.authority.nickname,
          error: error.message,
        });
        later(upload.backoff.next());
      },
    );
  }

  private post(authority: DirAuthorityOption, documents: OwnDocuments): Promise<DirResponse> {
    const body = Buffer.from(documents.descriptor + documents.extraInfo, 'utf8');
    return this.env.authorities.ask(authority, { method: 'POST', path: '/tor/', body });
  }

  private accepted(authority: DirAuthorityOption): void {
    this.taken.add(authority.fingerprint);
    this.env.log.info('an authority took our descriptor', { authority: authority.nickname });
    this.env.report({ type: 'published', authorities: this.taken.size });
  }

  private refused(authority: DirAuthorityOption, response: DirResponse): void {
    this.env.log.warn(
      `Authority ${authority.nickname} refused our descriptor: ${response.status} ${response.reason}`,
    );
  }
}
