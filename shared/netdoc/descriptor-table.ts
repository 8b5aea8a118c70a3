/**
 * The items of server descriptors (dir-spec 2.1.1), in the order C tor writes them [router_dump_router_to_string],
 * and those that extra-info documents share with them.
 *
 * @module
 */
import { CepaError, DecodeError } from '../bytes/errors.js';
import { fromBase64, fromHex, toBase64Bare, toHex } from '../bytes/text.js';
import { RELAY_RSA_BITS } from '../crypto/rsa.js';
import { formatAddressPort, ipv4Number, parseAddressPort } from './address.js';
import { isFamilyMember } from './family.js';
import { type PolicyEntry, parsePolicyRule } from './policy.js';
import { any, type ItemCodec, maybe, one, schema, some } from './schema.js';
import type { Item } from './tokenizer.js';
import type { OrAddress } from './types.js';
import {
  base64Bytes,
  flag,
  line,
  lineOf,
  nicknameArg,
  object,
  objectOf,
  portSummary,
  protocols,
  rsaKey,
  rsaSignature,
  time,
  unsigned,
  unsignedArg,
  words,
} from './values.js';

/** How errors call a server descriptor. */
export const DESCRIPTOR = 'descriptor';
const INT32_MAX = 2 ** 31 - 1;
const PORT_MAX = 65535;

/** Ed25519 certificates take 104 bytes, or 140 with their key. */
export const ed25519Cert = (label = 'ED25519 CERT'): ItemCodec<Uint8Array> => object(label, 104, 1024);

interface RouterLine {
  readonly nickname: string;
  readonly address: string;
  readonly orPort: number;
  readonly dirPort: number;
}

/** `router nickname address ORPort SOCKSPort DirPort`; the SOCKS port is always 0. */
const routerLine: ItemCodec<RouterLine> = lineOf(
  (item) => {
    const [nickname, address = '', orPort, , dirPort] = item.args(5);
    if (ipv4Number(address) < 0) item.fail(`not an IPv4 address: ${JSON.stringify(address.slice(0, 40))}`);
    const ports = {
      orPort: unsignedArg(item, orPort, PORT_MAX),
      dirPort: unsignedArg(item, dirPort, PORT_MAX),
    };
    if (ports.orPort === 0) item.fail('the ORPort is 0');
    return { nickname: nicknameArg(item, nickname), address, ...ports };
  },
  (value) => `${value.nickname} ${value.address} ${value.orPort} 0 ${value.dirPort}`,
);

const orAddress: ItemCodec<OrAddress> = lineOf(
  (item) => parseAddressPort(item.args(1)[0] ?? '') ?? item.fail('not an address and port'),
  formatAddressPort,
);

/** Ten groups of four hex digits. */
const fingerprint: ItemCodec<Uint8Array> = lineOf(
  (item) => fromHex(item.rest.replaceAll(' ', ''), item.field, 20),
  (id) => (toHex(id).match(/.{4}/g) ?? []).join(' '),
);

interface Bandwidth {
  readonly rate: number;
  readonly burst: number;
  readonly observed: number;
}

const bandwidth: ItemCodec<Bandwidth> = lineOf(
  (item) => {
    const [rate, burst, observed] = item.args(3).map((text) => unsignedArg(item, text, INT32_MAX));
    if (rate === 0) item.fail('the rate is 0');
    return { rate: rate ?? 0, burst: burst ?? 0, observed: observed ?? 0 };
  },
  (value) => `${value.rate} ${value.burst} ${value.observed}`,
);

interface ExtraInfoDigest {
  readonly sha1: Uint8Array;
  readonly sha256: Uint8Array | undefined;
}

const extraInfoDigest: ItemCodec<ExtraInfoDigest> = lineOf(
  (item) => {
    const [hex = '', base64] = item.args(1);
    const sha256 = base64 === undefined ? undefined : fromBase64(base64, item.field, 32);
    return { sha1: fromHex(hex, item.field, 20), sha256 };
  },
  ({ sha1, sha256 }) => (sha256 === undefined ? toHex(sha1) : `${toHex(sha1)} ${toBase64Bare(sha256)}`),
);

/** The ntor key's certificate over the master identity, with the sign bit of its ed25519 form. */
export interface NtorCrosscert {
  readonly cert: Uint8Array;
  readonly signBit: 0 | 1;
}

const ntorCrosscert: ItemCodec<NtorCrosscert> = {
  object: 'required',
  read(item) {
    const [bit] = item.args(1);
    if (bit !== '0' && bit !== '1') item.fail('the sign bit is neither 0 nor 1');
    return { cert: objectOf(item, 'ED25519 CERT', 104, 1024), signBit: bit === '1' ? 1 : 0 };
  },
  write: ({ cert, signBit }) => ({ rest: `${signBit}`, object: { label: 'ED25519 CERT', bytes: cert } }),
};

const family: ItemCodec<readonly string[]> = {
  read(item) {
    const members = words.read(item);
    const bad = members.find((member) => !isFamilyMember(member));
    if (bad !== undefined) item.fail(`not a family member: ${JSON.stringify(bad.slice(0, 60))}`);
    return members;
  },
  write: words.write,
};

const hibernating: ItemCodec<boolean> = lineOf(
  (item) => unsignedArg(item, item.args(1)[0], INT32_MAX) !== 0,
  (asleep) => (asleep ? '1' : '0'),
);

/** One policy line and the rules it stands for: several for `private`. */
export interface PolicyLine {
  readonly text: string;
  readonly entries: readonly PolicyEntry[];
}

const policyLine: ItemCodec<PolicyLine> = {
  read(item) {
    // They crashed older Tors, and no C tor reads a descriptor that has one.
    if (item.keyword.endsWith('6')) item.fail('what is open for IPv6 belongs into ipv6-policy');
    const [pattern = '', ...more] = item.args(1);
    if (more.length > 0) item.fail('more than one pattern');
    const entries = within(item, () => parsePolicyRule(item.keyword, pattern, 'descriptor'));
    return { text: `${item.keyword} ${pattern}`, entries };
  },
  write({ text }) {
    const space = text.indexOf(' ');
    return { keyword: text.slice(0, space), rest: text.slice(space + 1) };
  },
};

/** Runs a check; what it throws is told as a fault of this item. */
export function within<T>(item: Item | { readonly field: string }, check: () => T): T {
  try {
    return check();
  } catch (cause) {
    if (!(cause instanceof CepaError)) throw cause;
    throw new DecodeError(item.field, cause.message, { cause });
  }
}

/** The table; see the module. */
export const DESCRIPTOR_TABLE = schema(DESCRIPTOR, {
  router: one('router', routerLine, { place: 0 }),
  signingCert: one('identity-ed25519', ed25519Cert(), { place: 1 }),
  masterKey: one('master-key-ed25519', base64Bytes(32)),
  orAddresses: any('or-address', orAddress),
  platform: maybe('platform', line),
  protocols: one('proto', protocols),
  published: one('published', time),
  fingerprint: maybe('fingerprint', fingerprint),
  uptime: maybe('uptime', unsigned(Number.MAX_SAFE_INTEGER)),
  bandwidth: one('bandwidth', bandwidth),
  extraInfoDigest: maybe('extra-info-digest', extraInfoDigest),
  cachesExtraInfo: maybe('caches-extra-info', flag),
  tapOnionKey: maybe('onion-key', rsaKey(RELAY_RSA_BITS)),
  signingKey: one('signing-key', rsaKey(RELAY_RSA_BITS)),
  tapCrosscert: maybe('onion-key-crosscert', rsaSignature('CROSSCERT')),
  ntorCrosscert: one('ntor-onion-key-crosscert', ntorCrosscert),
  family: maybe('family', family),
  hibernating: maybe('hibernating', hibernating),
  wantsHsDir: maybe('hidden-service-dir', flag),
  familyCerts: any('family-cert', ed25519Cert('FAMILY CERT')),
  contact: maybe('contact', line),
  bridgeDistribution: maybe('bridge-distribution-request', line),
  ntorOnionKey: one('ntor-onion-key', base64Bytes(32)),
  policy: some(['accept', 'reject', 'accept6', 'reject6'], policyLine),
  ipv6Policy: maybe('ipv6-policy', portSummary),
  tunnelledDirServer: maybe('tunnelled-dir-server', flag),
  overloadGeneral: maybe('overload-general', line),
  ed25519Signature: one('router-sig-ed25519', base64Bytes(64), { place: -2 }),
  rsaSignature: one('router-signature', rsaSignature(), { place: -1 }),
});
