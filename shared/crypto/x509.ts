/**
 * Makes X.509 certificates (RFC 5280). Loaded only where one is made: the library costs as much as the rest of a client.
 *
 * @module
 */
import { type KeyObject, sign } from 'node:crypto';
import { AsnConvert } from '@peculiar/asn1-schema';
import {
  AlgorithmIdentifier,
  AttributeTypeAndValue,
  AttributeValue,
  Certificate,
  Name,
  RelativeDistinguishedName,
  SubjectPublicKeyInfo,
  TBSCertificate,
  Validity,
  Version,
} from '@peculiar/asn1-x509';

const COMMON_NAME = '2.5.4.3';
const RSA_SHA256 = new AlgorithmIdentifier({ algorithm: '1.2.840.113549.1.1.11', parameters: null });

/** What a certificate says, and who signs it. */
export interface CertInput {
  /** Common names. */
  readonly subject: string;
  readonly issuer: string;
  readonly serial: Uint8Array;
  /** Milliseconds since 1970. */
  readonly notBefore: number;
  readonly notAfter: number;
  readonly publicKey: KeyObject;
  /** An RSA key. */
  readonly signer: KeyObject;
}

/** The library wants buffers of their own, not views. */
const ownBuffer = (bytes: Uint8Array): ArrayBuffer => new Uint8Array(bytes).buffer;

const nameOf = (commonName: string): Name =>
  new Name([
    new RelativeDistinguishedName([
      new AttributeTypeAndValue({ type: COMMON_NAME, value: new AttributeValue({ utf8String: commonName }) }),
    ]),
  ]);

/** A certificate, DER: RFC 5280 4.1, version 3, without extensions, signed by RSA with SHA-256. */
export function makeX509(input: CertInput): Uint8Array {
  const spki = input.publicKey.export({ format: 'der', type: 'spki' });
  const tbsCertificate = new TBSCertificate({
    version: Version.v3,
    serialNumber: ownBuffer(input.serial),
    signature: RSA_SHA256,
    issuer: nameOf(input.issuer),
    validity: new Validity({ notBefore: new Date(input.notBefore), notAfter: new Date(input.notAfter) }),
    subject: nameOf(input.subject),
    subjectPublicKeyInfo: AsnConvert.parse(spki, SubjectPublicKeyInfo),
  });
  const signature = sign('sha256', new Uint8Array(AsnConvert.serialize(tbsCertificate)), input.signer);
  const certificate = new Certificate({
    tbsCertificate,
    signatureAlgorithm: RSA_SHA256,
    signatureValue: ownBuffer(signature),
  });
  return new Uint8Array(AsnConvert.serialize(certificate));
}
