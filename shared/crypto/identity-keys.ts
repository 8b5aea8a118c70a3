/**
 * A relay's long-term keys on disk: the RSA identity, the ed25519 master identity, the medium-term signing key and its
 * certificate, in C tor's files [load_ed_keys, ed_key_init_from_file].
 *
 * The master secret may be kept elsewhere: with a signing key and a certificate that still holds, it is not needed.
 * What is damaged or does not fit together is a KeyFileError; only what is absent is made.
 *
 * @module
 */
import { sameBytes } from '../bytes/text.js';
import type { Log } from '../log/types.js';
import type { Clock, Random } from '../runtime/types.js';
import type { Store } from '../store/types.js';
import { CertType, checkEd25519Cert, type Ed25519Cert, makeEd25519Cert, parseEd25519Cert } from './certs.js';
import { type Ed25519ExpandedKey, type Ed25519Signer, generateEd25519 } from './ed25519.js';
import {
  decodeCertFile,
  decodeEd25519Public,
  decodeEd25519Secret,
  decodeRsaFile,
  encodeCertFile,
  encodeEd25519Public,
  encodeEd25519Secret,
  encodeRsaFile,
  KeyFileError,
  KeyTag,
} from './keyfiles.js';
import { RELAY_RSA_BITS, type RsaKey } from './rsa.js';

const DAY = 86_400_000;

/** Where the files lie, under the data directory. */
export const IDENTITY_FILES = {
  rsa: 'keys/secret_id_key',
  masterSecret: 'keys/ed25519_master_id_secret_key',
  masterEncrypted: 'keys/ed25519_master_id_secret_key_encrypted',
  masterPublic: 'keys/ed25519_master_id_public_key',
  signingSecret: 'keys/ed25519_signing_secret_key',
  signingCert: 'keys/ed25519_signing_cert',
} as const;

/** What reading and making keys needs. */
export interface KeyEnv {
  readonly random: Random;
  readonly clock: Clock;
  readonly log: Log;
}

/** How identity keys are handled. */
export interface IdentityOptions {
  /** How long a new signing key lasts (SigningKeyLifetime), ms. */
  readonly signingLifetime: number;
  /** How long before its end a signing key is replaced (TestingSigningKeySlop), ms. */
  readonly signingSlop: number;
  /** OfflineMasterKey: never look at the master secret, never make one. */
  readonly offlineMaster: boolean;
}

export const DEFAULT_IDENTITY_OPTIONS: IdentityOptions = {
  signingLifetime: 30 * DAY,
  signingSlop: DAY,
  offlineMaster: false,
};

/** The signing key in use. */
export interface SigningKey {
  readonly signer: Ed25519Signer;
  /** Certificate of type 4, with the master key in it. */
  readonly cert: Uint8Array;
  /** Milliseconds since 1970. */
  readonly expires: number;
}

/** Reads the RSA identity, or makes it when there is none. */
export async function loadRsaIdentity(
  store: Store,
  log: Log,
  makeRsa: (bits: number) => Promise<RsaKey>,
): Promise<RsaKey> {
  const file = IDENTITY_FILES.rsa;
  const found = await store.read(file);
  if (found !== undefined) return decodeRsaFile(found, RELAY_RSA_BITS, file);
  if ((await store.read(IDENTITY_FILES.masterPublic)) !== undefined)
    log.warn(`${file} is missing although there is an ed25519 identity. Authorities refuse a relay that changes \
one of its two identities: if you have a backup, stop and restore it.`);
  const key = await makeRsa(RELAY_RSA_BITS);
  await store.write(file, encodeRsaFile(key));
  log.notice('Made a new RSA identity key.');
  return key;
}

/** What of the ed25519 identity is on disk. */
interface Found {
  readonly master: Ed25519ExpandedKey | undefined;
  readonly masterPublic: Uint8Array | undefined;
  readonly encrypted: boolean;
  readonly signing: Ed25519ExpandedKey | undefined;
  readonly cert: Ed25519Cert | undefined;
}

async function readAll(store: Store, offlineMaster: boolean): Promise<Found> {
  const F = IDENTITY_FILES;
  const read = async <T>(
    file: string,
    decode: (bytes: Uint8Array, tag: string, file: string) => T,
    tag: string,
  ) => {
    const bytes = await store.read(file);
    return bytes === undefined ? undefined : decode(bytes, tag, file);
  };
  return {
    master: offlineMaster ? undefined : await read(F.masterSecret, decodeEd25519Secret, KeyTag.MASTER),
    masterPublic: await read(F.masterPublic, decodeEd25519Public, KeyTag.MASTER),
    encrypted: (await store.read(F.masterEncrypted)) !== undefined,
    signing: await read(F.signingSecret, decodeEd25519Secret, KeyTag.SIGNING),
    cert: await read(F.signingCert, decodeCertFile, KeyTag.SIGNING),
  };
}

/**
 * The ed25519 identity: who the relay is and the key that signs for it. `signing` is a live view: `renew` replaces it.
 */
export class Ed25519Identity {
  /** Master identity, 32 bytes. */
  readonly id: Uint8Array;
  private current: SigningKey;
  private readonly store: Store;
  private readonly env: KeyEnv;
  private readonly options: IdentityOptions;
  /** When the next warning about a missing master key is due. */
  private warnAfter = 0;

  private constructor(
    id: Uint8Array,
    current: SigningKey,
    store: Store,
    env: KeyEnv,
    options: IdentityOptions,
  ) {
    this.id = id;
    this.current = current;
    this.store = store;
    this.env = env;
    this.options = options;
  }

  get signing(): SigningKey {
    return this.current;
  }

  /** Reads the identity, or makes what is absent. Throws KeyFileError. */
  static async load(store: Store, env: KeyEnv, options: IdentityOptions): Promise<Ed25519Identity> {
    const read = await readAll(store, options.offlineMaster);
    const settled = await settleIdentity(store, env, read, options);
    const found = { ...read, master: settled.made ?? read.master };
    const { id } = settled;
    const signing = usableSigning(found, id, env) ?? (await makeSigning(store, env, options, id, found));
    const identity = new Ed25519Identity(id, signing, store, env, options);
    await identity.renew(env.clock.now());
    return identity;
  }

  /**
   * Replaces the signing key when it expires soon and the master key is here, or somebody has put another signing key
   * into its place. Returns whether it did.
   */
  async renew(now: number): Promise<boolean> {
    if (this.current.expires - now > this.options.signingSlop) return false;
    const bytes = this.options.offlineMaster ? undefined : await this.store.read(IDENTITY_FILES.masterSecret);
    if (bytes === undefined) {
      if (await this.takeNewer()) return true;
      if (now >= this.warnAfter) {
        this.warnMissingMaster();
        this.warnAfter = now + DAY / 24;
      }
      return false;
    }
    const master = decodeEd25519Secret(bytes, KeyTag.MASTER, IDENTITY_FILES.masterSecret);
    wantMaster(master.publicKey, this.id, IDENTITY_FILES.masterSecret);
    this.current = await writeSigning(this.store, this.env, this.options, master);
    this.env.log.notice('Made a new ed25519 signing key; the old one was about to expire.');
    return true;
  }

  /** Takes what was copied here from where the master key is kept. */
  private async takeNewer(): Promise<boolean> {
    const found = usableSigning(await readAll(this.store, true), this.id, this.env);
    if (found === undefined || found.expires <= this.current.expires) return false;
    this.current = found;
    this.env.log.notice(
      `Took the new ed25519 signing key, which expires at ${new Date(found.expires).toISOString()}.`,
    );
    return true;
  }

  private warnMissingMaster(): void {
    this.env.log.warn(
      `The ed25519 signing key expires at ${new Date(this.current.expires).toISOString()} and the master key is \
not here to make another. Make one where the master key is kept (cepa keygen relay, or tor --keygen) and copy \
${IDENTITY_FILES.signingSecret} and ${IDENTITY_FILES.signingCert} over.`,
    );
  }
}

function wantMaster(publicKey: Uint8Array, id: Uint8Array, file: string): void {
  if (!sameBytes(publicKey, id))
    throw new KeyFileError(
      file,
      `does not belong to ${IDENTITY_FILES.masterPublic}. If you restored from a backup, check that no key files were mixed up.`,
    );
}

/** Which master identity this relay has; makes and writes one (`made`) when there is no trace of any. */
async function settleIdentity(
  store: Store,
  env: KeyEnv,
  found: Found,
  options: IdentityOptions,
): Promise<{ readonly id: Uint8Array; readonly made?: Ed25519ExpandedKey }> {
  const { master, masterPublic, cert } = found;
  const F = IDENTITY_FILES;
  if (masterPublic !== undefined) {
    if (master !== undefined) wantMaster(master.publicKey, masterPublic, F.masterSecret);
    return { id: masterPublic };
  }
  const inferred = master?.publicKey ?? (found.signing && cert?.signedWith);
  if (inferred !== undefined) {
    env.log.warn(
      `${F.masterPublic} was missing; written anew from ${master ? F.masterSecret : F.signingCert}.`,
    );
    await store.write(F.masterPublic, encodeEd25519Public(inferred, KeyTag.MASTER));
    return { id: inferred };
  }
  if (found.encrypted)
    throw new KeyFileError(
      F.masterPublic,
      `is missing, and ${F.masterEncrypted} cannot be read without its passphrase. Restore it from a backup.`,
    );
  if (options.offlineMaster)
    throw new KeyFileError(
      F.masterPublic,
      'is missing and OfflineMasterKey is set. Copy the master public key, the signing key and its certificate here.',
    );
  if (found.signing !== undefined || cert !== undefined)
    throw new KeyFileError(
      F.masterPublic,
      'is missing, and what there is of the signing key does not tell which identity it belongs to. Restore the master key from a backup.',
    );
  const made = await makeMaster(store, env);
  return { id: made.publicKey, made };
}

async function makeMaster(store: Store, env: KeyEnv): Promise<Ed25519ExpandedKey> {
  const master = generateEd25519(env.random);
  await store.write(IDENTITY_FILES.masterSecret, encodeEd25519Secret(master, KeyTag.MASTER));
  await store.write(IDENTITY_FILES.masterPublic, encodeEd25519Public(master.publicKey, KeyTag.MASTER));
  env.log.notice('Made a new ed25519 master identity key.');
  return master;
}

/** The signing key on disk, if its certificate is for it, by our master key, and not expired. */
function usableSigning(found: Found, id: Uint8Array, env: KeyEnv): SigningKey | undefined {
  const { signing, cert } = found;
  if (signing === undefined || cert === undefined) return undefined;
  const file = IDENTITY_FILES.signingCert;
  const fail = (why: string, cause?: unknown) => new KeyFileError(file, why, { cause });
  try {
    // The clock is judged apart, since an expired one is no damage.
    checkEd25519Cert(cert, { type: CertType.SIGNING, now: 0 });
  } catch (cause) {
    throw fail(
      `is damaged: ${(cause as Error).message}. Restore it from a backup, or make a new one.`,
      cause,
    );
  }
  if (!sameBytes(cert.signedWith!, id))
    throw fail(
      `is not signed by the identity in ${IDENTITY_FILES.masterPublic}. Check that no key files were mixed up.`,
    );
  if (!sameBytes(cert.key, signing.publicKey))
    throw fail(
      `does not belong to ${IDENTITY_FILES.signingSecret}: one of them is damaged or from elsewhere. Restore both from a backup, or move both away to have the master key make new ones.`,
    );
  if (env.clock.now() > cert.expires) return undefined;
  return { signer: signing, cert: cert.encoded, expires: cert.expires };
}

/** A signing key for a relay that has none that it can use. */
async function makeSigning(
  store: Store,
  env: KeyEnv,
  options: IdentityOptions,
  id: Uint8Array,
  found: Found,
): Promise<SigningKey> {
  const F = IDENTITY_FILES;
  const { master } = found;
  if (master === undefined) {
    const state = found.signing && found.cert ? 'has expired' : 'or its certificate is missing';
    const where = found.encrypted ? 'encrypted' : 'not here';
    throw new KeyFileError(
      F.signingSecret,
      `${state}, and the master key that could make another is ${where}. \
Make a new one where the master key is kept (cepa keygen relay, or tor --keygen) and copy it and ${F.signingCert} here.`,
    );
  }
  wantMaster(master.publicKey, id, F.masterSecret);
  const expired = found.cert !== undefined && env.clock.now() > found.cert.expires;
  if (found.signing === undefined || expired) return writeSigning(store, env, options, master);
  env.log.warn(`${F.signingCert} was missing; written anew.`);
  return certify(store, env, options, master, found.signing);
}

/**
 * Makes a signing key and its certificate and writes both. A crash on the way leaves a key without a certificate,
 * which the next start certifies; never two files that do not belong together.
 */
async function writeSigning(
  store: Store,
  env: KeyEnv,
  options: IdentityOptions,
  master: Ed25519Signer,
): Promise<SigningKey> {
  const key = generateEd25519(env.random);
  await store.remove(IDENTITY_FILES.signingCert);
  await store.write(IDENTITY_FILES.signingSecret, encodeEd25519Secret(key, KeyTag.SIGNING));
  return certify(store, env, options, master, key);
}

async function certify(
  store: Store,
  env: KeyEnv,
  options: IdentityOptions,
  master: Ed25519Signer,
  key: Ed25519Signer,
): Promise<SigningKey> {
  const cert = makeEd25519Cert({
    type: CertType.SIGNING,
    key: key.publicKey,
    expires: env.clock.now() + options.signingLifetime,
    signer: master,
    includeSigner: true,
  });
  await store.write(IDENTITY_FILES.signingCert, encodeCertFile(cert, KeyTag.SIGNING));
  return { signer: key, cert, expires: parseEd25519Cert(cert).expires };
}
