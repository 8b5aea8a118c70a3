/**
 * The items of an onion service's descriptor: the outer document, the plaintexts of its two layers, and an
 * introduction point (rend-spec-v3 2.4, 2.5.1.2, 2.5.2.2), in the order C tor writes them.
 *
 * @module
 */
import { fromBase64, toBase64, toBase64Bare } from '../bytes/text.js';
import { LINK_SPECIFIERS, type LinkSpecifier } from '../cell/link-specifiers.js';
import { ed25519Cert, within } from './descriptor-table.js';
import { type AuthClient, COOKIE_SIZE } from './hs-descriptor-crypt.js';
import { formatTime, parseTime } from './numbers.js';
import { parseProtocols } from './protover.js';
import { any, type ItemCodec, maybe, one, schema, some } from './schema.js';
import { base64Bytes, flag, lineOf, object, unsignedArg, words } from './values.js';

/** How errors call the outer document and the layers. */
export const OUTER = 'hs-descriptor';
const FIRST_LAYER = 'hs-descriptor.superencrypted';
const SECOND_LAYER = 'hs-descriptor.encrypted';
export const INTRO_POINT = 'introduction-point';

/** Largest descriptor in bytes (HS_DESC_MAX_LEN); the parameter HSV3MaxDescriptorSize may allow another size. */
export const MAX_HS_DESCRIPTOR_SIZE = 50_000;

const message = object('MESSAGE', 1, MAX_HS_DESCRIPTOR_SIZE);

const version: ItemCodec<3> = lineOf(
  (item) => (item.args(1)[0] === '3' ? 3 : item.fail('version is not 3')),
  String,
);

const UINT64_MAX = 2n ** 64n - 1n;

const revision: ItemCodec<bigint> = lineOf((item) => {
  const [text = ''] = item.args(1);
  const value = /^(0|[1-9]\d{0,19})$/.test(text) ? BigInt(text) : -1n;
  return value >= 0n && value <= UINT64_MAX ? value : item.fail('not a 64-bit number');
}, String);

/** 12 hours. */
const MAX_LIFETIME_MINUTES = 720;
const MIN_LIFETIME_MINUTES = 30;

const lifetime: ItemCodec<number> = lineOf((item) => {
  const minutes = unsignedArg(item, item.args(1)[0], MAX_LIFETIME_MINUTES);
  return minutes < MIN_LIFETIME_MINUTES ? item.fail(`less than ${MIN_LIFETIME_MINUTES} minutes`) : minutes;
}, String);

/** The outer document. */
export const OUTER_TABLE = schema(OUTER, {
  version: one('hs-descriptor', version, { place: 0 }),
  lifetime: one('descriptor-lifetime', lifetime),
  signingCert: one('descriptor-signing-key-cert', ed25519Cert()),
  revision: one('revision-counter', revision),
  superencrypted: one('superencrypted', message),
  signature: one('signature', base64Bytes(64), { place: -1 }),
});

const x25519Type: ItemCodec<'x25519'> = lineOf(
  (item) => (item.args(1)[0] === 'x25519' ? 'x25519' : item.fail('not x25519')),
  (type) => type,
);

/** A key in base64 with padding. */
const paddedKey: ItemCodec<Uint8Array> = lineOf(
  (item) => fromBase64(item.args(1)[0] ?? '', item.field, 32),
  toBase64,
);

const authClient: ItemCodec<AuthClient> = lineOf(
  (item) => {
    const [id = '', iv = '', cookie = ''] = item.args(3);
    return {
      id: fromBase64(id, item.field, 8),
      iv: fromBase64(iv, item.field, 16),
      encryptedCookie: fromBase64(cookie, item.field, COOKIE_SIZE),
    };
  },
  ({ id, iv, encryptedCookie }) => [id, iv, encryptedCookie].map(toBase64Bare).join(' '),
);

/** The plaintext of the outer layer. */
export const FIRST_LAYER_TABLE = schema(FIRST_LAYER, {
  authType: one('desc-auth-type', x25519Type, { place: 0 }),
  ephemeralKey: one('desc-auth-ephemeral-key', paddedKey),
  authClients: some('auth-client', authClient),
  encrypted: one('encrypted', message),
});

const createFormats: ItemCodec<readonly number[]> = lineOf(
  (item) => item.args(1).map((text) => unsignedArg(item, text, 65535)),
  (formats) => formats.join(' '),
);

/** `flow-control versions sendme-inc`. */
export interface FlowControlLine {
  /** FlowCtrl versions, e.g. `1-2`. */
  readonly versions: string;
  readonly sendmeInc: number;
}

const flowControl: ItemCodec<FlowControlLine> = lineOf(
  (item) => {
    const [versions = '', increment] = item.args(2);
    parseProtocols(`FlowCtrl=${versions}`, item.field);
    const sendmeInc = unsignedArg(item, increment, 255);
    return sendmeInc === 0 ? item.fail('increment of 0') : { versions, sendmeInc };
  },
  ({ versions, sendmeInc }) => `${versions} ${sendmeInc}`,
);

/** `pow-params v1 seed effort expiry`. */
export interface PowParams {
  /** 32 bytes. */
  readonly seed: Uint8Array;
  readonly suggestedEffort: number;
  /** Milliseconds since 1970. */
  readonly expires: number;
}

const UINT32_MAX = 2 ** 32 - 1;

/** Null for a scheme that is not known. */
const powParams: ItemCodec<PowParams | null> = lineOf(
  (item) => {
    const [scheme] = item.args(1);
    if (scheme !== 'v1') return null;
    const [, seed = '', effort, expiry = ''] = item.args(4);
    const expires = parseTime(expiry.replace('T', ' '));
    if (expires < 0) item.fail('not a time');
    return {
      seed: fromBase64(seed, item.field, 32),
      suggestedEffort: unsignedArg(item, effort, UINT32_MAX),
      expires,
    };
  },
  (value) => {
    if (value === null) return '';
    const expiry = formatTime(value.expires).replace(' ', 'T');
    return `v1 ${toBase64(value.seed)} ${value.suggestedEffort} ${expiry}`;
  },
);

/** The plaintext of the inner layer before its introduction points. */
export const SECOND_LAYER_TABLE = schema(SECOND_LAYER, {
  createFormats: one('create2-formats', createFormats, { place: 0 }),
  introAuthRequired: maybe('intro-auth-required', words),
  singleOnionService: maybe('single-onion-service', flag),
  flowControl: maybe('flow-control', flowControl),
  powParams: any('pow-params', powParams),
});

const linkSpecifiers: ItemCodec<readonly LinkSpecifier[]> = lineOf(
  (item) => {
    const bytes = fromBase64(item.args(1)[0] ?? '', item.field);
    return within(item, () => LINK_SPECIFIERS.decode(bytes));
  },
  (specifiers) => toBase64(LINK_SPECIFIERS.encode([...specifiers])),
);

/** `ntor` and a key; null for other kinds. */
const ntorKey: ItemCodec<Uint8Array | null> = {
  object: 'optional',
  read(item) {
    const [kind, key = ''] = item.args(2);
    return kind === 'ntor' ? fromBase64(key, item.field, 32) : null;
  },
  write: (key) => ({ rest: `ntor ${toBase64(key ?? new Uint8Array(0))}` }),
};

/** One introduction point. */
export const INTRO_POINT_TABLE = schema(INTRO_POINT, {
  linkSpecifiers: one('introduction-point', linkSpecifiers, { place: 0 }),
  onionKeys: some('onion-key', ntorKey),
  authKeyCert: one('auth-key', ed25519Cert()),
  encKeys: some('enc-key', ntorKey),
  encKeyCert: one('enc-key-cert', ed25519Cert()),
});

/** Seconds, minutes and sizes that descriptors are made with, as in C tor. */
export const HS_DESCRIPTOR_DEFAULTS = {
  lifetimeMinutes: 180,
  /** HS_DESC_CERT_LIFETIME, milliseconds. */
  certLifetime: 54 * 3_600_000,
  /** The first layer is padded with zeros to a multiple of so many bytes. */
  padTo: 10_000,
  /** There is always a multiple of so many `auth-client` lines. */
  authClientMultiple: 16,
  maxIntroPoints: 20,
} as const;
