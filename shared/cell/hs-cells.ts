/**
 * Bodies of the relay messages by which an onion service and its client meet (rend-spec-v3 3.1, 3.2, 4.1, 4.2).
 *
 * MACs and signatures are bytes here; who makes and checks them is in `hs/`. What they cover is told with each codec.
 *
 * @module
 */
import { DecodeError } from '../bytes/errors.js';
import { Reader } from '../bytes/reader.js';
import { Writer } from '../bytes/writer.js';
import {
  type Codec,
  counted,
  type Field,
  fixed,
  group,
  list,
  message,
  struct,
  u8,
  u16,
  u64,
} from './codec.js';
import { type LinkSpecifier, linkSpecifier } from './link-specifiers.js';

/** Bytes of a rendezvous cookie. */
export const REND_COOKIE_SIZE = 20;
/** Bytes of the MACs in these messages: SHA3-256. */
export const HS_MAC_SIZE = 32;
/**
 * An INTRODUCE1 has at least so many bytes, so that its length tells nothing of its extensions: C tor fills up to 246
 * what is neither X nor MAC [compute_introduce1_padding], and so must whoever would not be told apart.
 */
export const INTRODUCE1_MIN_SIZE = 246 + 64;
/** Introduction points refuse larger ones: they would not fit every relay cell format [hs_intropoint.c]. */
export const INTRODUCE1_MAX_SIZE = 490;
/** RENDEZVOUS1 is filled up to the size it had in older protocols [HS_LEGACY_RENDEZVOUS_CELL_SIZE]. */
export const RENDEZVOUS1_SIZE = 168;

/** Bytes before the extensions of INTRODUCE1: the name of an older protocol's key, all zero in this one. */
const LEGACY_KEY_SIZE = 20;
const ED25519_SIZE = 32;
const X25519_SIZE = 32;
const SIGNATURE_SIZE = 64;
const AUTH_KEY_ED25519 = 2;
const ONION_KEY_NTOR = 1;

/** An extension: type (1), length (1), body. */
export interface HsExtension {
  readonly type: number;
  readonly body: Uint8Array;
}

/** Types of extensions, by the message they are in. */
export const HsExtensionType = {
  /** ESTABLISH_INTRO: what INTRODUCE2 cells the service wants to be spared. */
  ESTABLISH_INTRO_DOS: 1,
  /** INTRODUCE, encrypted part: the client can do congestion control; empty. */
  INTRODUCE_CONGESTION_CONTROL: 1,
  /** INTRODUCE, encrypted part: a proof of work (prop327). */
  INTRODUCE_POW: 2,
} as const;

const extensions: Field<HsExtension[]> = list(u8, group<HsExtension>({ type: u8, body: counted(u8) }));

/** A key of one kind: kind, length, key. */
const typedKey = (kindOf: Field<number>, wanted: number, size: number): Field<Uint8Array> => {
  const key = counted(u16);
  return {
    read(from, name) {
      const kind = kindOf.read(from, `${name}.type`);
      if (kind !== wanted) throw new DecodeError(`${name}.type`, `wanted ${wanted}, got ${kind}`);
      const bytes = key.read(from, name);
      if (bytes.length !== size) throw new DecodeError(name, `wanted ${size} bytes, got ${bytes.length}`);
      return bytes;
    },
    write(to, value, name) {
      if (value.length !== size) throw new RangeError(`${name}: wanted ${size} bytes, got ${value.length}`);
      kindOf.write(to, wanted, `${name}.type`);
      key.write(to, value, name);
    },
  };
};

const authKey = typedKey(u8, AUTH_KEY_ED25519, ED25519_SIZE);

const signature: Field<Uint8Array> = {
  read(from, name) {
    const bytes = counted(u16).read(from, name);
    if (bytes.length !== SIGNATURE_SIZE)
      throw new DecodeError(name, `wanted ${SIGNATURE_SIZE} bytes, got ${bytes.length}`);
    return bytes;
  },
  write(to, value, name) {
    if (value.length !== SIGNATURE_SIZE) throw new RangeError(`${name}: wanted ${SIGNATURE_SIZE} bytes`);
    counted(u16).write(to, value, name);
  },
};

/** All that is left of the message. */
const rest: Field<Uint8Array> = {
  read: (from) => from.rest(),
  write: (to, value) => to.bytes(value),
};

// Introduction points

/** The part of ESTABLISH_INTRO its MAC covers. */
export interface EstablishIntroHead {
  /** The introduction point's key, ed25519. */
  readonly authKey: Uint8Array;
  readonly extensions: HsExtension[];
}

const establishHead = { authKey, extensions };

/** What the MAC of ESTABLISH_INTRO covers: key type (1) = 2, length (2), key (32), extensions. */
export const ESTABLISH_INTRO_HEAD: Codec<EstablishIntroHead> = struct('ESTABLISH_INTRO', establishHead);

/** ESTABLISH_INTRO. */
export interface EstablishIntro extends EstablishIntroHead {
  readonly mac: Uint8Array;
  readonly signature: Uint8Array;
}

/**
 * ESTABLISH_INTRO: head, MAC (32), signature length (2) = 64, signature. The MAC's key is the circuit's KH; the
 * signature is over "Tor establish-intro cell v1", head and MAC.
 */
export const ESTABLISH_INTRO: Codec<EstablishIntro> = struct('ESTABLISH_INTRO', {
  ...establishHead,
  mac: fixed(HS_MAC_SIZE),
  signature,
});

/** INTRO_ESTABLISHED: extensions, of which none is known. */
export const INTRO_ESTABLISHED: Codec<{ readonly extensions: HsExtension[] }> = struct('INTRO_ESTABLISHED', {
  extensions,
});

/** What a service asks of its introduction point; undefined: what the consensus says. */
export interface IntroDosParams {
  /** INTRODUCE2 cells a second, and at once. 0 is no limit. */
  readonly rate: bigint;
  readonly burst: bigint;
}

const DOS_RATE = 1;
const DOS_BURST = 2;

const dosParams: Codec<{ type: number; value: bigint }[]> = message(
  'ESTABLISH_INTRO.dos',
  list(u8, group({ type: u8, value: u64 })),
);

/** The extension that asks for a defence. */
export const dosExtension = ({ rate, burst }: IntroDosParams): HsExtension => ({
  type: HsExtensionType.ESTABLISH_INTRO_DOS,
  body: dosParams.encode([
    { type: DOS_RATE, value: rate },
    { type: DOS_BURST, value: burst },
  ]),
});

/**
 * The defence asked for. Undefined when there is none, or it cannot be read, or has a parameter nobody knows: C tor
 * passes over it then (handle_establish_intro_cell_dos_extension).
 */
export function dosParamsIn(list: readonly HsExtension[]): IntroDosParams | undefined {
  const found = list.find(({ type }) => type === HsExtensionType.ESTABLISH_INTRO_DOS);
  if (!found) return undefined;
  let rate = 0n;
  let burst = 0n;
  try {
    for (const { type, value } of dosParams.decode(found.body)) {
      if (type === DOS_RATE) rate = value;
      else if (type === DOS_BURST) burst = value;
      else return undefined;
    }
  } catch {
    return undefined;
  }
  return { rate, burst };
}

// Introductions

/** What an introduction point reads of INTRODUCE1. */
export interface IntroduceHead {
  readonly authKey: Uint8Array;
  readonly extensions: HsExtension[];
  /** Not empty. */
  readonly encrypted: Uint8Array;
}

const noLegacyKey: Field<Uint8Array> = {
  read(from, name) {
    const id = from.slice(LEGACY_KEY_SIZE, name);
    if (id.some((byte) => byte !== 0)) throw new DecodeError(name, 'the version 2 protocol is gone');
    return id;
  },
  write: (to) => to.zeros(LEGACY_KEY_SIZE),
};

const NONE = new Uint8Array(0);

const introduceHead = struct<IntroduceHead & { legacyKeyId: Uint8Array }>('INTRODUCE1', {
  legacyKeyId: noLegacyKey,
  authKey,
  extensions,
  encrypted: rest,
});

/** INTRODUCE1 to the introduction point: zeros (20), key type (1) = 2, length (2), key, extensions, encrypted part. */
export const INTRODUCE1: Codec<IntroduceHead> = {
  name: 'INTRODUCE1',
  encode: (value) => introduceHead.encode({ ...value, legacyKeyId: NONE }),
  decode(bytes) {
    const { legacyKeyId: _zeros, ...head } = introduceHead.decode(bytes);
    if (head.encrypted.length === 0) throw new DecodeError('INTRODUCE1.encrypted', 'is empty');
    return head;
  },
};

/** What a service reads of INTRODUCE2. */
export interface Introduce {
  readonly authKey: Uint8Array;
  readonly extensions: HsExtension[];
  /** X, the client's half of the handshake. */
  readonly clientKey: Uint8Array;
  /** AES-256-CTR of IntroduceSecrets, padded. */
  readonly ciphertext: Uint8Array;
  readonly mac: Uint8Array;
}

/** INTRODUCE2, and INTRODUCE1 in full: the encrypted part is X (32), ciphertext, MAC (32) of all that is before it. */
export const INTRODUCE2: Codec<Introduce> = {
  name: 'INTRODUCE2',
  encode({ authKey: key, extensions: list, clientKey, ciphertext, mac }) {
    const writer = new Writer(INTRODUCE1_MAX_SIZE);
    fixed(X25519_SIZE).write(writer, clientKey, 'INTRODUCE2.clientKey');
    writer.bytes(ciphertext);
    fixed(HS_MAC_SIZE).write(writer, mac, 'INTRODUCE2.mac');
    return INTRODUCE1.encode({ authKey: key, extensions: list, encrypted: writer.finish() });
  },
  decode(bytes) {
    const { encrypted, ...head } = INTRODUCE1.decode(bytes);
    const from = new Reader(encrypted);
    const clientKey = from.slice(X25519_SIZE, 'INTRODUCE2.clientKey');
    if (from.left <= HS_MAC_SIZE) throw new DecodeError('INTRODUCE2.ciphertext', 'is empty');
    const ciphertext = from.slice(from.left - HS_MAC_SIZE, 'INTRODUCE2.ciphertext');
    return { ...head, clientKey, ciphertext, mac: from.rest() };
  },
};

/** What a client tells the service alone. */
export interface IntroduceSecrets {
  readonly cookie: Uint8Array;
  readonly extensions: HsExtension[];
  /** The rendezvous point's ntor key. */
  readonly onionKey: Uint8Array;
  readonly specifiers: LinkSpecifier[];
}

/**
 * The encrypted part of INTRODUCE: cookie (20), extensions, key type (1) = 1, length (2), key (32), link specifiers,
 * zeros.
 */
export const INTRODUCE_SECRETS: Codec<IntroduceSecrets> = struct('INTRODUCE', {
  cookie: fixed(REND_COOKIE_SIZE),
  extensions,
  onionKey: typedKey(u8, ONION_KEY_NTOR, X25519_SIZE),
  specifiers: list(u8, linkSpecifier),
});

/** What an introduction point answers. */
export const IntroduceStatus = { SUCCESS: 0, UNKNOWN_ID: 1, BAD_FORMAT: 2, CANNOT_RELAY: 3 } as const;

/** INTRODUCE_ACK: status (2), extensions. */
export const INTRODUCE_ACK: Codec<{ readonly status: number; readonly extensions: HsExtension[] }> = struct(
  'INTRODUCE_ACK',
  { status: u16, extensions },
);

// Rendezvous

/** ESTABLISH_RENDEZVOUS: the cookie (20) and nothing else. */
export const ESTABLISH_RENDEZVOUS: Codec<{ readonly cookie: Uint8Array }> = {
  name: 'ESTABLISH_RENDEZVOUS',
  encode: ({ cookie }) => checkedCookie(cookie),
  decode(bytes) {
    if (bytes.length !== REND_COOKIE_SIZE)
      throw new DecodeError('ESTABLISH_RENDEZVOUS.cookie', `wanted 20 bytes, got ${bytes.length}`);
    return { cookie: bytes };
  },
};

function checkedCookie(cookie: Uint8Array): Uint8Array {
  if (cookie.length !== REND_COOKIE_SIZE) throw new RangeError('a rendezvous cookie has 20 bytes');
  return cookie;
}

/** RENDEZVOUS1: cookie (20), then what goes into RENDEZVOUS2: Y (32), MAC (32), padding. */
export const RENDEZVOUS1: Codec<{ readonly cookie: Uint8Array; readonly handshake: Uint8Array }> = struct(
  'RENDEZVOUS1',
  { cookie: fixed(REND_COOKIE_SIZE), handshake: rest },
);
