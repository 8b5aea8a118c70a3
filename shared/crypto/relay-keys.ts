/**
 * All keys of a relay, as its other parts use them. The data directory's `keys/` is C tor's: one can be moved to the
 * other and back.
 *
 * @module
 */
import type { Store } from '../store/types.js';
import {
  DEFAULT_IDENTITY_OPTIONS,
  Ed25519Identity,
  type IdentityOptions,
  type KeyEnv,
  loadRsaIdentity,
  type SigningKey,
} from './identity-keys.js';
import { LINK_KEY_LIFETIME, type LinkCredentials, makeLinkCredentials } from './link-credentials.js';
import {
  DEFAULT_ONION_KEY_LIFETIMES,
  type NtorKeys,
  type OnionKeyLifetimes,
  OnionKeyRing,
} from './onion-key-files.js';
import { generateRsa, type RsaKey } from './rsa.js';

export type { KeyEnv, SigningKey } from './identity-keys.js';
export { KeyFileError } from './keyfiles.js';
export type { LinkCredentials } from './link-credentials.js';
export type { NtorKeys, OnionKeyLifetimes } from './onion-key-files.js';

/** A relay's keys. Everything but the identities changes when `rotate` says so: read it anew for each use. */
export interface RelayKeys {
  /** The RSA identity key. */
  readonly rsa: RsaKey;
  /** Its SHA-1, 20 bytes: the fingerprint. */
  readonly rsaId: Uint8Array;
  /** Ed25519 master identity, 32 bytes. */
  readonly ed25519Id: Uint8Array;
  readonly signing: SigningKey;
  readonly tap: RsaKey;
  readonly ntor: NtorKeys;
  /** When the current onion keys came into use, ms since 1970. */
  readonly onionKeysSince: number;
  /** Link keys and their proofs. */
  link(): LinkCredentials;
  /**
   * Replaces what is due: link keys every 2 hours, the signing key a day before it expires, onion keys after
   * `lifetimes.rotation`. Call it every few minutes. Resolves to whether a new descriptor must be published.
   */
  rotate(now: number, lifetimes?: OnionKeyLifetimes): Promise<boolean>;
}

/** What can be chosen. */
export interface RelayKeyOptions extends Partial<IdentityOptions> {
  /** Makes RSA keys; a simulation gives its own so that the same seed makes the same relay. */
  readonly makeRsa?: (bits: number) => Promise<RsaKey>;
  /** Bits of the key TLS shows. */
  readonly linkBits?: number | undefined;
}

/**
 * Reads a relay's keys from `keys/` of the store and makes those that are absent. Rejects with KeyFileError when one is
 * damaged or they do not fit together; what is there is never changed then.
 */
export async function loadOrCreateRelayKeys(
  store: Store,
  env: KeyEnv,
  options: RelayKeyOptions = {},
): Promise<RelayKeys> {
  const { makeRsa = generateRsa, linkBits, ...identityOptions } = options;
  const rsa = await loadRsaIdentity(store, env.log, makeRsa);
  const identity = await Ed25519Identity.load(store, env, {
    ...DEFAULT_IDENTITY_OPTIONS,
    ...identityOptions,
  });
  const onion = await OnionKeyRing.load(store, env, makeRsa);
  const keys = new StoredRelayKeys(rsa, identity, onion, { ...env, makeRsa, linkBits });
  await keys.renewLink();
  return keys;
}

interface LinkKeyEnv extends KeyEnv {
  readonly makeRsa: (bits: number) => Promise<RsaKey>;
  readonly linkBits: number | undefined;
}

class StoredRelayKeys implements RelayKeys {
  readonly rsa: RsaKey;
  private readonly identity: Ed25519Identity;
  private readonly onion: OnionKeyRing;
  private readonly env: LinkKeyEnv;
  private credentials: LinkCredentials | undefined;

  constructor(rsa: RsaKey, identity: Ed25519Identity, onion: OnionKeyRing, env: LinkKeyEnv) {
    this.rsa = rsa;
    this.identity = identity;
    this.onion = onion;
    this.env = env;
  }

  get rsaId(): Uint8Array {
    return this.rsa.id;
  }
  get ed25519Id(): Uint8Array {
    return this.identity.id;
  }
  get signing(): SigningKey {
    return this.identity.signing;
  }
  get tap(): RsaKey {
    return this.onion.tap;
  }
  get ntor(): NtorKeys {
    return this.onion.ntor;
  }
  get onionKeysSince(): number {
    return this.onion.since;
  }

  link(): LinkCredentials {
    return this.credentials!;
  }

  async renewLink(): Promise<void> {
    this.credentials = await makeLinkCredentials(
      { rsa: this.rsa, ed25519Id: this.ed25519Id, signing: this.signing },
      this.env,
      this.env.makeRsa,
      this.env.linkBits,
    );
  }

  async rotate(now: number, lifetimes = DEFAULT_ONION_KEY_LIFETIMES): Promise<boolean> {
    const newSigning = await this.identity.renew(now);
    const newOnion = await this.onion.rotate(now, lifetimes);
    // Link certificates are signed by the signing key.
    if (newSigning || Math.abs(now - this.link().made) >= LINK_KEY_LIFETIME) await this.renewLink();
    return newSigning || newOnion;
  }
}
