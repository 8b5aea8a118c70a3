/**
 * Throughput: so many streams at once over one circuit, and what the nodes spend on it.
 *
 * @module
 */
import type { System } from './systems.js';
import type { download, upload, Way } from './traffic.js';
import { cpuSeconds } from './usage.js';

/** How long and how large a transfer is: as long as `seconds` by the speed seen before, `most` bytes at most. */
export interface TransferSize {
  readonly seconds: number;
  readonly most: number;
}

export type Work = typeof download | typeof upload;

/** What is carried, from whom to where. */
export interface Transfer {
  readonly client: string;
  readonly way: Way;
  readonly streams: number;
  readonly work: Work;
  /** To an onion service, so that its host takes part. */
  readonly onion: boolean;
}

const WARM_PIECE = 10_000_000;
/** V8 has compiled what it will after this much. */
const WARM_BYTES = 150_000_000;
const WARM_SECONDS = 8;
/** Less tells nothing: CPU time is counted in ticks of 10 ms. */
const LEAST = 10_000_000;

/** Bytes a second of each network and kind of transfer, as last seen. */
const speeds = new WeakMap<System, Map<string, number>>();

const speedsOf = (system: System): Map<string, number> => {
  const known = speeds.get(system) ?? new Map<string, number>();
  speeds.set(system, known);
  return known;
};

const carry = ({ way, work, streams }: Transfer, bytes: number): Promise<unknown> =>
  Promise.all(Array.from({ length: streams }, () => work(way, Math.ceil(bytes / streams))));

/** Code is compiled, windows have grown; bytes a second at the end. */
async function warmUp(transfer: Transfer, { most }: TransferSize): Promise<number> {
  // The circuit stands before a clock runs.
  await transfer.work(transfer.way, 100_000);
  const start = performance.now();
  const piece = Math.min(WARM_PIECE, most);
  let speed = 0;
  for (let done = 0; done < Math.min(WARM_BYTES, most); done += piece) {
    const before = performance.now();
    if (before - start > WARM_SECONDS * 1000) break;
    await carry(transfer, piece);
    speed = (piece * 1000) / (performance.now() - before);
  }
  return speed;
}

/** Runs it once, after a first time that is not counted. */
export async function measureTransfer(
  system: System,
  transfer: Transfer,
  size: TransferSize,
): Promise<Record<string, number>> {
  const { client, streams, work, onion } = transfer;
  const known = speedsOf(system);
  const kind = `${client} ${work.name} ${onion}`;
  const speed = known.get(kind) ?? (await warmUp(transfer, size));
  const bytes = Math.min(size.most, Math.max(LEAST, Math.round(speed * size.seconds)));
  await Promise.all(Array.from({ length: streams }, () => work(transfer.way, 1000)));
  const parts = system.pids(client, onion);
  const used = () => parts.map(([, pids]) => pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0));
  const before = used();
  const start = performance.now();
  await carry(transfer, bytes);
  const seconds = (performance.now() - start) / 1000;
  known.set(kind, bytes / seconds);
  const perGigabyte = used().map((now, i) => ((now - before[i]!) * 1e9) / bytes);
  return {
    'MB/s': bytes / 1e6 / seconds,
    'CPU s/GB': perGigabyte.reduce((sum, value) => sum + value, 0),
    ...Object.fromEntries(parts.map(([part], i) => [`s/GB ${part}`, perGigabyte[i]!])),
  };
}
