/**
 * Files of an onion service and of its clients, in C tor's formats.
 *
 * In HiddenServiceDir: `hs_ed25519_secret_key`, `hs_ed25519_public_key` (see keyfiles.ts), `hostname` (the address and a
 * newline), `authorized_clients/NAME.auth` with `descriptor:x25519:BASE32 public key`.
 * In ClientOnionAuthDir: `NAME.auth_private` with `ADDRESS:descriptor:x25519:BASE32 secret key`, the address without
 * `.onion`.
 *
 * @module
 */
import { DecodeError } from '../bytes/errors.js';
import { bytesOf, fromBase32, sameBytes, toBase32 } from '../bytes/text.js';
import type { Random } from '../runtime/types.js';
import type { Store } from '../store/types.js';
import { type Ed25519ExpandedKey, generateEd25519 } from './ed25519.js';
import { isAllZero } from './equal.js';
import {
  decodeEd25519Public,
  decodeEd25519Secret,
  encodeEd25519Public,
  encodeEd25519Secret,
  KeyFileError,
  KeyTag,
} from './keyfiles.js';
import { onionAddress, parseOnionAddress } from './onion-address.js';
import { X25519_SIZE, type X25519KeyPair, x25519FromSecret } from './x25519.js';

/** Names under HiddenServiceDir. */
export const HS_FILES = {
  secret: 'hs_ed25519_secret_key',
  public: 'hs_ed25519_public_key',
  hostname: 'hostname',
  clients: 'authorized_clients',
} as const;

/** An onion service's identity. */
export interface HsIdentity {
  readonly key: Ed25519ExpandedKey;
  /** With `.onion`. */
  readonly address: string;
}

/**
 * Reads a service's identity key, or makes one when there is none, and sees to it that `hostname` is there and right.
 * Rejects with KeyFileError; nothing that is there is replaced but `hostname`.
 */
export async function loadOrCreateHsIdentity(
  store: Store,
  directory: string,
  random: Random,
): Promise<HsIdentity> {
  const at = (name: string) => (directory === '' ? name : `${directory}/${name}`);
  const [secretFile, publicFile] = [at(HS_FILES.secret), at(HS_FILES.public)];
  const [secret, publicKey] = [await store.read(secretFile), await store.read(publicFile)];
  const tag = KeyTag.ONION_SERVICE;
  if (secret === undefined && publicKey !== undefined)
    throw new KeyFileError(
      secretFile,
      `is missing although ${publicFile} is there. Restore it from a backup, or move the other away for a new address.`,
    );

  // Keys made by searching for an address need not be clamped.
  const key = secret ? decodeEd25519Secret(secret, tag, secretFile, 'any scalar') : generateEd25519(random);
  if (publicKey && !sameBytes(decodeEd25519Public(publicKey, tag, publicFile), key.publicKey))
    throw new KeyFileError(publicFile, `does not belong to ${secretFile}. Restore both from one backup.`);
  if (!secret) await store.write(secretFile, encodeEd25519Secret(key, tag));
  if (!publicKey) await store.write(publicFile, encodeEd25519Public(key.publicKey, tag));

  const address = onionAddress(key.publicKey);
  const hostname = bytesOf(`${address}\n`);
  const found = await store.read(at(HS_FILES.hostname));
  if (!found || !sameBytes(found, hostname)) await store.write(at(HS_FILES.hostname), hostname);
  return { key, address };
}

/** A content of so many fields, separated by colons, white space around each ignored. */
function fieldsOf(text: string, count: number, field: string): string[] {
  const fields = text.split(':').map((part) => part.trim());
  if (fields.length !== count)
    throw new DecodeError(field, `has ${fields.length} fields separated by ":", not ${count}`);
  return fields;
}

function decodeKey(auth: string, type: string, key: string, field: string): Uint8Array {
  if (auth !== 'descriptor') throw new DecodeError(field, 'only "descriptor" authorization is known');
  if (type !== 'x25519') throw new DecodeError(field, 'only "x25519" keys are known');
  if (key.length !== 52) throw new DecodeError(field, 'the key is not 52 characters of base32');
  const bytes = fromBase32(key, field);
  if (isAllZero(bytes)) throw new DecodeError(field, 'the key is zero');
  return bytes.subarray(0, X25519_SIZE);
}

/** Any secret shows whether a public key is of low order: all are multiples of 8. */
const PROBE = new Uint8Array(X25519_SIZE);

/**
 * The client's public key in an `.auth` file. Throws DecodeError; `field` names the file. It comes from the client: one
 * of low order, which C tor takes, can be agreed with by nobody, and no descriptor could be made.
 */
export function parseAuthorizedClient(text: string, field: string): Uint8Array {
  const [auth, type, key] = fieldsOf(text, 3, field) as [string, string, string];
  const publicKey = decodeKey(auth, type, key, field);
  try {
    x25519FromSecret(PROBE).agree(publicKey);
  } catch (cause) {
    throw new DecodeError(field, 'the key is of low order', { cause });
  }
  return publicKey;
}

/** Content of an `.auth` file. */
export const encodeAuthorizedClient = (publicKey: Uint8Array): string =>
  `descriptor:x25519:${toBase32(publicKey).toUpperCase()}\n`;

/** A client's access to one service. */
export interface ClientAuthorization {
  /** The service's identity key, 32 bytes. */
  readonly identity: Uint8Array;
  readonly key: X25519KeyPair;
}

/** Reads an `.auth_private` file. Throws DecodeError; `field` names the file. No error shows the key. */
export function parseClientAuthorization(text: string, field: string): ClientAuthorization {
  const [address, auth, type, key] = fieldsOf(text, 4, field) as [string, string, string, string];
  const identity = parseOnionAddress(`${address}.onion`);
  return { identity, key: x25519FromSecret(decodeKey(auth, type, key, field)) };
}

/** Content of an `.auth_private` file. */
export function encodeClientAuthorization({ identity, key }: ClientAuthorization): string {
  const address = onionAddress(identity).slice(0, -'.onion'.length);
  return `${address}:descriptor:x25519:${toBase32(key.secret).toUpperCase()}\n`;
}
