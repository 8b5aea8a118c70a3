/**
 * The directory documents a node holds: what a relay serves, an authority adds to, and a client reads. In memory by
 * digest, saved as MessagePack snapshots.
 *
 * @module
 */

import { sameBytes, toHex } from '../bytes/text.js';
import type { Log } from '../log/types.js';
import { parseAuthorityCertificate } from '../netdoc/authority-cert.js';
import { parseConsensus } from '../netdoc/consensus.js';
import { parseExtraInfo } from '../netdoc/extra-info.js';
import { parseMicrodescriptor } from '../netdoc/microdesc.js';
import { parseServerDescriptor } from '../netdoc/server-descriptor.js';
import type { Consensus, ExtraInfo, Microdescriptor, RelayId, ServerDescriptor } from '../netdoc/types.js';
import { loadState, type StateKind, saveState } from '../store/state.js';
import type { Store } from '../store/types.js';
import { CertificateSet } from './certificates.js';

/** The two flavours of a consensus. */
export type Flavor = 'ns' | 'microdesc';

/** A consensus with the bytes it is served as. */
export interface HeldConsensus {
  readonly document: Consensus;
  readonly bytes: Uint8Array;
}

/** Older consensuses kept of each flavour, as bases of diffs. */
const KEPT_BASES = 3;
/** Descriptors and microdescriptors that nothing refers to go after so many milliseconds (dir-spec 3.3: a week). */
const MICRODESC_LIFETIME = 7 * 24 * 3_600_000;
/** A server descriptor is of use for two days [OLD_ROUTER_DESC_MAX_AGE]. */
const DESCRIPTOR_LIFETIME = 48 * 3_600_000;
/** Older descriptors kept of each relay (C tor `routerlist_remove_old_cached_routers_with_id`). */
const KEPT_OLDER = 2;

const CONSENSUS_FILE = 'cepa-state/consensus';
const DOCUMENTS_FILE = 'cepa-state/documents';

interface SavedConsensuses {
  readonly ns?: string;
  readonly microdesc?: string;
  readonly certificates: readonly string[];
}

interface SavedDocuments {
  readonly descriptors: readonly string[];
  readonly extraInfos: readonly string[];
  /** Text and the last time a consensus listed it. */
  readonly microdescs: readonly (readonly [string, number])[];
}

const texts = (value: unknown): string[] => {
  if (!Array.isArray(value) || value.some((text) => typeof text !== 'string'))
    throw new TypeError('not a list of texts');
  return value as string[];
};

const consensusKind: StateKind<SavedConsensuses> = {
  version: 1,
  check(value) {
    const { ns, microdesc, certificates } = value as Record<string, unknown>;
    const text = (item: unknown) => (typeof item === 'string' ? item : undefined);
    return { ns: text(ns), microdesc: text(microdesc), certificates: texts(certificates) };
  },
};

const documentsKind: StateKind<SavedDocuments> = {
  version: 1,
  check(value) {
    const { descriptors, extraInfos, microdescs } = value as Record<string, unknown>;
    if (!Array.isArray(microdescs)) throw new TypeError('microdescs is not a list');
    for (const entry of microdescs)
      if (!Array.isArray(entry) || typeof entry[0] !== 'string' || typeof entry[1] !== 'number')
        throw new TypeError('a microdescriptor is not [text, time]');
    return {
      descriptors: texts(descriptors),
      extraInfos: texts(extraInfos),
      microdescs: microdescs as [string, number][],
    };
  },
};

/** The documents. */
export class DirCache {
  readonly certificates = new CertificateSet();
  private readonly current: Partial<Record<Flavor, HeldConsensus>> = {};
  private readonly previous: Record<Flavor, HeldConsensus[]> = { ns: [], microdesc: [] };
  private readonly byDigest = new Map<string, ServerDescriptor>();
  /** Oldest first; never empty. */
  private readonly byId = new Map<RelayId, readonly ServerDescriptor[]>();
  private readonly extras = new Map<string, ExtraInfo>();
  private readonly micros = new Map<string, Microdescriptor>();
  private readonly lastListed = new Map<string, number>();

  /** The newest consensus of a flavour. */
  consensus(flavor: Flavor): Consensus | undefined {
    return this.current[flavor]?.document;
  }

  /** The same with its bytes. */
  held(flavor: Flavor): HeldConsensus | undefined {
    return this.current[flavor];
  }

  /** An older consensus of a flavour that a diff can start from, by its SHA3-256 as signed (upper-case hex). */
  base(flavor: Flavor, sha3AsSigned: string): HeldConsensus | undefined {
    return this.previous[flavor].find((held) => held.document.sha3AsSigned === sha3AsSigned);
  }

  /** Takes a verified consensus; false when it is not newer than the one held. */
  setConsensus(document: Consensus): boolean {
    const { flavor } = document;
    const old = this.current[flavor];
    if (old && old.document.validAfter > document.validAfter) return false;
    if (old?.document.text === document.text) return false;
    if (old && old.document.validAfter < document.validAfter)
      this.previous[flavor] = [old, ...this.previous[flavor]].slice(0, KEPT_BASES);
    this.current[flavor] = { document, bytes: Buffer.from(document.text, 'utf8') };
    if (flavor === 'microdesc') {
      for (const router of document.routers)
        if (router.microdescDigest) this.lastListed.set(router.microdescDigest, document.validAfter);
    }
    return true;
  }

  /**
   * Takes a server descriptor; false when it is known. The newest of a relay is found by its id. A relay may send as
   * many as it likes: two of those before are kept, the one that was replaced last and, of the others, what a
   * consensus lists or else the one that was the newest for the longest.
   */
  addDescriptor(descriptor: ServerDescriptor): boolean {
    const { id, published } = descriptor;
    const digest = toHex(descriptor.digest);
    if (this.byDigest.has(digest)) return false;
    this.byDigest.set(digest, descriptor);
    const known = this.byId.get(id) ?? [];
    const older = known.filter((each) => each.published <= published);
    const all = [...older, descriptor, ...known.filter((each) => each.published > published)];
    this.byId.set(id, all);
    if (all.length > KEPT_OLDER + 1) for (const each of this.superfluous(all)) this.forget(each);
    return true;
  }

  /** What goes of a relay's descriptors; the newest and the one before it stay. */
  private superfluous(all: readonly ServerDescriptor[]): ServerDescriptor[] {
    const lifespan = (at: number): number => all[at + 1]!.published - all[at]!.published;
    return all
      .slice(0, -2)
      .map((descriptor, at) => ({ descriptor, lifespan: lifespan(at) }))
      .filter(({ descriptor }) => !this.isListed(descriptor))
      .sort((a, b) => a.lifespan - b.lifespan)
      .slice(0, all.length - 1 - KEPT_OLDER)
      .map(({ descriptor }) => descriptor);
  }

  private isListed({ id, digest }: ServerDescriptor): boolean {
    const held = [this.current.ns, ...this.previous.ns];
    return held.some((each) =>
      each?.document.routers.some(
        (router) => router.id === id && router.digest !== undefined && sameBytes(router.digest, digest),
      ),
    );
  }

  /** Lets go of a descriptor with the extra-info of its relay that no other one names. */
  private forget(descriptor: ServerDescriptor): void {
    const { id, digest, extraInfoDigest } = descriptor;
    this.byDigest.delete(toHex(digest));
    const others = (this.byId.get(id) ?? []).filter((each) => each !== descriptor);
    if (others.length > 0) this.byId.set(id, others);
    else this.byId.delete(id);
    const named = extraInfoDigest && toHex(extraInfoDigest.sha1);
    if (named === undefined || this.extras.get(named)?.id !== id) return;
    if (!others.some((each) => each.extraInfoDigest && toHex(each.extraInfoDigest.sha1) === named))
      this.extras.delete(named);
  }

  /** By SHA-1 digest, upper-case hex. */
  descriptor(digest: string): ServerDescriptor | undefined {
    return this.byDigest.get(digest);
  }

  /** The newest of a relay. */
  descriptorOf(id: RelayId): ServerDescriptor | undefined {
    return this.byId.get(id)?.at(-1);
  }

  /** The newest descriptor of every relay. */
  *descriptors(): Generator<ServerDescriptor> {
    for (const all of this.byId.values()) yield all.at(-1)!;
  }

  /** Takes an extra-info document. */
  addExtraInfo(extra: ExtraInfo): void {
    this.extras.set(toHex(extra.sha1), extra);
  }

  /** By SHA-1 digest, upper-case hex. */
  extraInfo(digest: string): ExtraInfo | undefined {
    return this.extras.get(digest);
  }

  /** The extra-info that the newest descriptor of a relay names. */
  extraInfoOf(id: RelayId): ExtraInfo | undefined {
    const digest = this.descriptorOf(id)?.extraInfoDigest;
    return digest && this.extras.get(toHex(digest.sha1));
  }

  /** Those of every relay's newest descriptor. */
  *extraInfos(): Generator<ExtraInfo> {
    for (const id of this.byId.keys()) {
      const extra = this.extraInfoOf(id);
      if (extra) yield extra;
    }
  }

  /** Takes a microdescriptor. */
  addMicrodesc(micro: Microdescriptor, now: number): void {
    this.micros.set(micro.digest, micro);
    if (!this.lastListed.has(micro.digest)) this.lastListed.set(micro.digest, now);
  }

  /** By its digest, base64 without padding. */
  microdesc(digest: string): Microdescriptor | undefined {
    return this.micros.get(digest);
  }

  /** Microdescriptors held. */
  get microdescCount(): number {
    return this.micros.size;
  }

  /** Digests of the microdescriptors a consensus names and this cache lacks. */
  missingMicrodescs(consensus: Consensus): string[] {
    const missing: string[] = [];
    for (const { microdescDigest } of consensus.routers)
      if (microdescDigest && !this.micros.has(microdescDigest)) missing.push(microdescDigest);
    return missing;
  }

  /** Digests (hex) of the server descriptors an ns consensus names and this cache lacks. */
  missingDescriptors(consensus: Consensus): string[] {
    const missing: string[] = [];
    for (const { digest } of consensus.routers) {
      const hex = digest && toHex(digest);
      if (hex && !this.byDigest.has(hex)) missing.push(hex);
    }
    return missing;
  }

  /** Forgets what is too old to be asked for. */
  prune(now: number): void {
    const listed = new Set<string>();
    for (const router of this.consensus('ns')?.routers ?? [])
      if (router.digest) listed.add(toHex(router.digest));
    for (const [digest, descriptor] of this.byDigest) {
      if (listed.has(digest) || descriptor.published > now - DESCRIPTOR_LIFETIME) continue;
      this.forget(descriptor);
    }
    for (const [digest, extra] of this.extras)
      if (extra.published < now - DESCRIPTOR_LIFETIME) this.extras.delete(digest);
    for (const [digest, time] of this.lastListed) {
      if (time > now - MICRODESC_LIFETIME) continue;
      this.lastListed.delete(digest);
      this.micros.delete(digest);
    }
  }

  /** Saves the consensuses and certificates. */
  async saveConsensus(store: Store): Promise<void> {
    const saved: SavedConsensuses = {
      ns: this.current.ns?.document.text,
      microdesc: this.current.microdesc?.document.text,
      certificates: [...this.certificates.all()].map((certificate) => certificate.text),
    };
    await saveState(store, CONSENSUS_FILE, consensusKind.version, saved);
  }

  /** Saves descriptors, extra-infos and microdescriptors. */
  async saveDocuments(store: Store): Promise<void> {
    const saved: SavedDocuments = {
      descriptors: [...this.byDigest.values()].map((descriptor) => descriptor.text),
      extraInfos: [...this.extras.values()].map((extra) => extra.text),
      microdescs: [...this.micros.values()].map(
        (micro) => [micro.text, this.lastListed.get(micro.digest) ?? 0] as const,
      ),
    };
    await saveState(store, DOCUMENTS_FILE, documentsKind.version, saved);
  }

  /**
   * Fills the cache from what was saved. Consensuses are handed to `accept` first (signatures, age): what it refuses
   * is left out. A document that no longer parses is left out with a warning.
   */
  async load(store: Store, log: Log, accept: (consensus: Consensus) => boolean): Promise<void> {
    const consensuses = await loadState(store, CONSENSUS_FILE, consensusKind, log);
    const documents = await loadState(store, DOCUMENTS_FILE, documentsKind, log);
    const each = (list: readonly string[] | undefined, take: (text: string) => void) => {
      for (const text of list ?? []) {
        try {
          take(text);
        } catch (error) {
          log.warn('a saved document is damaged; going on without it', { error });
        }
      }
    };
    each(consensuses?.certificates, (text) => this.certificates.add(parseAuthorityCertificate(text)));
    const saved = [consensuses?.ns, consensuses?.microdesc].filter((text) => text !== undefined);
    each(saved, (text) => {
      const consensus = parseConsensus(text);
      if (accept(consensus)) this.setConsensus(consensus);
    });
    each(documents?.descriptors, (text) => this.addDescriptor(parseServerDescriptor(text)));
    each(documents?.extraInfos, (text) => this.addExtraInfo(parseExtraInfo(text)));
    for (const [text, time] of documents?.microdescs ?? [])
      each([text], () => {
        const micro = parseMicrodescriptor(text);
        this.micros.set(micro.digest, micro);
        this.lastListed.set(micro.digest, Math.max(time, this.lastListed.get(micro.digest) ?? 0));
      });
  }
}
