/**
 * The rules of the code base that a compiler does not check: which way imports point, what may touch the clock, the
 * disk and the network, and how long a file may be.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..', '..');
const FOLDERS = ['shared', 'directory', 'relay', 'client', 'testnet', 'bench'];
const MAX_LINES = { production: 500, tests: 600 };

/** Rooms of shared/ by their floor: a room imports from its own floor down. */
const FLOORS = [
  ['bytes'],
  ['log', 'store', 'runtime'],
  ['metrics', 'torrc', 'limits', 'crypto', 'cell'],
  ['netdoc', 'onion', 'link'],
  ['circuit', 'dir', 'hs'],
  ['testing'],
];

/** What each role may import besides itself. */
const ROLES: Record<string, readonly string[]> = {
  shared: [],
  relay: ['shared'],
  client: ['shared'],
  directory: ['shared', 'relay'],
  testnet: ['shared', 'relay', 'client', 'directory'],
  bench: ['shared', 'relay', 'client', 'directory', 'testnet'],
};

interface Source {
  /** From the root, with `/`. */
  readonly path: string;
  readonly text: string;
  readonly imports: readonly { readonly of: string; readonly typeOnly: boolean }[];
}

const isTest = (path: string) => path.endsWith('.test.ts') || /(^|\/)testing(\/|\.ts$)/.test(path);

function sourcesIn(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = posix.join(folder, entry.name);
    if (entry.isDirectory()) return entry.name === 'node_modules' ? [] : sourcesIn(path);
    return entry.name.endsWith('.ts') ? [path] : [];
  });
}

/** Without comments; strings stay. */
const withoutComments = (text: string) =>
  text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/(^|[^:'"`])\/\/.*$/gm, '$1');

const IMPORT = /^(?:import|export)\s+(type\s+)?(?:[^'";]*?\sfrom\s+)?'([^']+)'/gm;
const DYNAMIC = /\bimport\('([^']+)'\)/g;

function read(path: string): Source {
  const text = readFileSync(join(ROOT, path), 'utf8');
  const code = withoutComments(text);
  const imports = [
    ...[...code.matchAll(IMPORT)].map((found) => ({
      of: found[2] as string,
      typeOnly: found[1] !== undefined,
    })),
    ...[...code.matchAll(DYNAMIC)].map((found) => ({ of: found[1] as string, typeOnly: true })),
  ];
  return { path, text: code, imports };
}

/** The file an import names, from the root; undefined for a package. */
const target = (from: string, of: string) =>
  of.startsWith('.') ? posix.join(posix.dirname(from), of).replace(/\.js$/, '.ts') : undefined;

const SOURCES = FOLDERS.flatMap(sourcesIn).map(read);

/** What programs outside of this repository import. */
const isEntry = (path: string) => posix.basename(path) === 'index.ts';

/** Tests, and what nothing but tests imports. */
function testCode(): Set<string> {
  const importers = new Map<string, Set<string>>();
  for (const { path, imports } of SOURCES) {
    for (const { of } of imports) {
      const file = target(path, of);
      if (file) importers.set(file, (importers.get(file) ?? new Set()).add(path));
    }
  }
  const found = new Set(SOURCES.map(({ path }) => path).filter(isTest));
  for (let before = -1; before < found.size; ) {
    before = found.size;
    for (const [path, by] of importers)
      if (!isEntry(path) && [...by].every((importer) => found.has(importer))) found.add(path);
  }
  return found;
}

const TEST_CODE = testCode();
const PRODUCTION = SOURCES.filter(({ path }) => !TEST_CODE.has(path));

const roomOf = (path: string) => path.split('/')[1] as string;
const floorOf = (path: string) => FLOORS.findIndex((rooms) => rooms.includes(roomOf(path)));

/** Whether a path is copied into the image's build (.dockerignore): the last pattern that matches it decides. */
function inImage(): (path: string) => boolean {
  const rules = readFileSync(join(ROOT, '.dockerignore'), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => {
      const glob = line.replace(/^!/, '').replaceAll('.', '\\.');
      const pattern = glob.replace(/\*\*\/|\*/g, (stars) => (stars === '*' ? '[^/]*' : '(.*/)?'));
      return { keeps: line.startsWith('!'), matches: new RegExp(`^${pattern}(/|$)`) };
    });
  return (path) => rules.findLast(({ matches }) => matches.test(path))?.keeps ?? true;
}

test('what the image is built of needs nothing that .dockerignore leaves out', (t) => {
  const copied = inImage();
  t.true(copied('testnet/process/run.ts') && !copied('testnet/process/run.test.ts') && !copied('docs/x.md'));
  const wrong = SOURCES.filter(({ path }) => copied(path)).flatMap(({ path, imports }) =>
    imports
      .filter(({ of }) => !copied(target(path, of) ?? 'shared'))
      .map(({ of }) => `${path} imports ${of}`),
  );
  t.deepEqual(wrong, []);
});

test('roles import what stands below them, and client and relay never each other', (t) => {
  const wrong: string[] = [];
  for (const { path, imports } of PRODUCTION) {
    const [role = ''] = path.split('/');
    for (const { of } of imports) {
      const [other = ''] = target(path, of)?.split('/') ?? [];
      if (other !== '' && other !== role && !ROLES[role]?.includes(other))
        wrong.push(`${path} imports ${of}`);
    }
  }
  t.deepEqual(wrong, []);
});

test('rooms of shared/ import from their own floor down', (t) => {
  const wrong: string[] = [];
  for (const { path, imports } of PRODUCTION.filter((source) => source.path.startsWith('shared/'))) {
    if (floorOf(path) < 0) wrong.push(`${path}: its room is on no floor`);
    for (const { of, typeOnly } of imports) {
      const other = target(path, of);
      // The shapes two rooms agree on stand in types.ts, and are gone at run time.
      if (typeOnly && other?.endsWith('/types.ts')) continue;
      if (other?.startsWith('shared/') && floorOf(other) > floorOf(path)) wrong.push(`${path} imports ${of}`);
    }
  }
  t.deepEqual(wrong, []);
});

test('no module needs itself, by whatever way', (t) => {
  // Types are gone at run time: only values can make a cycle that breaks.
  const graph = new Map(
    PRODUCTION.map(({ path, imports }) => [
      path,
      imports.filter(({ typeOnly }) => !typeOnly).flatMap(({ of }) => target(path, of) ?? []),
    ]),
  );
  const done = new Set<string>();
  const cycles: string[] = [];
  const visit = (path: string, way: readonly string[]) => {
    if (way.includes(path)) {
      cycles.push([...way.slice(way.indexOf(path)), path].join(' -> '));
      return;
    }
    if (done.has(path)) return;
    for (const next of graph.get(path) ?? []) visit(next, [...way, path]);
    done.add(path);
  };
  for (const path of graph.keys()) visit(path, []);
  t.deepEqual(cycles, []);
});

/** Where the outside world may be touched. */
const OUTSIDE = /^(shared\/runtime|testnet|bench)\//;

test('clock, randomness and timers come from outside', (t) => {
  const banned =
    /\b(Date\.now|new Date\(\)|Math\.random|setTimeout|setInterval|setImmediate|performance\.now|process\.hrtime)\b/;
  const wrong = PRODUCTION.filter(({ path, text }) => !OUTSIDE.test(path) && banned.test(text)).map(
    ({ path, text }) => `${path}: ${banned.exec(text)?.[0]}`,
  );
  t.deepEqual(wrong, []);
});

test('sockets and disk are touched at the edges only', (t) => {
  const edge = /^(shared\/(runtime|store)|testnet|bench)\//;
  // node:http is let through for its table of status codes alone.
  const banned = /^node:(net|tls|dgram|https|dns|dns\/promises|fs|fs\/promises|child_process)$/;
  const wrong = PRODUCTION.filter(({ path }) => !edge.test(path)).flatMap(({ path, imports }) =>
    imports
      .filter(({ of, typeOnly }) => !typeOnly && banned.test(of))
      .map(({ of }) => `${path} imports ${of}`),
  );
  t.deepEqual(wrong, []);
});

test('properties are tried on inputs that a seed chose', (t) => {
  const wrong = SOURCES.filter(
    ({ path, imports }) =>
      path !== 'shared/testing/properties.ts' && imports.some(({ of }) => of === 'fast-check'),
  );
  t.deepEqual(
    wrong.map(({ path }) => path),
    [],
  );
});

test('libraries log, they do not print', (t) => {
  const wrong = PRODUCTION.filter(({ path, text }) => !OUTSIDE.test(path) && /\bconsole\.\w/.test(text));
  t.deepEqual(
    wrong.map(({ path }) => path),
    [],
  );
});

test('no file is too long to be one concept', (t) => {
  const long = SOURCES.map(({ path }) => ({
    path,
    lines: readFileSync(join(ROOT, path), 'utf8').trimEnd().split('\n').length,
  })).filter(({ path, lines }) => lines > (isTest(path) ? MAX_LINES.tests : MAX_LINES.production));
  t.deepEqual(
    long.map(({ path, lines }) => `${path}: ${lines} lines`),
    [],
  );
});

test('nothing is left for later', (t) => {
  const marks = new RegExp(`\\b(${['TO' + 'DO', 'FIX' + 'ME'].join('|')})\\b`);
  const wrong = SOURCES.filter(({ path }) => marks.test(readFileSync(join(ROOT, path), 'utf8')));
  t.deepEqual(
    wrong.map(({ path }) => path),
    [],
  );
});
