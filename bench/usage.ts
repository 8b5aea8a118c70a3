/**
 * What a process has used, from Linux's /proc.
 *
 * @module
 */
import { readdirSync, readFileSync } from 'node:fs';

/** Clock ticks a second: USER_HZ, 100 on every Linux that Node runs on. */
const TICKS = 100;

/** Seconds. */
export interface CpuTimes {
  readonly user: number;
  readonly system: number;
}

/** CPU seconds a process has used, all its threads; zeros when it is gone. */
export const cpuTimes = (pid: number): CpuTimes => timesIn(`/proc/${pid}/stat`);

/** CPU seconds of each of its threads, by number; none when it is gone. */
export function threadTimes(pid: number): Map<string, number> {
  try {
    const sum = ({ user, system }: CpuTimes) => user + system;
    return new Map(
      readdirSync(`/proc/${pid}/task`).map((id) => [id, sum(timesIn(`/proc/${pid}/task/${id}/stat`))]),
    );
  } catch {
    return new Map();
  }
}

function timesIn(file: string): CpuTimes {
  try {
    const stat = readFileSync(file, 'latin1');
    // The name, in parentheses, may hold spaces; utime and stime are fields 14 and 15.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return { user: Number(fields[11]) / TICKS, system: Number(fields[12]) / TICKS };
  } catch {
    return { user: 0, system: 0 };
  }
}

/** The sum of both. */
export function cpuSeconds(pid: number): number {
  const { user, system } = cpuTimes(pid);
  return user + system;
}

/** Resident memory of a process in megabytes (10^6 bytes); 0 when it is gone. */
export function residentMegabytes(pid: number): number {
  try {
    const found = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'));
    return (Number(found?.[1] ?? 0) * 1024) / 1e6;
  } catch {
    return 0;
  }
}
