/**
 * Descriptors of onion services, version 3 (rend-spec-v3 2.4, 2.5). The outer document is for HSDirs: a key certified
 * by the blinded key signs it. Clients who know the address decrypt the first layer; those who are authorized, or
 * everyone when the service does not ask for it, the second.
 *
 * @module
 */
import { CepaError, DecodeError, ProtocolError } from '../bytes/errors.js';
import { bytesOf, toBase64Bare } from '../bytes/text.js';
import type { LinkSpecifier } from '../cell/link-specifiers.js';
import {
  CertType,
  checkEd25519Cert,
  type Ed25519Cert,
  makeEd25519Cert,
  parseEd25519Cert,
} from '../crypto/certs.js';
import { ed25519KeyOfX25519 } from '../crypto/crosscert.js';
import { type Ed25519Signer, ed25519Verify } from '../crypto/ed25519.js';
import { generateX25519, type X25519KeyPair } from '../crypto/x25519.js';
import type { Random } from '../runtime/types.js';
import { within } from './descriptor-table.js';
import {
  type AuthClient,
  authorizeClient,
  COOKIE_SIZE,
  cookieFor,
  type DescriptorSecrets,
  decryptLayer,
  encryptLayer,
  SALT_SIZE,
} from './hs-descriptor-crypt.js';
import {
  FIRST_LAYER_TABLE,
  type FlowControlLine,
  HS_DESCRIPTOR_DEFAULTS,
  INTRO_POINT,
  INTRO_POINT_TABLE,
  MAX_HS_DESCRIPTOR_SIZE,
  OUTER,
  OUTER_TABLE,
  type PowParams,
  SECOND_LAYER_TABLE,
} from './hs-descriptor-tables.js';
import { checkSize, parseEach, splitDocuments } from './split.js';
import { documentText, Tokenizer } from './tokenizer.js';

export { type FlowControlLine, MAX_HS_DESCRIPTOR_SIZE, type PowParams } from './hs-descriptor-tables.js';

const SIGNATURE_PREFIX = bytesOf('Tor onion service descriptor sig v3');
const SIGNATURE_ITEM = 'signature ';

/** What an HSDir sees of a descriptor. */
export interface HsDescriptor {
  /** The blinded key that certifies it: what it is stored under. */
  readonly blindedKey: Uint8Array;
  readonly signingKey: Uint8Array;
  /** When the signing key's certificate expires, milliseconds since 1970. */
  readonly certExpires: number;
  readonly lifetimeMinutes: number;
  readonly revision: bigint;
  readonly superencrypted: Uint8Array;
  readonly text: string;
}

/** How to reach a service. */
export interface IntroPoint {
  /** As they came, in order: an EXTEND2 gives them on. */
  readonly linkSpecifiers: readonly LinkSpecifier[];
  /** The relay's ntor key. */
  readonly onionKey: Uint8Array;
  /** The service's authentication key at this point, ed25519. */
  readonly authKey: Uint8Array;
  /** The service's encryption key at this point, x25519. */
  readonly encKey: Uint8Array;
}

/** What a client learns. */
export interface HsDescriptorContent {
  /** CREATE2 handshake types the service takes. */
  readonly createFormats: readonly number[];
  readonly introAuthRequired: readonly string[];
  readonly singleOnionService: boolean;
  readonly flowControl: FlowControlLine | undefined;
  readonly powParams: PowParams | undefined;
  readonly introPoints: readonly IntroPoint[];
}

/** The service wants client authorization: no key was given, or the key given is not authorized. */
export class ClientAuthError extends CepaError {
  readonly kind: 'missing' | 'bad';
  constructor(kind: 'missing' | 'bad') {
    super(
      'client-auth',
      kind === 'missing'
        ? 'the onion service wants client authorization, and there is no key for it'
        : 'the onion service does not accept the client authorization key',
    );
    this.kind = kind;
  }
}

function readSigningCert(bytes: Uint8Array): { cert: Ed25519Cert; blindedKey: Uint8Array } {
  const field = `${OUTER}.descriptor-signing-key-cert`;
  return within({ field }, () => {
    const cert = parseEd25519Cert(bytes);
    checkEd25519Cert(cert, { type: CertType.HS_DESCRIPTOR, now: 0 });
    if (cert.signedWith === undefined) throw new DecodeError(field, 'without the blinded key');
    return { cert, blindedKey: cert.signedWith };
  });
}

/** What the signature covers: a prefix, and the text before the item. */
const signedBytes = (text: string): Uint8Array =>
  Buffer.concat([SIGNATURE_PREFIX, bytesOf(text.slice(0, text.lastIndexOf(`\n${SIGNATURE_ITEM}`) + 1))]);

/**
 * Reads the outer document and checks its certificate (but not that it has expired) and signature.
 *
 * @throws DecodeError naming the item.
 */
export function parseHsDescriptor(text: string, maxSize: number = MAX_HS_DESCRIPTOR_SIZE): HsDescriptor {
  checkSize(text, maxSize, OUTER);
  const fields = OUTER_TABLE.read(new Tokenizer(OUTER, text));
  const { cert, blindedKey } = readSigningCert(fields.signingCert);
  if (!ed25519Verify(cert.key, signedBytes(text), fields.signature))
    throw new DecodeError(`${OUTER}.signature`, 'bad signature');
  return {
    blindedKey,
    signingKey: cert.key,
    certExpires: cert.expires,
    lifetimeMinutes: fields.lifetime,
    revision: fields.revision,
    superencrypted: fields.superencrypted,
    text,
  };
}

const ZEROS = Buffer.alloc(256);

/** Text without the zeros it is padded with, up to 10,000, and with the newline C tor leaves out. */
function plaintextOf(bytes: Uint8Array, field: string): string {
  let end = bytes.length;
  // One by one they take 5 ms of a client's first visit to a service, before the loop is compiled.
  while (end >= ZEROS.length && ZEROS.equals(bytes.subarray(end - ZEROS.length, end))) end -= ZEROS.length;
  while (end > 0 && bytes[end - 1] === 0) end--;
  const text = documentText(bytes.subarray(0, end), field);
  return text.endsWith('\n') ? text : `${text}\n`;
}

function readIntroPoint(text: string, signingKey: Uint8Array): IntroPoint {
  const fields = INTRO_POINT_TABLE.read(new Tokenizer(INTRO_POINT, text));
  const [onionKey, ...moreOnionKeys] = fields.onionKeys.filter((key) => key !== null);
  const [encKey, ...moreEncKeys] = fields.encKeys.filter((key) => key !== null);
  const fail = (keyword: string) => new DecodeError(`${INTRO_POINT}.${keyword}`, 'not exactly one ntor key');
  if (onionKey === undefined || moreOnionKeys.length > 0) throw fail('onion-key');
  if (encKey === undefined || moreEncKeys.length > 0) throw fail('enc-key');
  const authCert = within({ field: `${INTRO_POINT}.auth-key` }, () => {
    const cert = parseEd25519Cert(fields.authKeyCert);
    checkEd25519Cert(cert, { type: CertType.HS_INTRO_AUTH, signedBy: signingKey, now: 0 });
    return cert;
  });
  within({ field: `${INTRO_POINT}.enc-key-cert` }, () =>
    checkEd25519Cert(parseEd25519Cert(fields.encKeyCert), {
      type: CertType.HS_INTRO_ENC,
      signedBy: signingKey,
      now: 0,
    }),
  );
  return { linkSpecifiers: fields.linkSpecifiers, onionKey, authKey: authCert.key, encKey };
}

function readContent(text: string, signingKey: Uint8Array): HsDescriptorContent {
  const stop = new Set([INTRO_POINT]);
  const head = SECOND_LAYER_TABLE.read(new Tokenizer('hs-descriptor.encrypted', text), stop);
  const sections = splitDocuments(text, [INTRO_POINT], INTRO_POINT);
  if (sections.length > HS_DESCRIPTOR_DEFAULTS.maxIntroPoints)
    throw new DecodeError(`${OUTER}.${INTRO_POINT}`, `${sections.length} introduction points`);
  // A point that cannot be read may be of a kind to come: the others still work [decode_intro_points].
  const { documents } = parseEach(sections, (section) => readIntroPoint(section, signingKey));
  return {
    createFormats: head.createFormats,
    introAuthRequired: head.introAuthRequired ?? [],
    singleOnionService: head.singleOnionService === true,
    flowControl: head.flowControl,
    powParams: head.powParams.find((params) => params !== null),
    introPoints: documents,
  };
}

/**
 * Decrypts both layers, as a client does who knows the address (and with it the subcredential). `client` is its
 * authorization key, if it has one.
 *
 * @throws DecodeError naming the item; ClientAuthError when the service wants authorization and the key is missing
 *   or refused.
 */
export function decryptHsDescriptor(
  descriptor: HsDescriptor,
  subcredential: Uint8Array,
  client?: X25519KeyPair,
): HsDescriptorContent {
  const { blindedKey, revision, signingKey } = descriptor;
  const secrets: DescriptorSecrets = { blindedKey, subcredential, revision };
  const outerField = `${OUTER}.superencrypted`;
  const outer = decryptLayer(secrets, 'outer', descriptor.superencrypted, outerField);
  if (outer === undefined) throw new DecodeError(outerField, 'bad MAC: not the descriptor of this service');
  const first = FIRST_LAYER_TABLE.read(new Tokenizer(outerField, plaintextOf(outer, outerField)));
  const innerField = `${OUTER}.encrypted`;
  const open = decryptLayer(secrets, 'inner', first.encrypted, innerField);
  if (open !== undefined) return readContent(plaintextOf(open, innerField), signingKey);
  if (client === undefined) throw new ClientAuthError('missing');
  const cookie = cookieOf(client, first.ephemeralKey, subcredential, first.authClients);
  const inner = cookie && decryptLayer(secrets, 'inner', first.encrypted, innerField, cookie);
  if (inner === undefined) throw new ClientAuthError('bad');
  return readContent(plaintextOf(inner, innerField), signingKey);
}

function cookieOf(
  client: X25519KeyPair,
  ephemeralKey: Uint8Array,
  subcredential: Uint8Array,
  lines: readonly AuthClient[],
): Uint8Array | undefined {
  try {
    return cookieFor(client, ephemeralKey, subcredential, lines);
  } catch (error) {
    // A key of low order in the descriptor: nothing can be agreed with it.
    if (!(error instanceof ProtocolError)) throw error;
    return undefined;
  }
}

/** What a service publishes. */
export interface HsDescriptorInput extends Partial<Omit<HsDescriptorContent, 'introPoints'>> {
  /** The blinded key of the time period. */
  readonly blindedKey: Ed25519Signer;
  readonly signingKey: Ed25519Signer;
  readonly subcredential: Uint8Array;
  readonly revision: bigint;
  /** When the certificates expire, milliseconds since 1970. */
  readonly certExpires: number;
  readonly lifetimeMinutes?: number;
  readonly introPoints: readonly IntroPoint[];
  /** x25519 keys of the clients allowed; everyone when empty. */
  readonly clients?: readonly Uint8Array[];
}

function encodeIntroPoint(point: IntroPoint, input: HsDescriptorInput): string {
  const certify = (type: number, key: Uint8Array) =>
    makeEd25519Cert({ type, key, expires: input.certExpires, signer: input.signingKey, includeSigner: true });
  return INTRO_POINT_TABLE.write({
    linkSpecifiers: point.linkSpecifiers,
    onionKeys: [point.onionKey],
    authKeyCert: certify(CertType.HS_INTRO_AUTH, point.authKey),
    encKeys: [point.encKey],
    encKeyCert: certify(CertType.HS_INTRO_ENC, ed25519KeyOfX25519(point.encKey, 0)),
  });
}

function secondLayer(input: HsDescriptorInput): string {
  const { introAuthRequired = [], powParams } = input;
  const head = SECOND_LAYER_TABLE.write({
    createFormats: input.createFormats ?? [2],
    introAuthRequired: introAuthRequired.length > 0 ? introAuthRequired : undefined,
    singleOnionService: input.singleOnionService === true ? true : undefined,
    flowControl: input.flowControl,
    powParams: powParams === undefined ? [] : [powParams],
  });
  return [head, ...input.introPoints.map((point) => encodeIntroPoint(point, input))].join('');
}

/** Lines for every client, filled up with random ones, in random order: their number tells nothing. */
function authClients(
  input: HsDescriptorInput,
  ephemeral: X25519KeyPair,
  cookie: Uint8Array,
  random: Random,
): AuthClient[] {
  const { clients = [], subcredential } = input;
  const multiple = HS_DESCRIPTOR_DEFAULTS.authClientMultiple;
  const lines = clients.map((key) =>
    authorizeClient(ephemeral, key, subcredential, cookie, random.bytes(16)),
  );
  while (lines.length === 0 || lines.length % multiple !== 0)
    lines.push({ id: random.bytes(8), iv: random.bytes(16), encryptedCookie: random.bytes(COOKIE_SIZE) });
  for (let i = lines.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [lines[i], lines[j]] = [lines[j] as AuthClient, lines[i] as AuthClient];
  }
  return lines;
}

/** Text as bytes, without its last newline as C tor writes it, padded with zeros. */
function padded(text: string): Uint8Array {
  const bytes = bytesOf(text.slice(0, -1));
  const { padTo } = HS_DESCRIPTOR_DEFAULTS;
  const out = new Uint8Array(Math.ceil(bytes.length / padTo) * padTo);
  out.set(bytes);
  return out;
}

/** Makes, encrypts and signs a descriptor. */
export function encodeHsDescriptor(input: HsDescriptorInput, random: Random): string {
  const { revision, subcredential, signingKey, clients = [] } = input;
  const secrets: DescriptorSecrets = { blindedKey: input.blindedKey.publicKey, subcredential, revision };
  const cookie = random.bytes(COOKIE_SIZE);
  const inner = bytesOf(secondLayer(input));
  const used = clients.length > 0 ? cookie : undefined;
  const ephemeral = generateX25519(random);
  const first = FIRST_LAYER_TABLE.write({
    authType: 'x25519',
    ephemeralKey: ephemeral.publicKey,
    authClients: authClients(input, ephemeral, cookie, random),
    encrypted: encryptLayer(secrets, 'inner', inner, random.bytes(SALT_SIZE), used),
  });
  const signingCert = makeEd25519Cert({
    type: CertType.HS_DESCRIPTOR,
    key: signingKey.publicKey,
    expires: input.certExpires,
    signer: input.blindedKey,
    includeSigner: true,
  });
  const unsigned = OUTER_TABLE.write({
    version: 3,
    lifetime: input.lifetimeMinutes ?? HS_DESCRIPTOR_DEFAULTS.lifetimeMinutes,
    signingCert,
    revision,
    superencrypted: encryptLayer(secrets, 'outer', padded(first), random.bytes(SALT_SIZE)),
    signature: new Uint8Array(64),
  });
  const start = unsigned.lastIndexOf(`\n${SIGNATURE_ITEM}`) + 1;
  const signature = signingKey.sign(signedBytes(unsigned));
  return `${unsigned.slice(0, start)}${SIGNATURE_ITEM}${toBase64Bare(signature)}\n`;
}
