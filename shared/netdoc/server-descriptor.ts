/**
 * Server descriptors (dir-spec 2.1.1): what a relay says of itself, signed with its ed25519 and RSA identities, with
 * certificates by which its onion keys vouch for them. What C tor 0.4.9 demands of one is demanded here
 * [router_parse_entry_from_string].
 *
 * @module
 */
import { DecodeError } from '../bytes/errors.js';
import { sameBytes, toBase64Bare, toHex } from '../bytes/text.js';
import { CertType, checkEd25519Cert, makeEd25519Cert, parseEd25519Cert } from '../crypto/certs.js';
import {
  checkNtorCrossCert,
  checkTapCrossCert,
  makeNtorCrossCert,
  makeTapCrossCert,
} from '../crypto/crosscert.js';
import type { Ed25519Signer } from '../crypto/ed25519.js';
import { type RsaKey, rsaPublic } from '../crypto/rsa.js';
import type { X25519KeyPair } from '../crypto/x25519.js';
import { isIpv6Text } from './address.js';
import { DESCRIPTOR, DESCRIPTOR_TABLE, type PolicyLine, within } from './descriptor-table.js';
import { type ExitPolicy, makePolicy, type PortSummary } from './policy.js';
import { REJECT_ALL } from './port-summary.js';
import type { ProtocolSet } from './protover.js';
import {
  checkEd25519Signature,
  checkRsaSignature,
  checkSigningCert,
  routerDigest,
  signRouterDocument,
  withoutSignatures,
} from './router-signatures.js';
import type { Fields } from './schema.js';
import { checkSize, type ParsedDocuments, parseEach, splitDocuments } from './split.js';
import { Tokenizer } from './tokenizer.js';
import type { OrAddress, ServerDescriptor } from './types.js';

/** Largest server descriptor in bytes, as in C tor's MAX_DESCRIPTOR_UPLOAD_SIZE. */
export const MAX_DESCRIPTOR_SIZE = 20_000;
const DAY = 86_400_000;
/** How long the ntor key's and family keys' certificates are made for: C tor's onion key life and FAMILY_CERT_LIFETIME. */
const NTOR_CERT_LIFE = 28 * DAY;
const FAMILY_CERT_LIFE = 30 * DAY;

type DescriptorFields = Fields<typeof DESCRIPTOR_TABLE>;

const at = (keyword: string) => ({ field: `${DESCRIPTOR}.${keyword}` });
function fail(keyword: string, message: string): never {
  throw new DecodeError(at(keyword).field, message);
}

function checkOnionKeys(fields: DescriptorFields, rsaId: Uint8Array, ed25519Id: Uint8Array): number {
  const { tapOnionKey, tapCrosscert, ntorOnionKey, ntorCrosscert } = fields;
  if ((tapOnionKey === undefined) !== (tapCrosscert === undefined))
    fail('onion-key-crosscert', 'onion-key and its crosscert come both or not at all');
  if (tapOnionKey !== undefined && tapCrosscert !== undefined)
    within(at('onion-key-crosscert'), () => checkTapCrossCert(tapCrosscert, tapOnionKey, rsaId, ed25519Id));
  const { cert, signBit } = ntorCrosscert;
  return within(at('ntor-onion-key-crosscert'), () =>
    checkNtorCrossCert(cert, ntorOnionKey, signBit, ed25519Id, 0),
  );
}

/** Checks family certificates; gives the ids, sorted, each once, and the earliest expiry. */
function checkFamilyCerts(
  certs: readonly Uint8Array[],
  ed25519Id: Uint8Array,
): { ids: string[]; expires: number } {
  const ids = new Set<string>();
  let expires = Number.POSITIVE_INFINITY;
  for (const bytes of certs) {
    const cert = within(at('family-cert'), () => {
      const parsed = parseEd25519Cert(bytes);
      checkEd25519Cert(parsed, { type: CertType.FAMILY, now: 0 });
      return parsed;
    });
    if (!sameBytes(cert.key, ed25519Id)) fail('family-cert', 'is for another relay');
    ids.add(`ed25519:${toBase64Bare(cert.signedWith ?? new Uint8Array(0))}`);
    expires = Math.min(expires, cert.expires);
  }
  return { ids: [...ids].sort(), expires };
}

/** The IPv6 ones first. */
const sortAddresses = (addresses: readonly OrAddress[]): OrAddress[] => [
  ...addresses.filter(({ host }) => isIpv6Text(host)),
  ...addresses.filter(({ host }) => !isIpv6Text(host)),
];

/**
 * Reads one descriptor and checks every signature and cross-certificate, but no expiry: `certsExpire` tells.
 *
 * @throws DecodeError naming the item.
 */
export function parseServerDescriptor(text: string): ServerDescriptor {
  checkSize(text, MAX_DESCRIPTOR_SIZE, DESCRIPTOR);
  const fields = DESCRIPTOR_TABLE.read(new Tokenizer(DESCRIPTOR, text));
  const cert = checkSigningCert(fields.signingCert, DESCRIPTOR);
  const ed25519Id = cert.signedWith;
  const { id: rsaId } = rsaPublic(fields.signingKey);
  const digest = routerDigest(text, DESCRIPTOR);
  if (!sameBytes(fields.masterKey, ed25519Id)) fail('master-key-ed25519', 'not that of the certificate');
  if (fields.fingerprint !== undefined && !sameBytes(fields.fingerprint, rsaId))
    fail('fingerprint', 'not that of the signing key');
  const ntorExpires = checkOnionKeys(fields, rsaId, ed25519Id);
  const families = checkFamilyCerts(fields.familyCerts, ed25519Id);
  checkEd25519Signature(text, DESCRIPTOR, cert.key, fields.ed25519Signature);
  checkRsaSignature(digest, DESCRIPTOR, fields.signingKey, fields.rsaSignature);
  return {
    ...fields.router,
    orAddresses: sortAddresses(fields.orAddresses),
    id: toHex(rsaId),
    rsaId,
    ed25519Id,
    signingKey: fields.signingKey,
    platform: fields.platform,
    published: fields.published,
    bandwidth: fields.bandwidth,
    uptime: fields.uptime ?? 0,
    hibernating: fields.hibernating ?? false,
    ntorOnionKey: fields.ntorOnionKey,
    tapOnionKey: fields.tapOnionKey,
    exitPolicy: makePolicy(fields.policy.flatMap((rule) => rule.entries)),
    ipv6Policy: fields.ipv6Policy,
    family: fields.family ?? [],
    familyIds: families.ids,
    contact: fields.contact,
    protocols: fields.protocols,
    extraInfoDigest: fields.extraInfoDigest,
    wantsHsDir: fields.wantsHsDir === true,
    tunnelledDirServer: fields.tunnelledDirServer === true,
    cachesExtraInfo: fields.cachesExtraInfo === true,
    overloadGeneral: fields.overloadGeneral,
    digest,
    text,
    certsExpire: Math.min(cert.expires, ntorExpires, families.expires),
  };
}

/** Starts of documents that may come together in one upload or answer. */
export const ROUTER_DOCUMENTS = ['router', 'extra-info'] as const;

/** Reads the server descriptors in a text; annotations and extra-info documents are skipped. */
export const parseServerDescriptors = (text: string): ParsedDocuments<ServerDescriptor> =>
  parseEach(splitDocuments(text, ROUTER_DOCUMENTS, 'router'), parseServerDescriptor);

/** What a relay says of itself. Times in milliseconds, rates in bytes per second, uptime in seconds. */
export interface DescriptorInput {
  readonly nickname: string;
  /** IPv4. */
  readonly address: string;
  readonly orPort: number;
  readonly dirPort: number;
  /** Further OR addresses, IPv6. */
  readonly orAddresses?: readonly OrAddress[];
  readonly platform: string;
  readonly protocols: ProtocolSet;
  readonly published: number;
  readonly uptime: number;
  readonly bandwidth: { readonly rate: number; readonly burst: number; readonly observed: number };
  readonly extraInfoDigest?: { readonly sha1: Uint8Array; readonly sha256: Uint8Array };
  readonly cachesExtraInfo?: boolean;
  readonly family?: readonly string[];
  /** Family keys (proposal 321) that certify this relay. */
  readonly familyKeys?: readonly Ed25519Signer[];
  readonly hibernating?: boolean;
  readonly hiddenServiceDir?: boolean;
  readonly contact?: string;
  readonly exitPolicy: ExitPolicy;
  /** The policy's own summary when absent. */
  readonly ipv6Policy?: PortSummary;
  readonly tunnelledDirServer?: boolean;
  readonly overloadGeneral?: string;
}

/** The keys that sign and are certified; `RelayKeys` fits. */
export interface DescriptorKeys {
  readonly rsa: RsaKey;
  readonly ed25519Id: Uint8Array;
  readonly signing: { readonly signer: Ed25519Signer; readonly cert: Uint8Array };
  readonly tap: RsaKey;
  readonly ntor: { readonly current: X25519KeyPair };
}

const policyLines = (policy: ExitPolicy): PolicyLine[] => {
  const lines = policy.toLines(4);
  return (lines.length === 0 ? ['reject *:*'] : lines).map((text) => ({ text, entries: [] }));
};

const flagOf = (set: boolean | undefined): true | undefined => (set === true ? true : undefined);

function ipv6PolicyOf(input: DescriptorInput): PortSummary | undefined {
  const summary = input.ipv6Policy ?? input.exitPolicy.ipv6Summary();
  return summary.toString() === REJECT_ALL.toString() ? undefined : summary;
}

const familyCert = (signer: Ed25519Signer, keys: DescriptorKeys, published: number): Uint8Array =>
  makeEd25519Cert({
    type: CertType.FAMILY,
    key: keys.ed25519Id,
    expires: published + FAMILY_CERT_LIFE,
    signer,
    includeSigner: true,
  });

/** Makes and signs a descriptor. */
export function buildServerDescriptor(input: DescriptorInput, keys: DescriptorKeys): string {
  const { nickname, address, orPort, dirPort, published } = input;
  const { family = [], familyKeys = [] } = input;
  const unsigned = DESCRIPTOR_TABLE.write({
    router: { nickname, address, orPort, dirPort },
    signingCert: keys.signing.cert,
    masterKey: keys.ed25519Id,
    orAddresses: input.orAddresses ?? [],
    platform: input.platform,
    protocols: input.protocols,
    published,
    fingerprint: keys.rsa.id,
    uptime: Math.floor(input.uptime),
    bandwidth: input.bandwidth,
    extraInfoDigest: input.extraInfoDigest,
    cachesExtraInfo: flagOf(input.cachesExtraInfo),
    tapOnionKey: keys.tap.publicDer,
    signingKey: keys.rsa.publicDer,
    tapCrosscert: makeTapCrossCert(keys.tap, keys.rsa.id, keys.ed25519Id),
    ntorCrosscert: makeNtorCrossCert(keys.ntor.current, keys.ed25519Id, published + NTOR_CERT_LIFE),
    family: family.length === 0 ? undefined : family,
    hibernating: flagOf(input.hibernating),
    wantsHsDir: flagOf(input.hiddenServiceDir),
    familyCerts: familyKeys.map((key) => familyCert(key, keys, published)),
    contact: input.contact,
    bridgeDistribution: undefined,
    ntorOnionKey: keys.ntor.current.publicKey,
    policy: policyLines(input.exitPolicy),
    ipv6Policy: ipv6PolicyOf(input),
    tunnelledDirServer: flagOf(input.tunnelledDirServer),
    overloadGeneral: input.overloadGeneral,
    ed25519Signature: new Uint8Array(64),
    rsaSignature: new Uint8Array(0),
  });
  return signRouterDocument(withoutSignatures(unsigned), keys);
}
