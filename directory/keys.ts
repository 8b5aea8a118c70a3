/**
 * An authority's own keys: a long-term identity key that may be kept off the machine, a signing key of some months,
 * and the certificate by which the first vouches for the second (dir-spec 3.1). Files are C tor's, in `keys/`:
 * `authority_identity_key`, `authority_signing_key` (PEM), `authority_certificate`.
 *
 * @module
 */
import { createPrivateKey } from 'node:crypto';
import { CepaError, DecodeError } from '../shared/bytes/errors.js';
import { bytesOf, sameBytes } from '../shared/bytes/text.js';
import { generateRsa, type RsaKey, rsaFromKeyObject, rsaFromPem } from '../shared/crypto/rsa.js';
import { buildAuthorityCertificate, parseAuthorityCertificate } from '../shared/netdoc/authority-cert.js';
import type { AuthorityCertificate } from '../shared/netdoc/types.js';
import type { Store } from '../shared/store/types.js';

export const IDENTITY_KEY_FILE = 'keys/authority_identity_key';
export const SIGNING_KEY_FILE = 'keys/authority_signing_key';
export const CERTIFICATE_FILE = 'keys/authority_certificate';

/** Sizes in bits that C tor's tor-gencert makes. */
export const IDENTITY_KEY_BITS = 3072;
export const SIGNING_KEY_BITS = 2048;

const DAY = 24 * 3600 * 1000;
const HOUR = 3600 * 1000;

/** An authority's keys are missing, do not fit together, or are too old. The message says what to do. */
export class AuthorityKeyError extends CepaError {
  constructor(message: string, options?: { cause?: unknown }) {
    super('authority-keys', message, options);
  }
}

/** What a running authority holds; the identity key itself is not needed. */
export interface AuthorityKeys {
  readonly signingKey: RsaKey;
  readonly certificate: AuthorityCertificate;
}

/** What `cepa keygen authority` is asked for. */
export interface KeygenOptions {
  /** Of a new identity key. */
  readonly identityBits?: number;
  readonly signingBits?: number;
  /** How long the certificate lasts; 12 when absent. */
  readonly months?: number;
  /** `dir-address` of the certificate. */
  readonly address?: { readonly host: string; readonly port: number };
  /** Encrypts a new identity key, opens an old one. */
  readonly passphrase?: string;
  /** Where the identity key is, when it is not in the data directory: its PEM. */
  readonly identityPem?: string;
  /** Replaces a signing key and certificate that are there, keeping the old ones aside. */
  readonly renew?: boolean;
  /** Milliseconds. */
  readonly now: number;
  /** Makes RSA keys; a simulation gives its own. */
  readonly makeRsa?: (bits: number) => Promise<RsaKey>;
}

/** What was made. */
export interface KeygenResult extends AuthorityKeys {
  /** Whether a new identity was made. */
  readonly newIdentity: boolean;
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8');

function openIdentity(pem: string, passphrase: string | undefined): RsaKey {
  if (passphrase === undefined && !/ENCRYPTED/.test(pem)) return rsaFromPem(pem, IDENTITY_KEY_FILE);
  try {
    return rsaFromKeyObject(createPrivateKey({ key: pem, passphrase }));
  } catch (cause) {
    throw new AuthorityKeyError(
      'The authority identity key cannot be opened: is it encrypted, and the passphrase right?',
      { cause },
    );
  }
}

const identityPemOf = (key: RsaKey, passphrase: string | undefined): string =>
  passphrase === undefined
    ? key.toPem()
    : key.keyObject.export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase }).toString();

/** The same day some months on, or the last of that month. */
function monthsLater(now: number, months: number): number {
  const date = new Date(now);
  const day = date.getUTCDate();
  date.setUTCDate(1);
  date.setUTCMonth(date.getUTCMonth() + months);
  const last = new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + 1, 0)).getUTCDate();
  date.setUTCDate(Math.min(day, last));
  return date.getTime();
}

/**
 * Makes what is missing: the identity key (never a second one), a signing key and its certificate.
 *
 * @throws AuthorityKeyError when there are a signing key or certificate already and `renew` was not asked for, or when the
 *   passphrase of a new identity key is empty.
 */
export async function keygenAuthority(store: Store, options: KeygenOptions): Promise<KeygenResult> {
  const existing = [SIGNING_KEY_FILE, CERTIFICATE_FILE];
  for (const name of existing) {
    if (!options.renew && (await store.read(name)))
      throw new AuthorityKeyError(
        `${name} is there already. To replace signing key and certificate (the old ones are kept aside), ask for renewal (--renew).`,
      );
  }
  const stored = await store.read(IDENTITY_KEY_FILE);
  const pem = options.identityPem ?? (stored && text(stored));
  // One that was made so can still be opened.
  if (pem === undefined && options.passphrase === '')
    throw new AuthorityKeyError(
      'The passphrase is empty, and would keep the identity key from nobody: the first line of the file has to be one.',
    );
  const { makeRsa = generateRsa } = options;
  const identityKey =
    pem === undefined
      ? await makeRsa(options.identityBits ?? IDENTITY_KEY_BITS)
      : openIdentity(pem, options.passphrase);
  const signingKey = await makeRsa(options.signingBits ?? SIGNING_KEY_BITS);
  const published = Math.floor(options.now / 1000) * 1000;
  const document = buildAuthorityCertificate({
    identityKey,
    signingKey,
    published,
    expires: monthsLater(published, options.months ?? 12),
    address: options.address,
  });
  const certificate = parseAuthorityCertificate(document);
  if (pem === undefined)
    await store.write(IDENTITY_KEY_FILE, bytesOf(identityPemOf(identityKey, options.passphrase)));
  for (const name of existing) if (await store.read(name)) await store.setAside(name);
  await store.write(SIGNING_KEY_FILE, bytesOf(signingKey.toPem()));
  await store.write(CERTIFICATE_FILE, bytesOf(document));
  return { signingKey, certificate, newIdentity: pem === undefined };
}

async function readOrExplain(store: Store, name: string): Promise<string> {
  const bytes = await store.read(name);
  if (!bytes)
    throw new AuthorityKeyError(
      `${name} is missing from the data directory. Make the authority's keys with: cepa keygen authority`,
    );
  return text(bytes);
}

/**
 * Loads signing key and certificate and checks that they belong together.
 *
 * @throws AuthorityKeyError, naming the file and what to do.
 */
export async function loadAuthorityKeys(store: Store, now: number): Promise<AuthorityKeys> {
  const pem = await readOrExplain(store, SIGNING_KEY_FILE);
  const document = await readOrExplain(store, CERTIFICATE_FILE);
  try {
    const signingKey = rsaFromPem(pem, SIGNING_KEY_FILE);
    const certificate = parseAuthorityCertificate(document);
    if (!sameBytes(signingKey.publicDer, certificate.signingKey))
      throw new AuthorityKeyError(
        `${CERTIFICATE_FILE} certifies another key than the one in ${SIGNING_KEY_FILE}.`,
      );
    if (certificate.expires <= now)
      throw new AuthorityKeyError(
        `${CERTIFICATE_FILE} expired at ${new Date(certificate.expires).toISOString()}. Renew it with: cepa keygen authority --renew`,
      );
    return { signingKey, certificate };
  } catch (cause) {
    if (!(cause instanceof DecodeError)) throw cause;
    throw new AuthorityKeyError(`The authority's keys cannot be read: ${cause.message}`, { cause });
  }
}

/** A warning about a certificate that is running out. */
export interface ExpiryWarning {
  readonly level: 'error' | 'warn';
  readonly message: string;
  /** Say it again after so many milliseconds. */
  readonly repeatAfter: number;
}

/** What to say about a certificate that expires at `expires`; nothing until 30 days before (C tor `v3_authority_check_key_expiry`). */
export function expiryWarning(expires: number, now: number): ExpiryWarning | undefined {
  const left = expires - now;
  const renew = 'Renew it with: cepa keygen authority --renew';
  if (left <= 0)
    return {
      level: 'error',
      message: `This authority's certificate has expired: it cannot vote. ${renew}`,
      repeatAfter: HOUR,
    };
  if (left <= DAY)
    return {
      level: 'warn',
      message: `This authority's certificate expires in ${Math.floor(left / HOUR)} hours. ${renew}`,
      repeatAfter: HOUR,
    };
  if (left > 30 * DAY) return undefined;
  return {
    level: 'warn',
    message: `This authority's certificate expires in ${Math.floor(left / DAY)} days. ${renew}`,
    repeatAfter: left <= 7 * DAY ? DAY : 5 * DAY,
  };
}
