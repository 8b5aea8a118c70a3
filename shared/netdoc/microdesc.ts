/**
 * Microdescriptors (dir-spec 3.3): the part of a server descriptor that clients need, made alike by every authority
 * and named by its SHA-256.
 *
 * @module
 */
import { DecodeError } from '../bytes/errors.js';
import { bytesOf, fromBase64, toBase64Bare } from '../bytes/text.js';
import { sha256 } from '../crypto/digest.js';
import { canonicalFamily } from './family.js';
import type { PortSummary } from './policy.js';
import { REJECT_ALL } from './port-summary.js';
import { any, type ItemCodec, maybe, one, schema } from './schema.js';
import { checkSize, type ParsedDocuments, parseEach, splitDocuments } from './split.js';
import { Tokenizer } from './tokenizer.js';
import type { Microdescriptor, ServerDescriptor } from './types.js';
import { base64Bytes, lineOf, optionalRsaKey, portSummary, words } from './values.js';

const DOCUMENT = 'microdescriptor';
/** Larger than anything that can be made of a server descriptor. */
const MAX_SIZE = 32 * 1024;
/** The consensus method that puts `family-ids` into microdescriptors. */
const METHOD_FAMILY_IDS = 35;

interface IdLine {
  readonly kind: string;
  readonly key: string;
}

const idLine: ItemCodec<IdLine> = lineOf(
  (item) => {
    const [kind = '', key = ''] = item.args(2);
    return { kind, key };
  },
  ({ kind, key }) => `${kind} ${key}`,
);

const TABLE = schema(DOCUMENT, {
  onionKey: one('onion-key', optionalRsaKey, { place: 0 }),
  ntorOnionKey: one('ntor-onion-key', base64Bytes(32)),
  family: maybe('family', words),
  familyIds: maybe('family-ids', words),
  policy: maybe('p', portSummary),
  ipv6Policy: maybe('p6', portSummary),
  ids: any('id', idLine),
});

function ed25519IdOf(ids: readonly IdLine[]): Uint8Array {
  const [id, ...more] = ids.filter(({ kind }) => kind === 'ed25519');
  const field = `${DOCUMENT}.id`;
  if (id === undefined) throw new DecodeError(field, 'no ed25519 identity');
  if (more.length > 0) throw new DecodeError(field, 'more than one ed25519 identity');
  return fromBase64(id.key, field, 32);
}

/**
 * Reads one microdescriptor.
 *
 * @throws DecodeError naming the item.
 */
export function parseMicrodescriptor(text: string): Microdescriptor {
  checkSize(text, MAX_SIZE, DOCUMENT);
  const fields = TABLE.read(new Tokenizer(DOCUMENT, text));
  return {
    digest: microdescDigest(text),
    ntorOnionKey: fields.ntorOnionKey,
    ed25519Id: ed25519IdOf(fields.ids),
    family: fields.family ?? [],
    familyIds: fields.familyIds ?? [],
    policy: fields.policy ?? REJECT_ALL,
    ipv6Policy: fields.ipv6Policy ?? REJECT_ALL,
    text,
  };
}

/** Reads microdescriptors that follow each other; annotations are skipped. */
export const parseMicrodescriptors = (text: string): ParsedDocuments<Microdescriptor> =>
  parseEach(splitDocuments(text, ['onion-key'], 'onion-key'), parseMicrodescriptor);

/** The name of a microdescriptor: SHA-256, base64 without padding. */
export const microdescDigest = (text: string): string => toBase64Bare(sha256(bytesOf(text)));

const unlessRejectAll = (summary: PortSummary | undefined): PortSummary | undefined =>
  summary?.toString() === REJECT_ALL.toString() ? undefined : summary;

/**
 * The microdescriptor that consensus method `method` makes of a descriptor [dirvote_create_microdescriptor]: the
 * text is what authorities must agree on. Without a TAP onion key its line stays empty.
 */
export function makeMicrodescriptor(descriptor: ServerDescriptor, method: number): string {
  const { family, familyIds } = descriptor;
  return TABLE.write({
    onionKey: descriptor.tapOnionKey ?? null,
    ntorOnionKey: descriptor.ntorOnionKey,
    family: family.length > 0 ? canonicalFamily(family, descriptor.id) : undefined,
    familyIds: method >= METHOD_FAMILY_IDS && familyIds.length > 0 ? familyIds : undefined,
    policy: unlessRejectAll(descriptor.exitPolicy.summary()),
    ipv6Policy: unlessRejectAll(descriptor.ipv6Policy),
    ids: [{ kind: 'ed25519', key: toBase64Bare(descriptor.ed25519Id) }],
  });
}
