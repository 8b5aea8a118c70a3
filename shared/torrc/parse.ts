/**
 * From torrc files and a command line to `Options`.
 *
 * Layers: each file in turn (a defaults file first, if any), then the command line. A later layer replaces what an
 * earlier one said of an option; `+Option` adds to it, `/Option` forgets it. Within a layer the lines of a list add
 * up, and of a single value the last one counts (warned about).
 *
 * @module
 */
import { type Checked, RANGES, RULES, type Rule } from './checks.js';
import { COMMAND_LINE, type Place, placeText, TorrcError, type TorrcProblem, ValueError } from './errors.js';
import { foreignOption } from './foreign.js';
import { type Includer, moded, readLines, type TorrcFile, type TorrcLine } from './lines.js';
import { nearest } from './nearest.js';
import type { Options } from './options.js';
import { findOption, OPTION_NAMES, type OptionName, rowOf } from './table.js';
import type { Role } from './table-types.js';

/** Where a configuration comes from. */
export interface Sources {
  /** Lowest first. */
  readonly files?: readonly TorrcFile[];
  /** `--Option value` pairs. */
  readonly args?: readonly string[];
  /** For `%include`; without it the directive is an error. */
  readonly include?: Includer;
  /** What the options are for: some are then required. */
  readonly role?: Role;
  /** What `~/` in paths, and in the files of `Log` lines, stands for. */
  readonly home?: string;
  /** Rules that need what this module may not know, such as the syntax of policies. */
  readonly rules?: readonly Rule[];
}

/** What a configuration says. */
export interface Loaded {
  readonly options: Options;
  /** Options that were set by someone, by their names. */
  readonly given: Set<string>;
  /** For the log, each with its place. */
  readonly warnings: string[];
}

/** What has been said of one option so far. */
interface Said {
  layer: number;
  lines: TorrcLine[];
}

class Loading {
  readonly problems: TorrcProblem[] = [];
  readonly warnings: TorrcProblem[] = [];
  readonly said = new Map<OptionName, Said>();
  /** Options with a value that could not be read: rules about them would only add noise. */
  readonly failed = new Set<OptionName>();

  /** Finds the option of a line, or tells what is wrong with its name. */
  resolve(line: TorrcLine): OptionName | undefined {
    const name = findOption(line.name);
    if (name) return name;
    const foreign = foreignOption(line.name);
    if (foreign?.harmless.includes(line.value.toLowerCase())) return undefined;
    if (foreign?.what === 'unserved')
      this.problems.push({
        at: line.at,
        message: `${foreign.name} is an option of C tor that Cepa does not serve; remove the line`,
      });
    else if (foreign)
      this.warnings.push({
        at: line.at,
        message:
          foreign.what === 'obsolete'
            ? `${foreign.name} is obsolete; ignored`
            : `${foreign.name} tunes C tor and means nothing to Cepa; ignored`,
      });
    else this.problems.push({ at: line.at, message: unknown(line.name) });
    return undefined;
  }

  take(written: TorrcLine, layer: number): void {
    const own = this.resolve(written);
    if (!own) return;
    const name = rowOf(own).partOf ?? own;
    const line = rowOf(own).partOf && written.value !== '' ? partOfList(written, own) : written;
    const list = rowOf(name).kind.join !== undefined;
    if (line.mode === 'clear') {
      this.said.set(name, { layer, lines: [] });
      return;
    }
    if (line.value === '') {
      if (list) this.warnings.push({ at: line.at, message: `${own} has no value; ignored` });
      else this.said.set(name, { layer, lines: [] });
      return;
    }
    const said = this.said.get(name);
    if (!said || (said.layer < layer && line.mode === 'set')) {
      this.said.set(name, { layer, lines: [line] });
      return;
    }
    if (!list && said.layer === layer && said.lines.length > 0)
      this.warnings.push({ at: line.at, message: `${name} is given twice; this one counts` });
    said.layer = layer;
    if (list) said.lines.push(line);
    else said.lines = [line];
  }

  /** The value of an option from its lines; the default's place is nowhere. */
  value(name: OptionName, testing: boolean): unknown {
    const row = rowOf(name);
    const lines = this.said.get(name)?.lines ?? [];
    if (lines.length === 0) {
      const text = (testing ? row.testing : undefined) ?? row.default;
      return text === undefined ? row.kind.unset : row.kind.read(text);
    }
    let value = row.kind.unset;
    for (const line of lines) {
      const one = this.read(name, line);
      if (one === undefined) continue;
      value = row.kind.join ? row.kind.join(value, one) : one;
    }
    return value;
  }

  private read(name: OptionName, line: TorrcLine): unknown {
    try {
      return rowOf(name).kind.read(line.value);
    } catch (error) {
      if (!(error instanceof ValueError)) throw error;
      this.failed.add(name);
      const own = rowOf(name).partOf ? line.name : name;
      this.problems.push({ at: line.at, message: `${own}: ${error.message}` });
      return undefined;
    }
  }

  placeOf(names: readonly OptionName[]): Place | undefined {
    for (const name of names) {
      const line = this.said.get(name)?.lines.at(-1);
      if (line) return line.at;
    }
    return undefined;
  }
}

/** A line that goes into a list with others, its name in front of its value. */
const partOfList = (line: TorrcLine, name: OptionName): TorrcLine => ({
  ...line,
  name,
  value: `${name} ${line.value}`,
});

function unknown(name: string): string {
  const close = nearest(name, OPTION_NAMES);
  return `unknown option "${name}"${close ? `; did you mean ${close}?` : ''}`;
}

/** The command line as lines: one or two dashes, `+` and `/` as in files. */
export function argumentLines(args: readonly string[], problems: TorrcProblem[]): TorrcLine[] {
  const lines: TorrcLine[] = [];
  for (let i = 0; i < args.length; i++) {
    const at = { file: COMMAND_LINE, line: i + 1 };
    const word = (args[i] as string).replace(/^--?/, '');
    const equals = word.indexOf('=');
    if (word.startsWith('/')) lines.push(moded(word, '', at));
    else if (equals > 0) lines.push(moded(word.slice(0, equals), word.slice(equals + 1), at));
    else if (i + 1 < args.length) lines.push(moded(word, args[++i] as string, at));
    else problems.push({ at, message: `"${args[i]}" has no value` });
  }
  return lines;
}

const isPath = (name: OptionName) => /^(PATH|DIR)$/.test(rowOf(name).kind.syntax);

function expandHome(options: Record<string, unknown>, home: string): void {
  const expanded = (path: string) => (path.startsWith('~/') ? home + path.slice(1) : path);
  for (const name of OPTION_NAMES) {
    const value = options[name];
    if (isPath(name) && typeof value === 'string') options[name] = expanded(value);
  }
  options.HiddenServiceDir = (options.HiddenServiceDir as Options['HiddenServiceDir']).map((service) => ({
    ...service,
    directory: expanded(service.directory),
  }));
  options.Log = (options.Log as Options['Log']).map((line) => {
    const path = /(?:^|\s)file\s+(.*)$/i.exec(line)?.[1] ?? '';
    return line.slice(0, line.length - path.length) + expanded(path);
  });
}

/** What `cepa authority` says by its name alone. */
function implyAuthority(values: Record<string, unknown>, given: ReadonlySet<string>): void {
  for (const name of ['AuthoritativeDirectory', 'V3AuthoritativeDirectory'])
    if (!given.has(name)) values[name] = true;
}

function intoRanges(loading: Loading, options: Options): void {
  for (const { name, least, most, zero, testing } of RANGES) {
    const value = options[name];
    if (loading.failed.has(name) || (zero && value === 0) || (testing && options.TestingTorNetwork)) continue;
    const taken = Math.min(most, Math.max(least, value));
    if (taken === value) continue;
    options[name] = taken;
    const odd = value < taken ? 'short' : 'long';
    const message = `${name} is too ${odd}; taken as ${taken / 1000} seconds`;
    loading.warnings.push({ at: loading.placeOf([name]), message });
  }
}

function check(loading: Loading, checked: Checked, more: readonly Rule[]): void {
  for (const rule of [...RULES, ...more]) {
    if (rule.about.some((name) => loading.failed.has(name))) continue;
    const message = rule.check(checked);
    if (message === undefined) continue;
    const found = { at: loading.placeOf(rule.about), message };
    if (rule.severity === 'error') loading.problems.push(found);
    else loading.warnings.push(found);
  }
  if (checked.options.TestingTorNetwork) return;
  for (const name of OPTION_NAMES) {
    if (!name.startsWith('Testing') || name === 'TestingTorNetwork' || !checked.given.has(name)) continue;
    loading.problems.push({
      at: loading.placeOf([name]),
      message: `${name} works only with TestingTorNetwork 1`,
    });
  }
}

/** By place: files, then the command line, then what has no place (sort() puts undefined last). */
function inOrder(found: readonly TorrcProblem[]): TorrcProblem[] {
  const files = [...new Set(found.map(({ at }) => at?.file))].sort(
    (a, b) => Number(a === COMMAND_LINE) - Number(b === COMMAND_LINE),
  );
  return files.flatMap((file) =>
    found.filter(({ at }) => at?.file === file).sort((a, b) => (a.at?.line ?? 0) - (b.at?.line ?? 0)),
  );
}

/**
 * Reads a configuration. Throws a TorrcError with everything that is wrong with it.
 *
 * @example
 * loadOptions({ files: [{ name: 'torrc', text: 'SocksPort 9050' }], args: ['--Log', 'info stdout'], role: 'client' })
 */
export function loadOptions(sources: Sources): Loaded {
  const loading = new Loading();
  const files = sources.files ?? [];
  files.forEach((file, layer) => {
    for (const line of readLines(file, loading.problems, sources.include)) loading.take(line, layer);
  });
  for (const line of argumentLines(sources.args ?? [], loading.problems)) loading.take(line, files.length);

  const given = new Set<string>();
  for (const [name, said] of loading.said) if (said.lines.length > 0) given.add(name);
  const testing = loading.value('TestingTorNetwork', false) === true;
  const values: Record<string, unknown> = {};
  for (const name of OPTION_NAMES)
    values[name] = name === 'TestingTorNetwork' ? testing : loading.value(name, testing);
  if (sources.role === 'authority') implyAuthority(values, given);
  if (sources.home !== undefined) expandHome(values, sources.home);
  const options = values as unknown as Options;
  intoRanges(loading, options);

  check(loading, { options, given, role: sources.role }, sources.rules ?? []);
  if (loading.problems.length > 0) throw new TorrcError(inOrder(loading.problems));
  const warnings = inOrder(loading.warnings).map(({ at, message }) =>
    at ? `${placeText(at)}: ${message}` : message,
  );
  return { options, given, warnings };
}
