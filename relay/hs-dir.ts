/**
 * The relay as HSDir (rend-spec-v3 2.2.6): it keeps descriptors of services it cannot read, under blinded keys, for
 * whoever asks by such a key.
 *
 * @module
 */
import { DecodeError } from '../shared/bytes/errors.js';
import { bytesOf, fromBase64, toHex } from '../shared/bytes/text.js';
import type { Answer } from '../shared/dir/server.js';
import type { DirPeer } from '../shared/dir/types.js';
import type { Log } from '../shared/log/types.js';
import {
  type HsDescriptor,
  MAX_HS_DESCRIPTOR_SIZE,
  parseHsDescriptor,
} from '../shared/netdoc/hs-descriptor.js';
import { documentText } from '../shared/netdoc/tokenizer.js';
import type { ConsensusParam } from '../shared/onion/flow.js';
import type { Clock } from '../shared/runtime/types.js';

const GET_PREFIX = '/tor/hs/3/';
const POST_PATH = '/tor/hs/3/publish';
const MINUTE = 60_000;
/** Milliseconds between sweeps for what has expired. */
const SWEEP = 5 * MINUTE;
/** What one descriptor costs besides its text: a guess on the safe side. */
const OVERHEAD = 1024;

interface Stored {
  readonly key: string;
  readonly revision: bigint;
  readonly text: Uint8Array;
  readonly expires: number;
  fetched: number;
}

const NOT_FOUND: Answer = { status: 404, reason: 'Not found' };
const SINGLE_HOP: Answer = { status: 503, reason: 'Rejecting single hop HS v3 descriptor request' };

/** What the store needs. */
export interface HsDirEnv {
  readonly clock: Clock;
  readonly log: Log;
  readonly param: ConsensusParam;
  /** Bytes to hold at most. */
  readonly maxBytes: number;
}

/** The descriptors of one HSDir. */
export class HsDirStore {
  private readonly env: HsDirEnv;
  private readonly byKey = new Map<string, Stored>();
  private held = 0;
  private swept: number;

  constructor(env: HsDirEnv) {
    this.env = env;
    this.swept = env.clock.now();
  }

  get count(): number {
    return this.byKey.size;
  }

  /** Bytes held. */
  get bytes(): number {
    return this.held;
  }

  /** The answer to GET /tor/hs/3/KEY, the blinded key in base64; undefined for another path. */
  get(path: string, peer: DirPeer): Answer | undefined {
    if (!path.startsWith(GET_PREFIX)) return undefined;
    // C tor knows an anonymous asker by the circuit; on a DirPort there is none.
    if (peer.via !== 'multi-hop') return SINGLE_HOP;
    this.sweep();
    let key: string;
    try {
      key = toHex(fromBase64(path.slice(GET_PREFIX.length), 'blinded key', 32));
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      return NOT_FOUND;
    }
    const stored = this.byKey.get(key);
    if (!stored || stored.expires <= this.env.clock.now()) return NOT_FOUND;
    stored.fetched++;
    return { status: 200, body: stored.text };
  }

  /** The answer to POST /tor/hs/3/publish; undefined for another path. */
  post(path: string, body: Uint8Array, peer: DirPeer): Answer | undefined {
    if (path !== POST_PATH) return undefined;
    if (peer.via !== 'multi-hop') return { status: 503, reason: 'Rejecting single hop HS descriptor post' };
    this.sweep();
    try {
      return this.publish(body);
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      this.env.log.info('refusing an onion-service descriptor', { error: error.message });
      return { status: 400, reason: 'Invalid HS descriptor. Rejected.' };
    }
  }

  private publish(body: Uint8Array): Answer {
    const { clock, param } = this.env;
    const limit = param('HSV3MaxDescriptorSize', MAX_HS_DESCRIPTOR_SIZE, 1, MAX_HS_DESCRIPTOR_SIZE);
    const text = documentText(body, 'hs-descriptor');
    const descriptor = parseHsDescriptor(text, limit);
    const now = clock.now();
    if (descriptor.certExpires <= now)
      throw new DecodeError('hs-descriptor.descriptor-signing-key-cert', 'has expired');
    const key = toHex(descriptor.blindedKey);
    const known = this.byKey.get(key);
    if (known && known.expires > now && known.revision >= descriptor.revision)
      return { status: 400, reason: 'Invalid HS descriptor. Rejected.' };
    this.store(key, descriptor, now, known?.fetched ?? 0);
    return { status: 200, reason: 'HS descriptor stored successfully.' };
  }

  private store(key: string, descriptor: HsDescriptor, now: number, fetched: number): void {
    this.drop(key);
    const stored: Stored = {
      key,
      revision: descriptor.revision,
      text: bytesOf(descriptor.text),
      expires: now + descriptor.lifetimeMinutes * MINUTE,
      fetched,
    };
    const cost = stored.text.length + OVERHEAD;
    if (this.held + cost > this.env.maxBytes) this.makeRoom(cost);
    this.byKey.set(key, stored);
    this.held += cost;
  }

  /** Drops what was asked for least, the oldest of those first, until there is room and some to spare. */
  private makeRoom(cost: number): void {
    const { maxBytes, log } = this.env;
    const target = Math.max(0, maxBytes * 0.9 - cost);
    const order = [...this.byKey.values()].sort((a, b) => a.fetched - b.fetched || a.expires - b.expires);
    for (const { key } of order) {
      if (this.held <= target) break;
      this.drop(key);
    }
    log.info('the store of onion-service descriptors was full', { left: this.byKey.size });
  }

  private drop(key: string): void {
    const stored = this.byKey.get(key);
    if (!stored) return;
    this.byKey.delete(key);
    this.held -= stored.text.length + OVERHEAD;
  }

  /** Forgets what has expired, now and then. */
  private sweep(): void {
    const now = this.env.clock.now();
    if (Math.abs(now - this.swept) < SWEEP) return;
    this.swept = now;
    for (const { key, expires } of [...this.byKey.values()]) if (expires <= now) this.drop(key);
  }
}
