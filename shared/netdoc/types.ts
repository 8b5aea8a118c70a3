/**
 * Directory documents as values. Parsers make them, encoders write them; nothing here knows where a document came
 * from. Fingerprints that serve as keys are upper-case hex (`RelayId`); times are milliseconds since 1970.
 *
 * @module
 */
import type { ExitPolicy, PortSummary } from './policy.js';
import type { ProtocolSet } from './protover.js';

/** SHA-1 of a relay's RSA identity key: 40 upper-case hex digits. */
export type RelayId = string;

/** An IPv6 OR address of a relay. */
export interface OrAddress {
  readonly host: string;
  readonly port: number;
}

/** A server descriptor (dir-spec 2.1.1), parsed and with its signatures checked. */
export interface ServerDescriptor {
  readonly nickname: string;
  readonly address: string;
  readonly orPort: number;
  readonly dirPort: number;
  /** From `or-address`, the IPv6 ones first in file order. */
  readonly orAddresses: readonly OrAddress[];
  readonly id: RelayId;
  readonly rsaId: Uint8Array;
  readonly ed25519Id: Uint8Array;
  /** DER (PKCS1) of the RSA identity key. */
  readonly signingKey: Uint8Array;
  readonly platform: string | undefined;
  readonly published: number;
  /** Bytes per second: rate, burst, observed. */
  readonly bandwidth: { readonly rate: number; readonly burst: number; readonly observed: number };
  /** Seconds. */
  readonly uptime: number;
  readonly hibernating: boolean;
  readonly ntorOnionKey: Uint8Array;
  /** DER (PKCS1) of the TAP onion key, when given. */
  readonly tapOnionKey: Uint8Array | undefined;
  readonly exitPolicy: ExitPolicy;
  readonly ipv6Policy: PortSummary | undefined;
  /** Fingerprints (`$HEX`) and nicknames as written in `family`. */
  readonly family: readonly string[];
  /** `ed25519:…` ids of valid family certificates. */
  readonly familyIds: readonly string[];
  readonly contact: string | undefined;
  readonly protocols: ProtocolSet;
  readonly extraInfoDigest:
    | { readonly sha1: Uint8Array; readonly sha256: Uint8Array | undefined }
    | undefined;
  readonly wantsHsDir: boolean;
  readonly tunnelledDirServer: boolean;
  readonly cachesExtraInfo: boolean;
  readonly overloadGeneral: string | undefined;
  /** SHA-1 of the signed part: the digest of `r` lines. */
  readonly digest: Uint8Array;
  /** The document as it came. */
  readonly text: string;
  /** Earliest expiry of its certificates. */
  readonly certsExpire: number;
}

/** An extra-info document (dir-spec 2.1.2). */
export interface ExtraInfo {
  readonly nickname: string;
  readonly id: RelayId;
  readonly published: number;
  readonly ed25519Id: Uint8Array;
  readonly sha1: Uint8Array;
  readonly sha256: Uint8Array;
  /** Of the RSA identity; checked by `checkExtraInfo` against the server descriptor. */
  readonly rsaSignature: Uint8Array;
  readonly text: string;
}

/** A microdescriptor (dir-spec 3.3). */
export interface Microdescriptor {
  /** SHA-256 of the text, base64 without padding: its name. */
  readonly digest: string;
  readonly ntorOnionKey: Uint8Array;
  readonly ed25519Id: Uint8Array;
  readonly family: readonly string[];
  readonly familyIds: readonly string[];
  readonly policy: PortSummary;
  readonly ipv6Policy: PortSummary;
  readonly text: string;
}

/** One router's entry in a vote or a consensus (dir-spec 3.4.1). */
export interface RouterStatus {
  readonly nickname: string;
  readonly id: RelayId;
  readonly rsaId: Uint8Array;
  /** Descriptor digest (ns and votes), 20 bytes. */
  readonly digest: Uint8Array | undefined;
  readonly published: number;
  readonly address: string;
  readonly orPort: number;
  readonly dirPort: number;
  /** From `a`. */
  readonly ipv6: OrAddress | undefined;
  readonly flags: ReadonlySet<string>;
  readonly version: string | undefined;
  readonly protocols: ProtocolSet;
  /** `w Bandwidth=`, kilobytes per second; 0 when absent. */
  readonly bandwidth: number;
  readonly unmeasured: boolean;
  /** `w Measured=` of votes. */
  readonly measured: number | undefined;
  /** `w MeasuredButAuthority=` of votes: recorded, never used. */
  readonly measuredButAuthority: number | undefined;
  /** `p` of the ns flavour and votes. */
  readonly policy: PortSummary | undefined;
  /** Microdescriptor digest (`m` of the microdesc flavour), base64 without padding. */
  readonly microdescDigest: string | undefined;
  /** `id ed25519` of votes and the ns flavour: 32 bytes, `none`, or not given. */
  readonly ed25519Id: Uint8Array | 'none' | undefined;
  /** Votes: consensus methods to microdescriptor digest (base64), from `m 32,33 sha256=…`. */
  readonly microdescDigests: ReadonlyMap<number, string> | undefined;
  /** Votes: `stats` values. */
  readonly stats: ReadonlyMap<string, number> | undefined;
}

/** An authority's entry in a vote or a consensus. */
export interface AuthorityEntry {
  readonly nickname: string;
  /** SHA-1 of the authority identity key (v3ident). */
  readonly identity: RelayId;
  readonly hostname: string;
  readonly address: string;
  readonly dirPort: number;
  readonly orPort: number;
  readonly contact: string;
  /** Consensus: hex digest of its vote. */
  readonly voteDigest: string | undefined;
}

/** One `directory-signature`. */
export interface DirectorySignature {
  readonly algorithm: 'sha1' | 'sha256';
  readonly identity: RelayId;
  /** SHA-1 of the signing key, hex. */
  readonly signingKeyDigest: string;
  readonly signature: Uint8Array;
}

/** A shared random value with the number of reveals it was made from. */
export interface SharedRandomValue {
  readonly reveals: number;
  readonly value: Uint8Array;
}

/** A shared-randomness commitment of a vote. */
export interface SharedRandomCommit {
  readonly version: number;
  readonly algorithm: string;
  readonly identity: RelayId;
  /** base64 as written. */
  readonly commit: string;
  readonly reveal: string | undefined;
}

/** What votes and consensuses have in common. */
export interface NetworkStatusHead {
  readonly published: number | undefined;
  readonly validAfter: number;
  readonly freshUntil: number;
  readonly validUntil: number;
  /** Seconds: vote delay, distribution delay. */
  readonly votingDelay: { readonly vote: number; readonly dist: number };
  readonly clientVersions: readonly string[];
  readonly serverVersions: readonly string[];
  readonly knownFlags: readonly string[];
  readonly recommendedClientProtocols: ProtocolSet | undefined;
  readonly recommendedRelayProtocols: ProtocolSet | undefined;
  readonly requiredClientProtocols: ProtocolSet | undefined;
  readonly requiredRelayProtocols: ProtocolSet | undefined;
  readonly params: ReadonlyMap<string, number>;
  readonly sharedRandPrevious: SharedRandomValue | undefined;
  readonly sharedRandCurrent: SharedRandomValue | undefined;
}

/** A vote (dir-spec 3.4.1), its signature checked by the parser's caller through `verifyVote`. */
export interface Vote extends NetworkStatusHead {
  readonly published: number;
  readonly consensusMethods: readonly number[];
  readonly flagThresholds: ReadonlyMap<string, string>;
  readonly authority: AuthorityEntry;
  /** Hex digest of an identity key the authority used before. */
  readonly legacyDirKey: RelayId | undefined;
  readonly certificate: AuthorityCertificate;
  readonly sharedRandParticipate: boolean;
  readonly sharedRandCommits: readonly SharedRandomCommit[];
  readonly bandwidthFileHeaders: string | undefined;
  readonly bandwidthFileDigest: string | undefined;
  readonly routers: readonly RouterStatus[];
  readonly signature: DirectorySignature;
  /** SHA-1 of the signed part, hex: its name. */
  readonly digest: string;
  readonly text: string;
}

/** A consensus of either flavour (dir-spec 3.4.1, 3.9.2). */
export interface Consensus extends NetworkStatusHead {
  readonly flavor: 'ns' | 'microdesc';
  readonly consensusMethod: number;
  readonly authorities: readonly AuthorityEntry[];
  readonly routers: readonly RouterStatus[];
  readonly bandwidthWeights: ReadonlyMap<string, number>;
  readonly signatures: readonly DirectorySignature[];
  /** Digest of the signed part: SHA-1 (ns) and SHA-256 (microdesc), by algorithm. */
  readonly signedDigests: { readonly sha1: Uint8Array; readonly sha256: Uint8Array };
  /** SHA3-256 of the text through "directory-signature ", hex: the base of diffs. */
  readonly sha3AsSigned: string;
  readonly text: string;
}

/** An authority key certificate (dir-spec 3.1). */
export interface AuthorityCertificate {
  /** SHA-1 of the identity key: the v3ident. */
  readonly identity: RelayId;
  /** SHA-1 of the signing key, hex. */
  readonly signingKeyDigest: string;
  /** DER (PKCS1) public keys. */
  readonly identityKey: Uint8Array;
  readonly signingKey: Uint8Array;
  readonly published: number;
  readonly expires: number;
  /** `dir-address`, when given. */
  readonly address: { readonly host: string; readonly port: number } | undefined;
  readonly text: string;
}

/** A detached-signature document (dir-spec 3.10). */
export interface DetachedSignatures {
  readonly validAfter: number;
  readonly freshUntil: number;
  readonly validUntil: number;
  /** `consensus-digest` and `additional-digest`, by flavour. */
  readonly digests: ReadonlyMap<'ns' | 'microdesc', Uint8Array>;
  readonly signatures: ReadonlyMap<'ns' | 'microdesc', readonly DirectorySignature[]>;
}
