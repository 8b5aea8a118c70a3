/**
 * A relay's past, written into its data directory before it starts.
 *
 * In a network nobody has used yet all bandwidths are 0, until C tor's test of itself gives one relay some: from then on
 * that one is every hop that is chosen. With onion services C tor lets its guard be the last hop of the circuits it makes
 * ahead (`guards_choose_guard`); where the guard is that relay, each of them, one a second, ends at the relay between,
 * which extends to no previous hop (`circuit_extend_lspec_valid_helper`). C tor then warns of its guard, or never gets a
 * circuit done.
 *
 * @module
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BandwidthHistory, PERIOD } from '../../relay/bandwidth.js';
import { saveBandwidth } from '../../relay/bandwidth-state.js';
import { realClock } from '../../shared/runtime/real.js';
import { diskStore } from '../../shared/store/disk.js';
import type { Kind } from './mixed-network.js';

/** More than a test carries in ten seconds, so that it stays as it is. Bytes a second. */
const RATE = 10_000_000;
const SECONDS = PERIOD / 1000;

/** C tor's `state`: one finished day in each direction. */
function torState(now: Date): string {
  const ends = now.toISOString().slice(0, 19).replace('T', ' ');
  return ['Read', 'Write']
    .flatMap((direction) => [
      `BWHistory${direction}Ends ${ends}`,
      `BWHistory${direction}Interval ${SECONDS}`,
      `BWHistory${direction}Values ${RATE * SECONDS}`,
      `BWHistory${direction}Maxima ${RATE}`,
      '',
    ])
    .join('\n');
}

/** Lets a relay whose data directory this is have carried as much as every other. */
export async function hasCarried(kind: Kind, folder: string): Promise<void> {
  const now = realClock.now();
  if (kind === 'tor') return writeFileSync(join(folder, 'state'), torState(new Date(now)), { mode: 0o600 });
  const history = new BandwidthHistory(realClock);
  const days = [
    { total: RATE * SECONDS, best: RATE * 10 },
    { total: 0, best: 0 },
  ];
  history.restore({ ends: now + PERIOD, read: days, written: days });
  await saveBandwidth(history, diskStore(folder));
}
