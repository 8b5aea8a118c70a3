/**
 * Asks nodes for their metrics, and Prometheus's own program for its opinion.
 *
 * @module
 */
import { spawnSync } from 'node:child_process';
import { lint, type ParsedFamily, parseExposition } from '../../shared/metrics/testing.js';
import { findProgram } from '../interop/find-program.js';

/** An exposition, as it came and read. */
export interface Scraped {
  readonly text: string;
  readonly families: Map<string, ParsedFamily>;
}

/** What a MetricsPort on this machine shows now. */
export async function scrape(port: number): Promise<Scraped> {
  const answer = await fetch(`http://127.0.0.1:${port}/metrics`);
  if (answer.status !== 200) throw new Error(`status ${answer.status} of port ${port}`);
  const text = await answer.text();
  return { text, families: parseExposition(text) };
}

/** What is wrong with an exposition: by our own reading of the rules, and by `promtool` where it is installed. */
export function complaints(text: string): string[] {
  // What Node.js has none of just now, it shows without values.
  const found = lint(parseExposition(text)).filter((line) => !/^nodejs_\w+: no values$/.test(line));
  const promtool = findProgram('promtool');
  if (!promtool) return found;
  const { status, stderr, stdout } = spawnSync(promtool, ['check', 'metrics'], {
    input: text,
    encoding: 'utf8',
  });
  return status === 0 ? found : [...found, `promtool: ${stdout}${stderr}`];
}

/** The counters that show less than they did, or are gone. */
export function fallen(before: Scraped['families'], after: Scraped['families']): string[] {
  const lost: string[] = [];
  for (const [name, { type, samples }] of before) {
    if (type !== 'counter') continue;
    const later = new Map(after.get(name)?.samples.map(({ key, value }) => [key, value]));
    for (const { key, value } of samples) if (!((later.get(key) ?? -1) >= value)) lost.push(key);
  }
  return lost;
}
