/**
 * Reads Prometheus's text format back, and complains of what `promtool check metrics` would complain of.
 *
 * @module
 */

/** One line of values. */
export interface ParsedSample {
  /** Name and labels as written. */
  readonly key: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** A metric with its `# HELP` and `# TYPE`. */
export interface ParsedFamily {
  help: string | undefined;
  type: string | undefined;
  readonly samples: ParsedSample[];
}

const LINE = /^([A-Za-z_:][A-Za-z0-9_:]*)(?:\{(.*)\})? (-?[0-9.e+-]+|[+-]Inf|NaN|Nan)$/;
const LABEL = /([A-Za-z_][A-Za-z0-9_]*)="((?:[^"\\]|\\[\\"n])*)"(?:,|$)/gy;

function labelsOf(text: string): Record<string, string> {
  const labels: Record<string, string> = {};
  LABEL.lastIndex = 0;
  while (LABEL.lastIndex < text.length) {
    const found = LABEL.exec(text);
    if (!found) throw new Error(`bad labels: ${text}`);
    labels[found[1]!] = found[2]!;
  }
  return labels;
}

/** The metrics of an exposition by name. Throws an Error at what is not in the format. */
export function parseExposition(text: string): Map<string, ParsedFamily> {
  const families = new Map<string, ParsedFamily>();
  const family = (name: string) => {
    const known = families.get(name) ?? { help: undefined, type: undefined, samples: [] };
    families.set(name, known);
    return known;
  };
  if (!text.endsWith('\n')) throw new Error('the last line has no end');
  for (const line of text.split('\n')) {
    if (line === '') continue;
    const meta = /^# (HELP|TYPE) ([A-Za-z0-9_:]+) (.+)$/.exec(line);
    if (meta) {
      const of = family(meta[2]!);
      const kind = meta[1] === 'HELP' ? 'help' : 'type';
      if (of[kind] !== undefined) throw new Error(`${meta[1]} of ${meta[2]} twice`);
      of[kind] = meta[3];
      continue;
    }
    const found = LINE.exec(line);
    if (!found) throw new Error(`not a line of metrics: ${line}`);
    const base = found[1]!.replace(/_(bucket|sum|count)$/, '');
    const name = families.get(base)?.type === 'histogram' ? base : found[1]!;
    const key = line.slice(0, line.lastIndexOf(' '));
    const { samples } = family(name);
    if (samples.some((sample) => sample.key === key)) throw new Error(`${key} twice`);
    samples.push({ key, labels: labelsOf(found[2] ?? ''), value: Number(found[3]) });
  }
  return families;
}

const NOT_BASE_UNITS = /_(milliseconds|minutes|hours|days|kilobytes|megabytes|kb|mb|ms)(_|$)/;

/** Complaints by Prometheus's rules (promlint). */
export function lint(families: ReadonlyMap<string, ParsedFamily>): string[] {
  const complaints: string[] = [];
  for (const [name, { help, type, samples }] of families) {
    if (!help) complaints.push(`${name}: no help`);
    if (!type) complaints.push(`${name}: no type`);
    if (type === 'counter' && !name.endsWith('_total')) complaints.push(`${name}: a counter ends in _total`);
    if (type !== 'counter' && name.endsWith('_total'))
      complaints.push(`${name}: only counters end in _total`);
    if (/_(gauge|counter|histogram)(_|$)/.test(name)) complaints.push(`${name}: the type is in the name`);
    if (/[A-Z:]/.test(name)) complaints.push(`${name}: capitals or colons`);
    if (NOT_BASE_UNITS.test(name)) complaints.push(`${name}: not in base units`);
    if (type === 'counter' && samples.some(({ value }) => value < 0)) complaints.push(`${name}: below zero`);
    if (samples.length === 0) complaints.push(`${name}: no values`);
  }
  return complaints;
}
