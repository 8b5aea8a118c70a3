import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { TorrcError } from '../../shared/torrc/errors.js';
import { ConfigFileError, includeFiles, loadConfig } from './config.js';

function scratch(t: ExecutionContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'cepa-config-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

const AUTHORITY = `DirAuthority a orport=1 v3ident=${'A'.repeat(40)} 127.0.0.1:2 ${'B'.repeat(40)}\n`;

test('a torrc, what it includes, and the command line on top', (t) => {
  const directory = scratch(t);
  mkdirSync(join(directory, 'torrc.d'));
  writeFileSync(join(directory, 'torrc'), `${AUTHORITY}%include torrc.d\nSocksPort 9000\n`);
  writeFileSync(join(directory, 'torrc.d', '10-a'), 'ContactInfo from 10\nDataDirectory ~/x\n');
  writeFileSync(join(directory, 'torrc.d', '20-b'), 'NumEntryGuards 3\n');
  writeFileSync(join(directory, 'torrc.d', '.hidden'), 'Bogus 1\n');
  const { options } = loadConfig({
    role: 'client',
    files: [join(directory, 'torrc')],
    args: ['--NumEntryGuards', '5'],
  });
  t.is(options.ContactInfo, 'from 10');
  t.is(options.NumEntryGuards, 5);
  t.is(options.SocksPort[0]?.port, 9000);
  t.false(options.DataDirectory.startsWith('~'));
});

test('patterns of %include', (t) => {
  const directory = scratch(t);
  for (const folder of ['a', 'b']) {
    mkdirSync(join(directory, folder));
    for (const name of ['1.conf', '2.conf', 'notes', '.conf'])
      writeFileSync(join(directory, folder, name), '');
  }
  const names = (pattern: string) =>
    includeFiles(pattern, join(directory, 'torrc'))?.map(({ name }) => name.slice(directory.length + 1));
  t.deepEqual(names('a/*.conf'), ['a/1.conf', 'a/2.conf']);
  t.deepEqual(names(`${directory}/?/1.conf`), ['a/1.conf', 'b/1.conf']);
  t.deepEqual(names('a'), ['a/1.conf', 'a/2.conf', 'a/notes']);
  t.deepEqual(names('b/notes'), ['b/notes']);
  t.deepEqual(names('a/.*'), ['a/.conf']);
  t.deepEqual(names('*/.c?nf'), ['a/.conf', 'b/.conf']);
  t.deepEqual(names('*/none'), []);
  t.is(names('missing'), undefined);
});

test('a torrc that cannot be read says which and why', (t) => {
  const file = join(scratch(t), 'torrc');
  const error = t.throws(() => loadConfig({ role: 'client', files: [file], args: [] }), {
    instanceOf: ConfigFileError,
  });
  t.is(error.message, `${file}: no such file`);
  t.throws(() => loadConfig({ role: 'client', files: [dirname(file)], args: [] }), {
    message: `${dirname(file)}: a directory, not a file`,
  });
});

test('an %include that cannot be looked at is a mistake of the configuration', (t) => {
  const directory = scratch(t);
  const torrc = join(directory, 'torrc');
  const circle = join(directory, 'circle');
  symlinkSync('circle', circle);
  for (const pattern of [circle, `${directory}/circle/*`]) {
    writeFileSync(torrc, `${AUTHORITY}%include ${pattern}\nBogus 1\n`);
    const error = t.throws(() => loadConfig({ role: 'client', files: [torrc], args: [] }), {
      instanceOf: TorrcError,
    });
    const [first = '', second] = error.message.split('\n');
    t.true(first.startsWith(`${torrc}:2: %include: ${circle}: `), error.message);
    t.is(second, `${torrc}:3: unknown option "Bogus"`);
  }
  t.is(includeFiles('torrc/below', torrc), undefined);
  t.deepEqual(includeFiles('torrc/*', torrc), []);
});
