/**
 * The file in which a bandwidth scanner leaves its measurements (bandwidth-file-spec; C tor
 * `dirserv_read_measured_bandwidths`).
 *
 *     1795257899                                    time of the measurements, seconds
 *     version=1.4.0                                 headers, copied into the vote
 *     =====
 *     bw=1470 node_id=$6415CD0CBF01... [key=value]  one relay, kilobytes per second
 *
 * @module
 */
import { toBase64Bare } from '../shared/bytes/text.js';
import { sha256 } from '../shared/crypto/digest.js';
import type { RelayId } from '../shared/netdoc/types.js';

const MAX_AGE = 3 * 24 * 3600 * 1000;
/** Headers in a vote at most, the timestamp among them. */
const MAX_HEADERS = 50;
/** Characters of the vote's headers line at most. */
const MAX_HEADERS_LENGTH = 1024;
const TERMINATOR = '=====';
/** The most that a vote can say. */
const MAX_BANDWIDTH = 2 ** 32 - 1;

/** What was read of a bandwidth file. */
export interface BandwidthFile {
  /** Time of the measurements, milliseconds; undefined when the file is stale or has no time. */
  readonly time: number | undefined;
  /** The argument of the vote's `bandwidth-file-headers`. */
  readonly headers: string;
  /** `sha256=…` over the whole file: the argument of `bandwidth-file-digest`. */
  readonly digest: string;
  /** Kilobytes per second. */
  readonly measured: ReadonlyMap<RelayId, number>;
  /** What was wrong, for the log. */
  readonly problems: readonly string[];
}

type Line = { readonly id: RelayId; readonly bandwidth: number } | 'incomplete' | 'ignored';

function parseRelayLine(line: string): Line {
  let id: string | undefined;
  let bandwidth: number | undefined;
  for (const word of line.split(/[ \t]+/)) {
    if (word.startsWith('vote=0')) return 'ignored';
    if (word.startsWith('bw=')) {
      if (bandwidth !== undefined || !/^bw=\d{1,15}$/.test(word)) return 'incomplete';
      bandwidth = Number(word.slice(3));
      if (bandwidth > MAX_BANDWIDTH) return 'incomplete';
    } else if (word.startsWith('node_id=')) {
      const match = /^node_id=\$?([0-9A-Fa-f]{40})$/.exec(word);
      if (id !== undefined || !match) return 'incomplete';
      id = match[1]!.toUpperCase();
    }
  }
  return id !== undefined && bandwidth !== undefined ? { id, bandwidth } : 'incomplete';
}

const isHeader = (line: string): boolean => /^[^= ]+=[^ ]+$/.test(line);

/** Reads a file that was found; problems are reported, and what can be used is. */
export function parseBandwidthFile(bytes: Uint8Array, now: number): BandwidthFile {
  const digest = `sha256=${toBase64Bare(sha256(bytes))}`;
  const empty = { time: undefined, headers: '', digest, measured: new Map<RelayId, number>() };
  // A last line without its newline was not written to its end: it does not count.
  const lines = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8').split('\n');
  const unfinished = lines.pop();
  const first = lines[0];
  if (first === undefined || !/^\d{1,12}$/.test(first))
    return { ...empty, problems: ['the first line is not a time in seconds'] };
  const time = Number(first) * 1000;
  if (now - time > MAX_AGE) {
    const age = Math.floor((now - time) / 1000);
    return { ...empty, problems: [`stale: its measurements are ${age} seconds old`] };
  }

  const headers = [`timestamp=${first}`];
  const measured = new Map<RelayId, number>();
  const problems: string[] = unfinished ? ['the last line is incomplete'] : [];
  let pastHeaders = false;
  for (const [i, line] of lines.entries()) {
    if (i === 0) continue;
    const parsed = parseRelayLine(line);
    if (typeof parsed === 'object') {
      pastHeaders = true;
      measured.set(parsed.id, parsed.bandwidth);
    } else if (line === TERMINATOR) {
      pastHeaders = true;
    } else if (pastHeaders) {
      if (parsed === 'incomplete') problems.push(`line ${i + 1} has no usable bw and node_id`);
    } else if (isHeader(line) && headers.length < MAX_HEADERS) {
      headers.push(line);
    }
  }
  const joined = headers.join(' ');
  return { time, headers: joined.length > MAX_HEADERS_LENGTH ? '' : joined, digest, measured, problems };
}

/**
 * What was measured of each relay, for its flags: what a newer file no longer tells, or while there is none that can
 * be used, what was told before counts on (C tor `dirserv_cache_measured_bw`, `dirserv_expire_measured_bw_cache`).
 */
export class Measurements {
  private readonly known = new Map<RelayId, { readonly bandwidth: number; readonly time: number }>();

  /** Takes what a file tells; one that can be used also ends what is older than three days. */
  take({ time, measured }: BandwidthFile, now: number): void {
    if (time === undefined) return;
    for (const [id, bandwidth] of measured) {
      const known = this.known.get(id);
      if (!known || time > known.time) this.known.set(id, { bandwidth, time });
    }
    for (const [id, known] of this.known) if (now > known.time + MAX_AGE) this.known.delete(id);
  }

  /** Kilobytes per second. */
  of(id: RelayId): number | undefined {
    return this.known.get(id)?.bandwidth;
  }
}
