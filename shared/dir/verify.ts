/**
 * Whether a consensus is to be believed (dir-spec 3.4.1, 5.4): signed by more than half of the authorities that are
 * configured, with certificates that are valid, and neither from the past nor from the future.
 *
 * @module
 */
import { rsaPublic } from '../crypto/rsa.js';
import type { AuthorityCertificate, Consensus, DirectorySignature, RelayId } from '../netdoc/types.js';

/** A certificate that a signature needs and nobody has. */
export interface MissingCertificate {
  readonly identity: RelayId;
  readonly signingKeyDigest: string;
}

/** What to check against. */
export interface TrustedAuthorities {
  /** v3idents that are configured. */
  readonly identities: readonly RelayId[];
  /** Finds a certificate by identity and signing-key digest. */
  certificate(identity: RelayId, signingKeyDigest: string): AuthorityCertificate | undefined;
}

/** The outcome. `missing` may make a failure into a success once fetched. */
export type Verdict =
  | {
      readonly ok: true;
      readonly signers: readonly RelayId[];
      readonly missing: readonly MissingCertificate[];
    }
  | { readonly ok: false; readonly reason: string; readonly missing: readonly MissingCertificate[] };

/** A consensus may be used for so long past its end while no newer one is to be had, milliseconds (dir-spec 5.4.2 "reasonably live"). */
export const REASONABLY_LIVE = 24 * 3_600_000;

/** Whether the time is between valid-after and valid-until. */
export const isLive = (consensus: Consensus, now: number): boolean =>
  now >= consensus.validAfter && now <= consensus.validUntil;

/** Whether it may still be used: at most a day old, or a day early where our clock is behind [networkstatus_is_live, networkstatus_consensus_reasonably_live]. */
export const isReasonablyLive = (consensus: Consensus, now: number): boolean =>
  now >= consensus.validAfter - REASONABLY_LIVE && now <= consensus.validUntil + REASONABLY_LIVE;

function signatureHolds(
  consensus: Consensus,
  signature: DirectorySignature,
  certificate: AuthorityCertificate,
): boolean {
  return rsaPublic(certificate.signingKey).verifyRaw(
    signature.signature,
    consensus.signedDigests[signature.algorithm],
  );
}

/** Counts the good signatures. Each authority counts once, whatever it signed twice. */
export function verifyConsensus(consensus: Consensus, trusted: TrustedAuthorities, now: number): Verdict {
  const known = new Set(trusted.identities);
  const good = new Set<RelayId>();
  const missing: MissingCertificate[] = [];
  let strangers = 0;
  let bad = 0;
  for (const signature of consensus.signatures) {
    if (!known.has(signature.identity)) {
      strangers++;
      continue;
    }
    const certificate = trusted.certificate(signature.identity, signature.signingKeyDigest);
    if (!certificate || certificate.expires < now) missing.push(signature);
    else if (signatureHolds(consensus, signature, certificate)) good.add(signature.identity);
    else bad++;
  }
  if (good.size * 2 > known.size) return { ok: true, signers: [...good], missing };
  const detail = `${good.size} good, ${bad} bad, ${missing.length} without certificate, ${strangers} from unknown authorities`;
  return { ok: false, reason: `signed by ${good.size} of ${known.size} authorities (${detail})`, missing };
}
