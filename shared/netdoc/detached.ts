/**
 * Detached signatures (dir-spec 3.10): the signatures of an authority, or of several, over a consensus of both
 * flavours, exchanged before the consensus is published.
 *
 *     consensus-digest HEX                                      SHA-1 of the ns flavour's signed part
 *     valid-after, fresh-until, valid-until
 *     additional-digest flavour algorithm HEX                   microdesc sha256
 *     additional-signature flavour algorithm identity key       with SIGNATURE object
 *     directory-signature identity key                          with SIGNATURE object: ns
 *
 * @module
 */
import { DecodeError } from '../bytes/errors.js';
import { fromHex, toHex } from '../bytes/text.js';
import { signatureAlgorithm } from './consensus.js';
import { checkTimes, HEAD, readSignature, usableSignatures } from './network-status.js';
import { any, type ItemCodec, one, schema } from './schema.js';
import { checkSize } from './split.js';
import { Tokenizer } from './tokenizer.js';
import type { DetachedSignatures, DirectorySignature } from './types.js';
import { lineOf } from './values.js';

const DOCUMENT = 'detached-signatures';
/** Largest document in bytes: 256 authorities with two signatures each would take half of it. */
const MAX_SIZE = 512 * 1024;

type Flavor = 'ns' | 'microdesc';

const consensusDigest: ItemCodec<Uint8Array> = lineOf(
  (item) => fromHex(item.args(1)[0] ?? '', item.field, 20),
  toHex,
);

/** The digest of the microdesc flavour; null for flavours and algorithms not known. */
const additionalDigest: ItemCodec<Uint8Array | null> = lineOf(
  (item) => {
    const [flavor, algorithm, digest = ''] = item.args(3);
    return flavor === 'microdesc' && algorithm === 'sha256' ? fromHex(digest, item.field, 32) : null;
  },
  (digest) => `microdesc sha256 ${toHex(digest ?? new Uint8Array(0))}`,
);

const objectFor = ({ signature }: DirectorySignature) => ({ label: 'SIGNATURE', bytes: signature });

const additionalSignature: ItemCodec<DirectorySignature | null> = {
  object: 'required',
  read(item) {
    const [flavor, algorithm, identity, signingKey] = item.args(4);
    if (flavor !== 'microdesc' || algorithm !== 'sha256') return null;
    return readSignature(item, 'sha256', identity, signingKey);
  },
  write(value) {
    if (value === null) return {};
    return {
      rest: `microdesc sha256 ${value.identity} ${value.signingKeyDigest}`,
      object: objectFor(value),
    };
  },
};

const directorySignature: ItemCodec<DirectorySignature> = {
  object: 'required',
  read(item) {
    const [identity, signingKey] = item.args(2);
    return readSignature(item, 'sha1', identity, signingKey);
  },
  write: (value) => ({ rest: `${value.identity} ${value.signingKeyDigest}`, object: objectFor(value) }),
};

const TABLE = schema(DOCUMENT, {
  consensusDigest: one('consensus-digest', consensusDigest, { place: 0 }),
  validAfter: HEAD.validAfter,
  freshUntil: HEAD.freshUntil,
  validUntil: HEAD.validUntil,
  additionalDigests: any('additional-digest', additionalDigest),
  additionalSignatures: any('additional-signature', additionalSignature),
  signatures: any('directory-signature', directorySignature),
});

/** The one microdesc digest, if there is one; two that differ spoil the document. */
function microdescDigestOf(digests: readonly (Uint8Array | null)[]): Uint8Array | undefined {
  const [digest, ...more] = digests.filter((each) => each !== null);
  if (more.length > 0) throw new DecodeError(`${DOCUMENT}.additional-digest`, 'microdesc sha256 comes twice');
  return digest;
}

/**
 * Reads detached signatures. They are not checked here: the digests tell which consensus they are for.
 *
 * @throws DecodeError naming the item.
 */
export function parseDetachedSignatures(text: string): DetachedSignatures {
  checkSize(text, MAX_SIZE, DOCUMENT);
  const fields = TABLE.read(new Tokenizer(DOCUMENT, text));
  checkTimes(DOCUMENT, fields);
  const { validAfter, freshUntil, validUntil } = fields;
  const digests = new Map<Flavor, Uint8Array>([['ns', fields.consensusDigest]]);
  const microdesc = microdescDigestOf(fields.additionalDigests);
  if (microdesc !== undefined) digests.set('microdesc', microdesc);
  const signatures = new Map<Flavor, readonly DirectorySignature[]>([
    ['ns', usableSignatures(fields.signatures)],
    ['microdesc', usableSignatures(fields.additionalSignatures)],
  ]);
  return { validAfter, freshUntil, validUntil, digests, signatures };
}

/**
 * Writes detached signatures; the ns digest must be among them.
 *
 * @throws DecodeError when it is not.
 */
export function encodeDetachedSignatures(value: DetachedSignatures): string {
  const ns = value.digests.get('ns');
  if (ns === undefined) throw new DecodeError(`${DOCUMENT}.consensus-digest`, 'missing');
  const microdesc = value.digests.get('microdesc');
  const of = (flavor: Flavor) =>
    (value.signatures.get(flavor) ?? []).filter(({ algorithm }) => algorithm === signatureAlgorithm(flavor));
  return TABLE.write({
    consensusDigest: ns,
    validAfter: value.validAfter,
    freshUntil: value.freshUntil,
    validUntil: value.validUntil,
    additionalDigests: microdesc === undefined ? [] : [microdesc],
    additionalSignatures: of('microdesc'),
    signatures: of('ns'),
  });
}
