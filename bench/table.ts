/**
 * The table of a benchmark, in Markdown.
 *
 * @module
 */
import type { Summary } from './stats.js';

/** One row: for each network, its figures. */
export interface TableRow {
  readonly row: string;
  /** The figure that is compared. */
  readonly figure: string;
  readonly better: 'higher' | 'lower';
  /** The ratio that is wanted. */
  readonly wanted: number;
  readonly systems: Readonly<Record<string, Readonly<Record<string, Summary>>>>;
}

const OURS = 'cepa';

const digits = (value: number): string => value.toFixed(Math.abs(value) < 10 ? 2 : 0);

const cell = ({ median, low, high, runs }: Summary): string =>
  runs === 1 ? digits(median) : `${digits(median)} (${digits(low)}-${digits(high)})`;

/** Ours to the best of the others. Undefined where there is nothing to compare. */
export function ratioToBest(row: TableRow, figure: string, better: 'higher' | 'lower'): number | undefined {
  const ours = row.systems[OURS]?.[figure]?.median;
  const others = Object.entries(row.systems)
    .filter(([name]) => name !== OURS)
    .map(([, figures]) => figures[figure]?.median)
    .filter((value) => value !== undefined);
  if (ours === undefined || others.length === 0) return undefined;
  return ours / (better === 'higher' ? Math.max(...others) : Math.min(...others));
}

const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |\n`;

/** Medians, ranges in parentheses, and ratios. CPU time is wanted at 0.6 of C tor's wherever it is shown. */
export function renderTable(rows: readonly TableRow[]): string {
  const names = [...new Set(rows.flatMap(({ systems }) => Object.keys(systems)))];
  const head = ['row', 'figure', ...names, 'ratio to the best C tor', 'wanted'];
  let text = line(head) + line(head.map(() => '---'));
  for (const row of rows) {
    const figures = [...new Set(Object.values(row.systems).flatMap(Object.keys))];
    for (const figure of figures) {
      const cpu = figure.includes('s/GB');
      const better = cpu ? 'lower' : row.better;
      const ratio = ratioToBest(row, figure, better);
      const wanted = figure === row.figure ? row.wanted : figure === 'CPU s/GB' ? 0.6 : undefined;
      const shown = names.map((name) => {
        const summary = row.systems[name]?.[figure];
        return summary ? cell(summary) : '';
      });
      const sign = better === 'higher' ? '>=' : '<=';
      text += line([
        row.row,
        figure,
        ...shown,
        ratio === undefined ? '' : ratio.toFixed(2),
        wanted === undefined ? '' : `${sign} ${wanted}`,
      ]);
    }
  }
  return text;
}
