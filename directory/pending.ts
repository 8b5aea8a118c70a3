/**
 * A consensus that this authority computed and that signatures are being collected for (dir-spec 3.10; C tor
 * `pending_consensus_t`, `networkstatus_add_detached_signatures`).
 *
 * @module
 */
import { bytesOf, sameBytes } from '../shared/bytes/text.js';
import { sha1, sha256 } from '../shared/crypto/digest.js';
import { type RsaKey, rsaPublic } from '../shared/crypto/rsa.js';
import {
  appendSignatures,
  type ConsensusBody,
  encodeConsensusBody,
  signatureAlgorithm,
  signConsensus,
} from '../shared/netdoc/consensus.js';
import type {
  AuthorityCertificate,
  DetachedSignatures,
  DirectorySignature,
  RelayId,
} from '../shared/netdoc/types.js';

/** Finds a certificate that a signature needs. */
export type FindCertificate = (
  identity: RelayId,
  signingKeyDigest: string,
) => AuthorityCertificate | undefined;

/** What became of offered signatures. */
export type AddResult =
  | { readonly added: readonly RelayId[]; readonly bad: readonly RelayId[] }
  | { readonly refused: string };

type Standing = 'good' | 'unchecked';

/** One flavour of the consensus in the making. */
export class PendingConsensus {
  readonly flavor: 'ns' | 'microdesc';
  readonly document: ConsensusBody;
  /** Text up to the signatures. */
  readonly body: string;
  readonly digest: Uint8Array;
  private readonly algorithm: 'sha1' | 'sha256';
  private readonly signatures = new Map<RelayId, { signature: DirectorySignature; standing: Standing }>();

  constructor(document: ConsensusBody) {
    this.document = document;
    this.flavor = document.flavor;
    this.body = encodeConsensusBody(document);
    this.algorithm = signatureAlgorithm(document.flavor);
    const signed = bytesOf(`${this.body}directory-signature `);
    this.digest = this.algorithm === 'sha1' ? sha1(signed) : sha256(signed);
  }

  /** Signs as the authority `identity`. */
  sign(identity: RelayId, key: RsaKey): void {
    const signature = signConsensus(this.body, this.flavor, identity, key);
    this.signatures.set(identity, { signature, standing: 'good' });
  }

  /** Signatures in the order of the authorities in the document. */
  allSignatures(): DirectorySignature[] {
    return this.document.authorities
      .map(({ identity }) => this.signatures.get(identity)?.signature)
      .filter((signature) => signature !== undefined);
  }

  /** Authorities whose signatures were checked. */
  signers(): RelayId[] {
    return [...this.signatures].filter(([, { standing }]) => standing === 'good').map(([id]) => id);
  }

  /** The document as it would be published now. */
  text(): string {
    return appendSignatures(this.body, this.allSignatures());
  }

  /** Takes those of the offered signatures that are on this very document and are new. */
  add(offered: DetachedSignatures, certificate: FindCertificate): AddResult {
    const { validAfter, freshUntil, validUntil } = this.document;
    if (offered.validAfter !== validAfter) return { refused: 'Valid-after times do not match' };
    if (offered.freshUntil !== freshUntil) return { refused: 'Fresh-until times do not match' };
    if (offered.validUntil !== validUntil) return { refused: 'Valid-until times do not match' };
    const digest = offered.digests.get(this.flavor);
    if (!digest) return { refused: `No digest for the ${this.flavor} consensus` };
    if (!sameBytes(digest, this.digest))
      return { refused: `Mismatched digest of the ${this.flavor} consensus` };
    const added: RelayId[] = [];
    const bad: RelayId[] = [];
    for (const signature of offered.signatures.get(this.flavor) ?? []) {
      const outcome = this.consider(signature, certificate);
      if (outcome === 'added') added.push(signature.identity);
      else if (outcome === 'bad') bad.push(signature.identity);
    }
    return { added, bad };
  }

  private consider(signature: DirectorySignature, certificate: FindCertificate): 'added' | 'bad' | 'ignored' {
    const { identity } = signature;
    if (signature.algorithm !== this.algorithm) return 'ignored';
    if (!this.document.authorities.some((authority) => authority.identity === identity)) return 'ignored';
    const held = this.signatures.get(identity);
    if (held?.standing === 'good') return 'ignored';
    const found = certificate(identity, signature.signingKeyDigest);
    if (!found) {
      if (held) return 'ignored';
      // Passed on unchecked: others may have the certificate. It does not count here.
      this.signatures.set(identity, { signature, standing: 'unchecked' });
      return 'added';
    }
    if (!rsaPublic(found.signingKey).verifyRaw(signature.signature, this.digest)) return 'bad';
    this.signatures.set(identity, { signature, standing: 'good' });
    return 'added';
  }
}
