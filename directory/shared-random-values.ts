/**
 * The arithmetic of shared randomness: commitments, reveals, the value made of them, and which values a consensus
 * takes from the votes (srv-spec 2-5; C tor `shared_random.c`).
 *
 *     REVEAL = base64( time(8, seconds) | SHA3-256(32 random bytes) )
 *     COMMIT = base64( time(8, seconds) | SHA3-256(REVEAL) )
 *
 * @module
 */
import { DecodeError } from '../shared/bytes/errors.js';
import { Reader } from '../shared/bytes/reader.js';
import { bytesOf, fromBase64, sameBytes, toBase64 } from '../shared/bytes/text.js';
import { Writer } from '../shared/bytes/writer.js';
import { sha3_256 } from '../shared/crypto/digest.js';
import type { RelayId, SharedRandomCommit, SharedRandomValue, Vote } from '../shared/netdoc/types.js';
import type { Random } from '../shared/runtime/types.js';
import { mostFrequent } from './order.js';

/** The version of the protocol, and the only hash it knows. */
export const SR_VERSION = 1;
export const SR_ALGORITHM = 'sha3-256';

/** 8 bytes of time and 32 of hash or random number. */
const DECODED_SIZE = 40;

function decode(text: string, field: string): { time: bigint; value: Uint8Array } {
  const reader = new Reader(fromBase64(text, field, DECODED_SIZE));
  return { time: reader.u64(`${field} time`), value: reader.rest() };
}

const encode = (time: bigint, value: Uint8Array): string =>
  toBase64(new Writer(DECODED_SIZE).u64(time).bytes(value).finish());

/** The hash inside a COMMIT; reveals are ordered by it. */
const committedHash = (commit: SharedRandomCommit): Uint8Array => decode(commit.commit, 'COMMIT').value;

/** Whether a commitment's parts decode: version, algorithm, COMMIT and, if there, REVEAL. */
export function isWellFormed(commit: SharedRandomCommit): boolean {
  if (commit.version > SR_VERSION || commit.algorithm !== SR_ALGORITHM) return false;
  try {
    decode(commit.commit, 'COMMIT');
    if (commit.reveal !== undefined) decode(commit.reveal, 'REVEAL');
    return true;
  } catch (error) {
    if (error instanceof DecodeError) return false;
    throw error;
  }
}

/** Whether the REVEAL is what the COMMIT promised. */
export function revealMatches(commit: SharedRandomCommit): boolean {
  if (commit.reveal === undefined) return false;
  const committed = decode(commit.commit, 'COMMIT');
  if (decode(commit.reveal, 'REVEAL').time !== committed.time) return false;
  return sameBytes(sha3_256(bytesOf(commit.reveal)), committed.value);
}

/** A commitment from 32 random bytes, for a run that starts at `start` (milliseconds). */
export function makeCommitFrom(raw: Uint8Array, start: number, identity: RelayId): SharedRandomCommit {
  const time = BigInt(Math.floor(start / 1000));
  // Hashed so that nobody sees the generator's own output (srv-spec 3.1.1).
  const reveal = encode(time, sha3_256(raw));
  const commit = encode(time, sha3_256(bytesOf(reveal)));
  return { version: SR_VERSION, algorithm: SR_ALGORITHM, identity, commit, reveal };
}

/** `makeCommitFrom` with fresh randomness. */
export const makeCommit = (random: Random, start: number, identity: RelayId): SharedRandomCommit =>
  makeCommitFrom(random.bytes(32), start, identity);

/**
 * SHA3-256("shared-random" | count(8) | version(4) | SHA3-256(elements) | previous value(32)), an element being the
 * identity in hex and the REVEAL.
 *
 * The elements go in the order of the hash inside COMMIT, not of the fingerprint, whatever srv-spec 3.3 says
 * (C tor `compare_reveal_`).
 */
export function computeSharedRandom(
  commits: Iterable<SharedRandomCommit>,
  previous: SharedRandomValue | undefined,
): SharedRandomValue {
  const elements = [...commits]
    .filter((commit) => commit.reveal !== undefined)
    .map((commit) => ({ hash: committedHash(commit), text: `${commit.identity}${commit.reveal}` }))
    .sort((a, b) => Buffer.compare(a.hash, b.hash))
    .map((element) => element.text);
  return sharedRandomOf(elements, previous);
}

/** The value of elements in their final order. */
export function sharedRandomOf(
  elements: readonly string[],
  previous: SharedRandomValue | undefined,
): SharedRandomValue {
  const message = new Writer(96)
    .bytes(bytesOf('shared-random'))
    .u64(BigInt(elements.length))
    .u32(SR_VERSION)
    .bytes(sha3_256(bytesOf(elements.join(''))))
    .bytes(previous?.value ?? new Uint8Array(32))
    .finish();
  return { reveals: elements.length, value: sha3_256(message) };
}

/** What decides whether a voted value enters the consensus. */
export interface SharedRandomRules {
  /** Configured authorities. */
  readonly authorities: number;
  /** Whether this authority has just made a new value; a new one needs a larger majority. */
  readonly fresh: boolean;
  /** `AuthDirNumSRVAgreements`: votes a fresh value needs. */
  readonly agreements: number;
}

/** The value most participating votes have, if enough have it (C tor `should_keep_srv`). */
export function majorityValue(
  votes: readonly Vote[],
  which: 'sharedRandPrevious' | 'sharedRandCurrent',
  rules: SharedRandomRules,
): SharedRandomValue | undefined {
  const values = votes
    .filter((vote) => vote.sharedRandParticipate)
    .map((vote) => vote[which])
    .filter((value) => value !== undefined);
  const best = mostFrequent(values, (a, b) => Buffer.compare(a.value, b.value));
  if (!best || best.count <= Math.floor(rules.authorities / 2)) return undefined;
  if (rules.fresh && best.count < rules.agreements) return undefined;
  return best.value;
}
