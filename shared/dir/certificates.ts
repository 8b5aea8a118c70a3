/**
 * The authority certificates a node knows: for each authority the newest ones, of those authorities it trusts.
 *
 * @module
 */
import type { AuthorityCertificate, RelayId } from '../netdoc/types.js';

/** Certificates kept of one authority: the current one and those that sign what is still valid. */
const MAX_PER_AUTHORITY = 4;

/** A set of certificates by identity and signing key. */
export class CertificateSet {
  private readonly byIdentity = new Map<RelayId, AuthorityCertificate[]>();

  /** Adds a certificate; false when it was there already. */
  add(certificate: AuthorityCertificate): boolean {
    const held = this.byIdentity.get(certificate.identity) ?? [];
    if (
      held.some(
        (other) => other.signingKeyDigest === certificate.signingKeyDigest && other.text === certificate.text,
      )
    )
      return false;
    const others = held.filter((other) => other.signingKeyDigest !== certificate.signingKeyDigest);
    const all = [...others, certificate]
      .sort((a, b) => b.published - a.published)
      .slice(0, MAX_PER_AUTHORITY);
    this.byIdentity.set(certificate.identity, all);
    return all.includes(certificate);
  }

  /** By v3ident and digest of the signing key. */
  get(identity: RelayId, signingKeyDigest: string): AuthorityCertificate | undefined {
    return this.byIdentity.get(identity)?.find((held) => held.signingKeyDigest === signingKeyDigest);
  }

  /** The newest certificate of an authority. */
  newest(identity: RelayId): AuthorityCertificate | undefined {
    return this.byIdentity.get(identity)?.[0];
  }

  /** All of them. */
  *all(): Generator<AuthorityCertificate> {
    for (const held of this.byIdentity.values()) yield* held;
  }
}
