/**
 * What an authority keeps across restarts besides its documents: relays' histories, when they were last reached, and
 * its part in shared randomness. MessagePack snapshots; the key-pinning journal is a text file as C tor's.
 *
 * @module
 */

import { DecodeError } from '../shared/bytes/errors.js';
import { bytesOf } from '../shared/bytes/text.js';
import type { Log } from '../shared/log/types.js';
import type { RelayId, SharedRandomCommit, SharedRandomValue } from '../shared/netdoc/types.js';
import { loadState, type StateKind, saveState } from '../shared/store/state.js';
import type { Store } from '../shared/store/types.js';
import type { KeyPins } from './key-pinning.js';
import type { HistorySnapshot, RelayHistory } from './router-history.js';
import type { SharedRandomSnapshot } from './shared-random.js';

const HISTORY_FILE = 'cepa-state/router-history';
const SHARED_RANDOM_FILE = 'cepa-state/shared-random';
const JOURNAL_FILE = 'key-pinning-journal';
const APPROVED_FILE = 'approved-routers';

/** Histories, and when each relay was last reached, milliseconds. */
export interface SavedHistory {
  readonly history: HistorySnapshot;
  readonly reached: readonly (readonly [RelayId, number])[];
}

// Reading what may have been written by anything

type Plain = Record<string, unknown>;

function record(value: unknown, field: string): Plain {
  if (typeof value !== 'object' || value === null) throw new DecodeError(field, 'not a record');
  return value as Plain;
}

function list(value: unknown, field: string): unknown[] {
  if (!Array.isArray(value)) throw new DecodeError(field, 'not a list');
  return value;
}

function number(value: unknown, field: string): number {
  if (typeof value !== 'number' || !Number.isFinite(value)) throw new DecodeError(field, 'not a number');
  return value;
}

function string(value: unknown, field: string): string {
  if (typeof value !== 'string') throw new DecodeError(field, 'not a text');
  return value;
}

function relayId(value: unknown, field: string): RelayId {
  const id = string(value, field);
  if (!/^[0-9A-F]{40}$/.test(id)) throw new DecodeError(field, 'not a fingerprint');
  return id;
}

function pairs<T>(value: unknown, field: string, read: (value: unknown) => T): [RelayId, T][] {
  return list(value, field).map((entry) => {
    const [id, item] = list(entry, field);
    return [relayId(id, field), read(item)];
  });
}

function readHistory(value: unknown): RelayHistory {
  const fields = record(value, 'history');
  const at = (name: keyof RelayHistory): number => number(fields[name], `history.${name}`);
  return {
    weightedRunLength: at('weightedRunLength'),
    totalRunWeights: at('totalRunWeights'),
    startOfRun: at('startOfRun'),
    startOfDowntime: at('startOfDowntime'),
    weightedUptime: at('weightedUptime'),
    totalWeightedTime: at('totalWeightedTime'),
    reachedAt: string(fields.reachedAt, 'history.reachedAt'),
  };
}

const historyKind: StateKind<SavedHistory> = {
  version: 1,
  check(value) {
    const { history, reached } = record(value, 'state');
    const snapshot = record(history, 'history');
    return {
      history: {
        storedAt: number(snapshot.storedAt, 'history.storedAt'),
        trackedSince: number(snapshot.trackedSince, 'history.trackedSince'),
        lastDownrated: number(snapshot.lastDownrated, 'history.lastDownrated'),
        relays: pairs(snapshot.relays, 'history.relays', readHistory),
      },
      reached: pairs(reached, 'reached', (time) => number(time, 'reached')),
    };
  },
};

function readValue(value: unknown): SharedRandomValue | undefined {
  if (value === undefined || value === null) return undefined;
  const fields = record(value, 'value');
  if (!(fields.value instanceof Uint8Array) || fields.value.length !== 32)
    throw new DecodeError('value.value', 'not 32 bytes');
  return { reveals: number(fields.reveals, 'value.reveals'), value: new Uint8Array(fields.value) };
}

function readCommit(value: unknown): SharedRandomCommit {
  const fields = record(value, 'commit');
  const { reveal } = fields;
  return {
    version: number(fields.version, 'commit.version'),
    algorithm: string(fields.algorithm, 'commit.algorithm'),
    identity: relayId(fields.identity, 'commit.identity'),
    commit: string(fields.commit, 'commit.commit'),
    reveal: reveal === undefined || reveal === null ? undefined : string(reveal, 'commit.reveal'),
  };
}

const sharedRandomKind: StateKind<SharedRandomSnapshot> = {
  version: 1,
  check(value) {
    const fields = record(value, 'state');
    return {
      validAfter: number(fields.validAfter, 'validAfter'),
      validUntil: number(fields.validUntil, 'validUntil'),
      commits: list(fields.commits, 'commits').map(readCommit),
      previous: readValue(fields.previous),
      current: readValue(fields.current),
    };
  },
};

export const loadHistory = (store: Store, log: Log): Promise<SavedHistory | undefined> =>
  loadState(store, HISTORY_FILE, historyKind, log);

export const saveHistory = (store: Store, saved: SavedHistory): Promise<void> =>
  saveState(store, HISTORY_FILE, historyKind.version, saved);

export const loadSharedRandom = (store: Store, log: Log): Promise<SharedRandomSnapshot | undefined> =>
  loadState(store, SHARED_RANDOM_FILE, sharedRandomKind, log);

export const saveSharedRandom = (store: Store, snapshot: SharedRandomSnapshot): Promise<void> =>
  saveState(store, SHARED_RANDOM_FILE, sharedRandomKind.version, snapshot);

const textOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8');

/** Fills the pins from the journal. */
export async function loadPins(store: Store, pins: KeyPins, log: Log): Promise<void> {
  const journal = await store.read(JOURNAL_FILE);
  if (!journal) return;
  const corrupt = pins.load(textOf(journal));
  if (corrupt > 0)
    log.warn(
      `${JOURNAL_FILE} has ${corrupt} lines that cannot be read; going on with the other ${pins.size}.`,
    );
}

/** Writes the journal anew. */
export const savePins = (store: Store, pins: KeyPins): Promise<void> =>
  store.write(JOURNAL_FILE, bytesOf(pins.toJournal()));

/** The text of `approved-routers`, if there is one. */
export async function readApprovedRouters(store: Store): Promise<string | undefined> {
  const bytes = await store.read(APPROVED_FILE);
  return bytes && textOf(bytes);
}
