/**
 * What a client remembers between runs besides documents: its guards and its circuit build times.
 *
 * @module
 */
import type { Log } from '../shared/log/types.js';
import { loadState, saveState } from '../shared/store/state.js';
import type { Store } from '../shared/store/types.js';
import { type BuildTimes, buildTimesKind, type SavedBuildTimes } from './build-timeout.js';
import { type GuardManager, guardStateKind, type SavedGuards } from './guards.js';

const GUARDS_FILE = 'cepa-state/guards';
const TIMES_FILE = 'cepa-state/build-times';
/** Build times change with every circuit: they are saved this often at most, milliseconds. */
const TIMES_INTERVAL = 60_000;
/** After a failure all is written again, so much later; milliseconds. */
const RETRY = 60_000;

/** What was saved, as far as it can be read. */
export async function loadSaved(
  store: Store,
  log: Log,
): Promise<{ guards: SavedGuards | undefined; times: SavedBuildTimes | undefined }> {
  const guards = await loadState(store, GUARDS_FILE, guardStateKind, log);
  const times = await loadState(store, TIMES_FILE, buildTimesKind, log);
  return { guards, times };
}

/** Saves what changed, one write at a time. */
export class Saver {
  private readonly store: Store;
  private readonly log: Log;
  private readonly guards: GuardManager;
  private readonly times: BuildTimes;
  private writing: Promise<void> = Promise.resolve();
  private timesSavedAt = Number.NEGATIVE_INFINITY;
  /** When to try again what could not be written. */
  private retryAt: number | undefined;

  constructor(store: Store, log: Log, guards: GuardManager, times: BuildTimes) {
    this.store = store;
    this.log = log;
    this.guards = guards;
    this.times = times;
  }

  /** Guards at once, build times now and then; `all` for the last time. */
  save(now: number, all = false): Promise<void> {
    const again = this.retryAt !== undefined && (all || now >= this.retryAt);
    if (again) this.retryAt = undefined;
    const guards = this.guards.takeChanges(again);
    if (guards) this.write(now, GUARDS_FILE, guardStateKind.version, guards);
    const due = all || now - this.timesSavedAt >= TIMES_INTERVAL;
    if (again || (this.times.changed && due)) {
      this.times.changed = false;
      this.timesSavedAt = now;
      this.write(now, TIMES_FILE, buildTimesKind.version, this.times.save());
    }
    return this.writing;
  }

  private write(now: number, name: string, version: number, value: unknown): void {
    this.writing = this.writing
      .then(() => saveState(this.store, name, version, value))
      .catch((error: Error) => {
        this.log.warn(`Cannot save ${name}: ${error.message}`);
        this.retryAt = now + RETRY;
      });
  }
}
