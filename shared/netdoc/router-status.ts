/**
 * Router entries of votes and consensuses (dir-spec 3.4.1, 3.9.2), read and written by one table for each of their
 * three forms:
 *
 *     r nickname identity [digest] date time IPv4 ORPort DirPort    digest: ns and votes only
 *     a [IPv6]:ORPort
 *     m digest                                                      microdesc: SHA-256, base64
 *     s flags
 *     v version
 *     pr protocols
 *     w Bandwidth=N [Measured=N] [Unmeasured=1]
 *     p summary                                                     ns and votes
 *     id ed25519 key|none                                           votes
 *     stats name=number …                                           votes
 *     m methods sha256=digest                                       votes
 *
 * Lines that are the same in many entries (`s v pr w p`) are read once and shared: a consensus has thousands of
 * entries and some dozens of such lines.
 *
 * @module
 */
import { DecodeError } from '../bytes/errors.js';
import { fromBase64, toBase64Bare, toHex } from '../bytes/text.js';
import { formatAddressPort, ipv4Number, isIpv6Text, parseAddressPort } from './address.js';
import { formatTime, parseTime } from './numbers.js';

import { any, type Fields, type ItemCodec, maybe, one, schema } from './schema.js';
import type { Item, Tokenizer } from './tokenizer.js';
import type { OrAddress, RouterStatus } from './types.js';
import { line, lineOf, nicknameArg, pairsOf, portSummary, protocols, unsignedArg, words } from './values.js';

/** Where an entry stands. */
export type StatusForm = 'vote' | 'ns' | 'microdesc';

const UINT32_MAX = 2 ** 32 - 1;
/** Different lines of one kind that are kept to be shared. */
const MAX_SHARED = 4096;

/** Reads each different line once. */
function shared<T>(codec: ItemCodec<T>): ItemCodec<T> {
  const known = new Map<string, T>();
  return {
    write: codec.write,
    read(item) {
      const found = known.get(item.rest);
      if (found !== undefined) return found;
      const value = codec.read(item);
      if (known.size < MAX_SHARED) known.set(item.rest, value);
      return value;
    },
  };
}

interface RouterLine {
  readonly nickname: string;
  readonly rsaId: Uint8Array;
  readonly digest: Uint8Array | undefined;
  readonly published: number;
  readonly address: string;
  readonly orPort: number;
  readonly dirPort: number;
}

/** Length of 20 bytes in base64 without padding. */
const SHA1_CHARS = 27;
/** Length of 32 bytes in base64 without padding. */
const SHA256_CHARS = 43;

const BASE64_VALUES = new Int8Array(128).fill(-1);
for (const [value, char] of [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'].entries())
  BASE64_VALUES[char.charCodeAt(0)] = value;

/** Bytes of unpadded base64 of a given length. There are two to an entry: no regular expressions here. */
function base64Arg(item: Item, text: string, length: number): Uint8Array {
  const out = new Uint8Array((length * 3) >> 2);
  let bits = text.length === length ? 0 : -1;
  let at = 0;
  for (let i = 0; i < text.length && bits >= 0; i += 1) {
    const value = BASE64_VALUES[text.charCodeAt(i)] ?? -1;
    bits = value < 0 ? -1 : ((bits << 6) | value) & 0xffff;
    if ((i & 3) !== 0) out[at++] = bits >> (6 - 2 * (i & 3));
  }
  return bits < 0 ? item.fail(`not a digest: ${JSON.stringify(text.slice(0, 60))}`) : out;
}

const sha1Arg = (item: Item, text = ''): Uint8Array => base64Arg(item, text, SHA1_CHARS);

function sha256Arg(item: Item, text = ''): string {
  base64Arg(item, text, SHA256_CHARS);
  return text;
}

function readRouterLine(withDigest: boolean): ItemCodec<RouterLine> {
  const shift = withDigest ? 1 : 0;
  // In a microdesc consensus all times are the same.
  let last = { date: '', clock: '', time: -1 };
  const timeOf = (item: Item, date = '', clock = ''): number => {
    if (date === last.date && clock === last.clock) return last.time;
    const time = parseTime(`${date} ${clock}`);
    if (time < 0) item.fail(`not a time: ${JSON.stringify(`${date} ${clock}`.slice(0, 40))}`);
    last = { date, clock, time };
    return time;
  };
  return {
    read(item) {
      const args = item.args(7 + shift);
      const address = args[4 + shift] ?? '';
      if (ipv4Number(address) < 0) item.fail(`not an IPv4 address: ${JSON.stringify(address.slice(0, 40))}`);
      return {
        nickname: nicknameArg(item, args[0]),
        rsaId: sha1Arg(item, args[1]),
        digest: withDigest ? sha1Arg(item, args[2]) : undefined,
        published: timeOf(item, args[2 + shift], args[3 + shift]),
        address,
        orPort: unsignedArg(item, args[5 + shift], 65535),
        dirPort: unsignedArg(item, args[6 + shift], 65535),
      };
    },
    write(value) {
      const digest = value.digest === undefined ? '' : `${toBase64Bare(value.digest)} `;
      const where = `${value.address} ${value.orPort} ${value.dirPort}`;
      const who = `${value.nickname} ${toBase64Bare(value.rsaId)}`;
      return { rest: `${who} ${digest}${formatTime(value.published)} ${where}` };
    },
  };
}

/** `a`; what is no IPv6 address and port is left for those who know what it is (C tor `find_single_ipv6_orport`). */
const orAddressLine: ItemCodec<OrAddress | undefined> = lineOf(
  (item) => {
    const address = parseAddressPort(item.args(1)[0] ?? '');
    return address && isIpv6Text(address.host) ? address : undefined;
  },
  (address) => (address === undefined ? '' : formatAddressPort(address)),
);

/** `s` without flags has no blank after it. */
const flags: ItemCodec<ReadonlySet<string>> = {
  read: (item) => new Set(words.read(item)),
  write: (set) => (set.size === 0 ? {} : { rest: [...set].join(' ') }),
};

interface Bandwidth {
  readonly bandwidth: number;
  readonly unmeasured: boolean;
  readonly measured: number | undefined;
  readonly measuredButAuthority: number | undefined;
}

const bandwidthLine: ItemCodec<Bandwidth> = lineOf(
  (item) => {
    const pairs = pairsOf(item);
    const number = (name: string) =>
      pairs.has(name) ? unsignedArg(item, pairs.get(name), UINT32_MAX) : undefined;
    return {
      bandwidth: number('Bandwidth') ?? 0,
      unmeasured: pairs.get('Unmeasured') === '1',
      measured: number('Measured'),
      measuredButAuthority: number('MeasuredButAuthority'),
    };
  },
  (value) => {
    const optional = (name: string, number: number | undefined) =>
      number === undefined ? '' : ` ${name}=${number}`;
    const votes = optional('Measured', value.measured);
    const authority = optional('MeasuredButAuthority', value.measuredButAuthority);
    return `Bandwidth=${value.bandwidth}${votes}${authority}${value.unmeasured ? ' Unmeasured=1' : ''}`;
  },
);

type IdLine = Uint8Array | 'none' | 'other';

/** `id ed25519 …`; ids of other kinds are ignored. */
const idLine: ItemCodec<IdLine> = lineOf(
  (item) => {
    const [kind, key = ''] = item.args(2);
    if (kind !== 'ed25519') return 'other';
    return key === 'none' ? 'none' : fromBase64(key, item.field, 32);
  },
  (id) => `ed25519 ${typeof id === 'string' ? id : toBase64Bare(id)}`,
);

const microdescLine: ItemCodec<string> = lineOf(
  (item) => sha256Arg(item, item.args(1)[0]),
  (digest) => digest,
);

interface MethodDigest {
  readonly methods: readonly number[];
  readonly digest: string | undefined;
}

const methodLine: ItemCodec<MethodDigest> = lineOf(
  (item) => {
    const [methods = '', ...digests] = item.args(1);
    const digest = digests.find((text) => text.startsWith('sha256='));
    return {
      methods: methods.split(',').map((text) => unsignedArg(item, text, 1000)),
      digest: digest === undefined ? undefined : sha256Arg(item, digest.slice('sha256='.length)),
    };
  },
  ({ methods, digest }) => `${methods.join(',')} sha256=${digest}`,
);

/** What nobody decides by, C tor not even reading it: what is no number is left out. */
const statsLine: ItemCodec<ReadonlyMap<string, number>> = lineOf(
  (item) => {
    const stats = new Map<string, number>();
    for (const word of item.args(0)) {
      const [, name = '', value] = /^([^=]+)=(\d{1,15}(?:\.\d{1,9})?)$/.exec(word) ?? [];
      if (value !== undefined) stats.set(name, Number(value));
    }
    return stats;
  },
  (stats) =>
    [...stats].map(([name, value]) => `${name}=${name === 'wfu' ? value.toFixed(6) : value}`).join(' '),
);

function tableFor(document: string, form: StatusForm) {
  return schema(document, {
    router: one('r', readRouterLine(form !== 'microdesc'), { place: 0 }),
    addresses: any('a', orAddressLine),
    microdesc: maybe(form === 'microdesc' ? 'm' : [], microdescLine),
    flags: one('s', shared(flags)),
    version: maybe('v', shared(line)),
    protocols: one('pr', shared(protocols)),
    bandwidth: maybe('w', shared(bandwidthLine)),
    policy: maybe('p', shared(portSummary)),
    ids: any('id', idLine),
    stats: maybe('stats', statsLine),
    methods: any(form === 'vote' ? 'm' : [], methodLine),
  });
}

type StatusTable = ReturnType<typeof tableFor>;
type StatusFields = Fields<StatusTable>;

const NO_BANDWIDTH: Bandwidth = {
  bandwidth: 0,
  unmeasured: false,
  measured: undefined,
  measuredButAuthority: undefined,
};

function digestsByMethod(lines: readonly MethodDigest[]): ReadonlyMap<number, string> {
  const byMethod = new Map<number, string>();
  for (const { methods, digest } of lines)
    if (digest !== undefined) for (const method of methods) byMethod.set(method, digest);
  return byMethod;
}

function statusOf(fields: StatusFields, form: StatusForm): RouterStatus {
  const { router, flags: set, version, protocols: versions, policy } = fields;
  const weight = fields.bandwidth ?? NO_BANDWIDTH;
  const id = fields.ids.find((each) => each !== 'other');
  return {
    nickname: router.nickname,
    id: toHex(router.rsaId),
    rsaId: router.rsaId,
    digest: router.digest,
    published: router.published,
    address: router.address,
    orPort: router.orPort,
    dirPort: router.dirPort,
    ipv6: fields.addresses.find((address) => address !== undefined),
    flags: set,
    version,
    protocols: versions,
    bandwidth: weight.bandwidth,
    unmeasured: weight.unmeasured,
    measured: weight.measured,
    measuredButAuthority: weight.measuredButAuthority,
    policy,
    microdescDigest: fields.microdesc,
    ed25519Id: id,
    microdescDigests: form === 'vote' ? digestsByMethod(fields.methods) : undefined,
    stats: fields.stats,
  };
}

/** Keywords at which a list of entries ends. */
const LIST_END = ['directory-footer', 'directory-signature'] as const;
/** Keywords at which an entry ends. */
export const ENTRY_END: ReadonlySet<string> = new Set(['r', ...LIST_END]);

function checkOrder(document: string, before: RouterStatus | undefined, status: RouterStatus): void {
  if (before !== undefined && before.id >= status.id)
    throw new DecodeError(`${document}.r`, `${status.id} is out of order`);
}

/**
 * Reads entries up to the footer. They must be sorted by identity, each once.
 *
 * @throws DecodeError naming the item.
 */
export function readRouters(tokens: Tokenizer, form: StatusForm): RouterStatus[] {
  const table = tableFor(tokens.document, form);
  const routers: RouterStatus[] = [];
  while (tokens.peek() === 'r') {
    const status = statusOf(table.read(tokens, ENTRY_END), form);
    checkOrder(tokens.document, routers.at(-1), status);
    routers.push(status);
  }
  return routers;
}

/** Methods with the same digest in one line, lines in the order of their lowest method. */
function methodLines(digests: ReadonlyMap<number, string>): MethodDigest[] {
  const lines = new Map<string, number[]>();
  for (const [method, digest] of [...digests].sort(([a], [b]) => a - b)) {
    const methods = lines.get(digest) ?? [];
    methods.push(method);
    lines.set(digest, methods);
  }
  return [...lines].map(([digest, methods]) => ({ methods, digest }));
}

function fieldsOf(status: RouterStatus, form: StatusForm): StatusFields {
  const vote = form === 'vote';
  const { id: _, ...router } = status;
  return {
    router: form === 'microdesc' ? { ...router, digest: undefined } : router,
    addresses: status.ipv6 === undefined ? [] : [status.ipv6],
    microdesc: form === 'microdesc' ? status.microdescDigest : undefined,
    flags: status.flags,
    version: status.version,
    protocols: status.protocols,
    bandwidth: status,
    policy: form === 'microdesc' ? undefined : status.policy,
    ids: vote ? [status.ed25519Id ?? 'none'] : [],
    stats: vote ? status.stats : undefined,
    methods: vote ? methodLines(status.microdescDigests ?? new Map()) : [],
  };
}

const TABLES: Readonly<Record<StatusForm, StatusTable>> = {
  vote: tableFor('vote', 'vote'),
  ns: tableFor('consensus', 'ns'),
  microdesc: tableFor('consensus', 'microdesc'),
};

/** Writes one entry. */
export const encodeRouter = (status: RouterStatus, form: StatusForm): string =>
  TABLES[form].write(fieldsOf(status, form));
