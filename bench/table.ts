/**
 * The table of a benchmark, in Markdown, and what of it is as it should be.
 *
 * @module
 */
import type { RowKind, Wanted } from './rows.js';
import type { Summary } from './stats.js';

/** One row: for each network its figures, or why it has none. */
export interface TableRow extends RowKind {
  readonly systems: Readonly<Record<string, Readonly<Record<string, Summary>>>>;
  readonly failures: Readonly<Record<string, string>>;
}

/** A figure of Cepa's beside C tor's. */
export interface Verdict {
  readonly figure: string;
  /** Ours to the best of all networks of C tor. Undefined where there is nothing to compare. */
  readonly ratio: number | undefined;
  readonly wanted: Wanted | undefined;
  readonly state: 'ok' | 'short' | 'failed' | undefined;
}

const OURS = 'cepa';

const digits = (value: number): string => value.toFixed(Math.abs(value) < 10 ? 2 : 0);

const cell = ({ median, low, high, runs }: Summary): string =>
  runs === 1 ? digits(median) : `${digits(median)} (${digits(low)}-${digits(high)})`;

const isCpu = (figure: string) => figure.includes('s/GB');

function ratioToBest(row: TableRow, figure: string): number | undefined {
  if (row.apart) return undefined;
  const ours = row.systems[OURS]?.[figure]?.median;
  const others = Object.entries(row.systems)
    .filter(([name]) => !name.startsWith(OURS))
    .map(([, figures]) => figures[figure]?.median)
    .filter((value) => value !== undefined);
  if (ours === undefined || others.length === 0) return undefined;
  // CPU time is better lower, whatever the row is about.
  return ours / (row.better === 'higher' && !isCpu(figure) ? Math.max(...others) : Math.min(...others));
}

function stateOf(row: TableRow, ratio: number | undefined, wanted: Wanted): Verdict['state'] {
  const value = wanted.of === 'ratio' ? ratio : row.systems[OURS]?.[wanted.figure]?.median;
  if (value === undefined) return OURS in row.failures ? 'failed' : undefined;
  const reached = wanted.sign === '<=' ? value <= wanted.value : value >= wanted.value;
  return reached ? 'ok' : 'short';
}

/** Each figure of a row; the wanted ones also where nothing was measured. */
export function verdicts(row: TableRow): Verdict[] {
  const shown = Object.values(row.systems).flatMap(Object.keys);
  const figures = [...new Set([...shown, ...row.wanted.map(({ figure }) => figure)])];
  return figures.map((figure) => {
    const ratio = ratioToBest(row, figure);
    const wanted = row.wanted.find((one) => one.figure === figure);
    return { figure, ratio, wanted, state: wanted && stateOf(row, ratio, wanted) };
  });
}

const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |\n`;

/** Medians, ranges in parentheses, and ratios. */
export function renderTable(rows: readonly TableRow[], names: readonly string[]): string {
  const head = ['row', 'figure', ...names, 'ratio to the best C tor', 'wanted', ''];
  let text = line(head) + line(head.map(() => '---'));
  for (const row of rows)
    for (const { figure, ratio, wanted, state } of verdicts(row)) {
      const shown = names.map((name) => {
        const summary = row.systems[name]?.[figure];
        return summary ? cell(summary) : name in row.failures ? 'failed' : '';
      });
      const goal =
        wanted && `${wanted.sign} ${wanted.value}${wanted.of === 'figure' ? ' (the figure itself)' : ''}`;
      text += line([row.name, figure, ...shown, ratio?.toFixed(2) ?? '', goal ?? '', state ?? '']);
    }
  return text;
}

/** Whose relays and whose client: which side limits a transfer. Empty unless all four were measured. */
export function renderSides(rows: readonly TableRow[]): string {
  const speed = (row: string, system: string) =>
    rows.find(({ name }) => name === row)?.systems[system]?.['MB/s']?.median;
  const lines = ['download', 'upload'].flatMap((way) =>
    [OURS, 'tor-vanilla'].map((system) => {
      const own = speed(`${way}-1`, system);
      const guest = speed(`mixed-${way}`, system);
      const [cepa, tor] = system === OURS ? [own, guest] : [guest, own];
      return cepa === undefined || tor === undefined
        ? ''
        : line([way, system === OURS ? 'Cepa' : 'C tor', digits(cepa), digits(tor)]);
    }),
  );
  const body = lines.join('');
  if (body === '') return '';
  const head = ['1 stream, MB/s', 'relays', "Cepa's client", "C tor's client"];
  return line(head) + line(head.map(() => '---')) + body;
}
