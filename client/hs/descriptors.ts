/**
 * Descriptors of services as a client gets and keeps them (rend-spec-v3 2.2.5): from the HSDirs responsible now, one
 * after the other in random order, each once. Whoever asks again for a service that none of them knew has all asked
 * again, as with C tor, which forgets whom it asked when the last has none.
 *
 * @module
 */
import { CepaError, DecodeError } from '../../shared/bytes/errors.js';
import { sameBytes, toHex } from '../../shared/bytes/text.js';
import type { X25519KeyPair } from '../../shared/crypto/x25519.js';
import { type PeriodNames, periodNames } from '../../shared/hs/service-key.js';
import type { Log } from '../../shared/log/types.js';
import {
  ClientAuthError,
  decryptHsDescriptor,
  type HsDescriptorContent,
  parseHsDescriptor,
} from '../../shared/netdoc/hs-descriptor.js';
import { documentText } from '../../shared/netdoc/tokenizer.js';
import type { Clock, Random } from '../../shared/runtime/types.js';
import { StreamError } from '../failure.js';
import type { Network, Relay } from '../network.js';
import type { HsDirClient, HsDirectories, HsDirectory } from './directory.js';

const MINUTE = 60_000;
/** Services whose descriptors are kept. */
const MAX_KEPT = 1000;

/** A service as its descriptor shows it. */
export interface KnownService {
  readonly names: PeriodNames;
  readonly content: HsDescriptorContent;
  readonly revision: bigint;
  /** Wall clock, milliseconds. */
  readonly expires: number;
}

/** What the cache works with. */
export interface DescriptorParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly directories: HsDirectories;
  readonly directory: HsDirClient;
  /** Keys for services that want one, by identity in hex. */
  clientKeys(): ReadonlyMap<string, X25519KeyPair>;
  network(): Network | undefined;
}

/** Fetches and keeps descriptors. */
export class DescriptorCache {
  private readonly parts: DescriptorParts;
  private readonly known = new Map<string, KnownService>();
  private readonly fetching = new Map<string, Promise<KnownService>>();

  constructor(parts: DescriptorParts) {
    this.parts = parts;
  }

  /** The descriptor of a service, kept or fetched. Rejects with StreamError. */
  get(identity: Uint8Array): Promise<KnownService> {
    const key = toHex(identity);
    const kept = this.kept(key);
    if (kept) return Promise.resolve(kept);
    return this.fetch(identity);
  }

  /** The newest descriptor, whatever is kept. Rejects with StreamError. */
  fetch(identity: Uint8Array): Promise<KnownService> {
    const key = toHex(identity);
    const running = this.fetching.get(key);
    if (running) return running;
    const fetching = this.look(identity, key).finally(() => this.fetching.delete(key));
    this.fetching.set(key, fetching);
    return fetching;
  }

  private directoryNow(): HsDirectory {
    const network = this.parts.network();
    if (!network) throw new StreamError('network-unreachable', 'not enough is known of the network yet');
    return this.parts.directories.of(network);
  }

  private kept(key: string): KnownService | undefined {
    const known = this.known.get(key);
    if (!known) return undefined;
    const network = this.parts.network();
    const period = network && this.parts.directories.of(network).keys.fetch.period;
    if (known.expires > this.parts.clock.now() && known.names.period.number === period?.number) return known;
    this.known.delete(key);
    return undefined;
  }

  private async look(identity: Uint8Array, key: string): Promise<KnownService> {
    const { random, log } = this.parts;
    const directory = this.directoryNow();
    const names = namesOf(identity, directory);
    const left = directory.fetchFrom(names.blindedKey);
    const kept = this.known.get(key);
    let stale = false;
    let failure = new StreamError('onion-not-found', 'no HSDir has a descriptor of the onion service');
    while (left.length > 0) {
      const [relay] = left.splice(random.below(left.length), 1) as [Relay];
      try {
        const found = await this.ask(relay, key, names);
        if (!found) continue;
        // A directory that missed the last upload, or withholds it [cache_store_as_client].
        stale = isOlder(found, kept);
        if (stale) continue;
        this.keep(key, found);
        return found;
      } catch (error) {
        if (error instanceof ClientAuthError)
          throw new StreamError(
            error.kind === 'missing' ? 'onion-auth-missing' : 'onion-auth-wrong',
            error.message,
            { cause: error },
          );
        if (!(error instanceof CepaError)) throw error;
        log.info('no descriptor from an HSDir', { relay: relay.status.nickname, reason: error.message });
        if (error instanceof DecodeError || error.cause instanceof DecodeError)
          failure = new StreamError('onion-invalid', error.message, { cause: error });
      }
    }
    if (stale) return kept!;
    throw failure;
  }

  /** Asks one HSDir; undefined when it has none. Rejects with CepaErrors. */
  private async ask(relay: Relay, key: string, names: PeriodNames): Promise<KnownService | undefined> {
    const { clock, directory, clientKeys } = this.parts;
    const { status, reason, body } = await directory.fetch(relay, names.blindedKey);
    if (status === 404) return undefined;
    if (status !== 200) throw new CepaError('client/hsdir', `HSDir: ${status} ${reason}`);
    const descriptor = parseHsDescriptor(documentText(body, 'hs-descriptor'));
    if (!sameBytes(descriptor.blindedKey, names.blindedKey))
      throw new DecodeError('hs-descriptor.descriptor-signing-key-cert', 'of another service');
    const now = clock.now();
    if (descriptor.certExpires <= now)
      throw new DecodeError('hs-descriptor.descriptor-signing-key-cert', 'has expired');
    const content = decryptHsDescriptor(descriptor, names.subcredential, clientKeys().get(key));
    const expires = now + descriptor.lifetimeMinutes * MINUTE;
    return { names, content, revision: descriptor.revision, expires };
  }

  private keep(key: string, found: KnownService): void {
    this.known.delete(key);
    this.known.set(key, found);
    if (this.known.size > MAX_KEPT) this.known.delete(this.known.keys().next().value!);
  }
}

/** Whether a descriptor is of the same period as one that is kept, and older. */
const isOlder = (found: KnownService, kept: KnownService | undefined): boolean =>
  kept !== undefined &&
  sameBytes(kept.names.blindedKey, found.names.blindedKey) &&
  found.revision < kept.revision;

function namesOf(identity: Uint8Array, directory: HsDirectory): PeriodNames {
  try {
    return periodNames(identity, directory.keys.fetch.period);
  } catch (cause) {
    throw new StreamError('onion-bad-address', (cause as Error).message, { cause });
  }
}
