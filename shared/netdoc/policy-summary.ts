/**
 * From an exit policy to its port summary, step by step as C tor's `policy_summarize`: authorities must arrive at the
 * same text.
 *
 * - Accepts count only when they cover every address of the family.
 * - Rejects of the private networks are not counted; every other reject adds its addresses (IPv6: its /64s) to the
 *   ports it names. A port with more than 2^25 IPv4 addresses (IPv6: 2^48 /64s) rejected before it is accepted is
 *   closed.
 * - The shorter of the lists of open and of closed ports is used, open ones if equal.
 *
 * @module
 */
import { samePrefix } from './address.js';
import type { PolicyEntry } from './policy.js';
import {
  ACCEPT_ALL,
  formatPortRange,
  MAX_SUMMARY_LENGTH,
  makePortSummary,
  type PortRange,
  type PortSummary,
  parsePortSummary,
  REJECT_ALL,
} from './port-summary.js';
import { PRIVATE_NETS } from './private-nets.js';

/** A run of ports with one fate. */
interface Run {
  low: number;
  high: number;
  rejected: number;
  accepted: boolean;
}

/** Cuts runs so that `port` starts one. */
function cutAt(runs: Run[], port: number): void {
  const at = runs.findIndex((run) => run.low < port && port <= run.high);
  const run = runs[at];
  if (run === undefined) return;
  runs.splice(at + 1, 0, { ...run, low: port });
  run.high = port - 1;
}

function runsOf(runs: Run[], low: number, high: number): Run[] {
  cutAt(runs, low);
  cutAt(runs, high + 1);
  return runs.filter((run) => run.low >= low && run.high <= high);
}

const isPrivateNet = (entry: PolicyEntry): boolean =>
  PRIVATE_NETS.some(
    (net) =>
      net.bits === entry.bits &&
      samePrefix(net.address, entry.address, entry.address.length === 4 ? 32 : 128),
  );

/** How much a reject weighs: IPv4 addresses, or IPv6 /64 networks. */
function weightOf(entry: PolicyEntry): number {
  const bits = (entry.address.length === 4 ? 32 : 64) - entry.bits;
  return bits < 0 ? 0 : 2 ** bits;
}

const CUTOFF = { 4: 2 ** 25, 16: 2 ** 48 } as const;

function addEntry(runs: Run[], entry: PolicyEntry, cutoff: number): void {
  if (entry.accept ? entry.bits !== 0 : isPrivateNet(entry)) return;
  for (const run of runsOf(runs, entry.low, entry.high)) {
    if (!entry.accept) run.rejected += weightOf(entry);
    else if (run.rejected <= cutoff) run.accepted = true;
  }
}

/** Neighbouring runs of the same fate, joined; those with the fate wanted. */
function rangesOf(runs: readonly Run[], accepted: boolean): PortRange[] {
  const ranges: [number, number][] = [];
  for (const run of runs) {
    if (run.accepted !== accepted) continue;
    const last = ranges.at(-1);
    if (last !== undefined && last[1] + 1 === run.low) last[1] = run.high;
    else ranges.push([run.low, run.high]);
  }
  return ranges;
}

/** Cuts a list of accepted ports before the last comma that fits. */
function cutToFit(ports: string): PortSummary {
  const room = MAX_SUMMARY_LENGTH - 'accept '.length;
  return parsePortSummary(`accept ${ports.slice(0, ports.lastIndexOf(',', room))}`);
}

/** Summarizes the entries of one address family. */
export function summarize(entries: readonly PolicyEntry[], family: 4 | 6): PortSummary {
  const size = family === 4 ? 4 : 16;
  const runs: Run[] = [{ low: 1, high: 65535, rejected: 0, accepted: false }];
  for (const entry of entries) if (entry.address.length === size) addEntry(runs, entry, CUTOFF[size]);
  const open = rangesOf(runs, true);
  const closed = rangesOf(runs, false);
  if (open.length === 0) return REJECT_ALL;
  if (closed.length === 0) return ACCEPT_ALL;
  const openText = open.map(formatPortRange).join(',');
  const closedText = closed.map(formatPortRange).join(',');
  const room = MAX_SUMMARY_LENGTH - 'accept '.length;
  if (openText.length > room && closedText.length > room) return cutToFit(openText);
  return closedText.length < openText.length ? makePortSummary(false, closed) : makePortSummary(true, open);
}
