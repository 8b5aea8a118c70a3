/**
 * What a node remembers between runs (documents, guards, statistics): one value a file, in MessagePack, with a
 * version and a checksum. Snapshots, not logs: each save replaces the file.
 *
 * ```
 * "CepaSt1\n"      8 bytes
 * checksum         8 bytes, the first of SHA-256 over the rest
 * [version, value] MessagePack
 * ```
 *
 * A file that is damaged, or from a newer version than this program knows, is set aside with a warning and the node
 * starts without it; nothing is ever overwritten that could not be read. Keys do not belong here.
 *
 * The files lie under `cepa-state/`: `state` is the name of C tor's own file, and a data directory serves both.
 *
 * @module
 */
import { createHash } from 'node:crypto';
import { Packr } from 'msgpackr';
import { DecodeError } from '../bytes/errors.js';
import { Reader } from '../bytes/reader.js';
import { bytesOf, concat, sameBytes } from '../bytes/text.js';
import type { Log } from '../log/types.js';
import type { Store } from './types.js';

const MAGIC = bytesOf('CepaSt1\n');
const CHECKSUM = 8;

// Records are msgpackr's own extension and would make the files unreadable to other decoders.
const packr = new Packr({ useRecords: false, mapsAsObjects: true, int64AsType: 'number', copyBuffers: true });

/** How one kind of state is read. */
export interface StateKind<T> {
  /** Grows whenever an older program could not read the value. */
  readonly version: number;
  /** Gives the value its type; throws (best a DecodeError) when a part is missing or of the wrong kind. */
  check(value: unknown): T;
  /** Brings the value of an older version up to this one. Without it, an older file is set aside. */
  upgrade?(value: unknown, from: number): unknown;
}

/**
 * The bytes of a snapshot. Values are plain: objects, arrays, strings, numbers, booleans, null, Uint8Array. A Map
 * comes back as an object: save its entries.
 */
export function encodeState(version: number, value: unknown): Uint8Array {
  const body = packr.pack([version, value]);
  return concat(MAGIC, checksum(body), body);
}

/** The version and value of a snapshot; throws a DecodeError when a byte is wrong. */
export function decodeState(bytes: Uint8Array): { version: number; value: unknown } {
  const reader = new Reader(bytes);
  if (!sameBytes(reader.slice(MAGIC.length, 'state.magic'), MAGIC))
    throw new DecodeError('state.magic', 'not a state file of Cepa');
  const sum = reader.slice(CHECKSUM, 'state.checksum');
  const body = reader.rest();
  if (!sameBytes(sum, checksum(body))) throw new DecodeError('state.checksum', 'the file is damaged');
  let pair: unknown;
  try {
    pair = packr.unpack(body);
  } catch (error) {
    throw new DecodeError('state.body', 'not MessagePack', { cause: error });
  }
  if (!Array.isArray(pair) || pair.length !== 2 || !Number.isSafeInteger(pair[0]))
    throw new DecodeError('state.version', 'missing');
  return { version: pair[0] as number, value: pair[1] };
}

function checksum(body: Uint8Array): Uint8Array {
  return createHash('sha256').update(body).digest().subarray(0, CHECKSUM);
}

/** Replaces the snapshot `name`. */
export async function saveState(store: Store, name: string, version: number, value: unknown): Promise<void> {
  await store.write(name, encodeState(version, value));
}

/**
 * The value of the snapshot `name`; undefined when there is none, or when it could not be used and was set aside
 * (warned about). Rejects only when the disk does.
 */
export async function loadState<T>(
  store: Store,
  name: string,
  kind: StateKind<T>,
  log: Log,
): Promise<T | undefined> {
  const bytes = await store.read(name);
  if (!bytes) return undefined;
  try {
    return kind.check(current(kind, bytes));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const aside = await store.setAside(name);
    log.warn(`State file ${name} cannot be used (${reason}). It was kept as ${aside}; starting without it.`);
    return undefined;
  }
}

function current<T>(kind: StateKind<T>, bytes: Uint8Array): unknown {
  const { version, value } = decodeState(bytes);
  if (version === kind.version) return value;
  if (version > kind.version)
    throw new DecodeError(
      'state.version',
      `written by a newer Cepa (version ${version}, known ${kind.version})`,
    );
  if (!kind.upgrade) throw new DecodeError('state.version', `version ${version} is no longer read`);
  return kind.upgrade(value, version);
}
