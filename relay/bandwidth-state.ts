/**
 * The bandwidth history on disk, so that a restarted relay does not look like a slow one.
 *
 * @module
 */
import { DecodeError } from '../shared/bytes/errors.js';
import type { Log } from '../shared/log/types.js';
import { loadState, type StateKind, saveState } from '../shared/store/state.js';
import type { Store } from '../shared/store/types.js';
import type { BandwidthHistory, Period, SavedHistory } from './bandwidth.js';

const FILE = 'cepa-state/bandwidth';

const isCount = (value: unknown): value is number =>
  typeof value === 'number' && Number.isFinite(value) && value >= 0;

function periods(value: unknown, field: string): Period[] {
  if (!Array.isArray(value)) throw new DecodeError(field, 'not a list');
  return value.map((entry) => {
    const { total, best } = entry as Record<string, unknown>;
    if (!isCount(total) || !isCount(best)) throw new DecodeError(field, 'not a period');
    return { total, best };
  });
}

const kind: StateKind<SavedHistory> = {
  version: 1,
  check(value) {
    const { ends, read, written } = value as Record<string, unknown>;
    if (!isCount(ends)) throw new DecodeError('bandwidth.ends', 'not a time');
    return { ends, read: periods(read, 'bandwidth.read'), written: periods(written, 'bandwidth.written') };
  },
};

/** Takes up the saved history, when there is one. */
export async function loadBandwidth(history: BandwidthHistory, store: Store, log: Log): Promise<void> {
  const saved = await loadState(store, FILE, kind, log);
  if (saved) history.restore(saved);
}

/** Saves the history. */
export const saveBandwidth = (history: BandwidthHistory, store: Store): Promise<void> =>
  saveState(store, FILE, kind.version, history.save());
