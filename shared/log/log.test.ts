import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { LogLineError, parseLogLine, wants } from './lines.js';
import { createLog, memoryLog, sensitive } from './log.js';

function scratch(t: import('ava').ExecutionContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'cepa-log-'));
  t.teardown(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

test('Log lines as torrc has them', (t) => {
  const plain = parseLogLine('notice');
  t.is(plain.to, 'stdout');
  t.false(plain.json);
  t.true(wants(plain, 'err', ''));
  t.false(wants(plain, 'info', 'circ'));

  const range = parseLogLine('debug-info file /var/log/a b.log');
  t.deepEqual(range.to, { file: '/var/log/a b.log' });
  t.true(wants(range, 'info', 'x'));
  t.false(wants(range, 'notice', 'x'));

  const domains = parseLogLine('[circ,link]debug [~circ]warn-err json stderr');
  t.true(domains.json);
  t.is(domains.to, 'stderr');
  t.true(wants(domains, 'debug', 'circ.path'));
  t.false(wants(domains, 'debug', 'dir'));
  t.true(wants(domains, 'warn', 'dir'));

  t.is(parseLogLine('').to, 'stdout');
  t.is(parseLogLine('warn json').json, true);
  t.is(parseLogLine('warn-').ranges[0]?.to, 'err');
});

test('Log lines that mean nothing say why', (t) => {
  for (const [line, part] of [
    ['loud stdout', 'loud'],
    ['notice syslog', 'syslog'],
    ['notice file', 'name of a file'],
    ['warn-info stdout', 'more severe'],
    ['[circ,]info stdout', 'empty domain'],
  ] as const) {
    const error = t.throws(() => parseLogLine(line), { instanceOf: LogLineError }, line);
    t.true(error.message.includes(part), error.message);
  }
});

test('text and JSON to files, by level and domain, with sensitive values scrubbed', (t) => {
  const directory = scratch(t);
  const text = join(directory, 'sub/notices.log');
  const json = join(directory, 'debug.json');
  const log = createLog({
    Log: [`notice file ${text}`, `debug json file ${json}`],
    SafeLogging: true,
  });
  const child = log.child('circ', { circuit: 7 }).child('path');
  child.notice('Built a circuit', {
    hops: 3,
    to: sensitive('203.0.113.7'),
    id: Uint8Array.of(0xab, 1),
    name: 'a b',
  });
  child.info(`Only in JSON ${sensitive('secret')}`);
  log.warn('Forged\nline \u001b[31m', { error: new Error('outer', { cause: new Error('inner') }) });
  log.flush();

  const lines = readFileSync(text, 'utf8').split('\n');
  t.is(lines.length, 3);
  t.regex(
    lines[0] as string,
    /^[A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d\.\d{3} \[notice\] circ\.path: Built a circuit /,
  );
  t.true(lines[0]?.endsWith('circuit=7 hops=3 to=[scrubbed] id=AB01 name="a b"'), lines[0]);
  t.true(lines[1]?.endsWith('[warn] Forged\\nline \\x1b[31m error="outer: inner"'), lines[1]);

  const objects = readFileSync(json, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  t.deepEqual(
    objects.map((object) => [object.level, object.domain, object.msg]),
    [
      ['notice', 'circ.path', 'Built a circuit'],
      ['info', 'circ.path', 'Only in JSON [scrubbed]'],
      ['warn', undefined, 'Forged\nline \u001b[31m'],
    ],
  );
  t.is(objects[0].to, '[scrubbed]');
});

test('SafeLogging 0 shows what is sensitive', (t) => {
  const file = join(scratch(t), 'log');
  const log = createLog({ Log: [`info file ${file}`], SafeLogging: false });
  log.info('Dialled', { to: sensitive('203.0.113.7') });
  log.flush();
  t.true(readFileSync(file, 'utf8').endsWith('Dialled to=203.0.113.7\n'));
});

test('a rotated file is opened again', (t) => {
  const file = join(scratch(t), 'log');
  const log = createLog({ Log: [`notice file ${file}`], SafeLogging: true });
  log.notice('before');
  log.flush();
  renameSync(file, `${file}.1`);
  log.reopen();
  log.notice('after');
  log.flush();
  t.true(readFileSync(`${file}.1`, 'utf8').endsWith('before\n'));
  t.true(readFileSync(file, 'utf8').endsWith('after\n'));
});

test('a file that cannot be opened again is written on as it is, and the other sinks hear of it', (t) => {
  const directory = scratch(t);
  const [there, away] = [join(directory, 'there'), join(directory, 'away')];
  const log = createLog({
    Log: [`notice file ${there}/log`, `warn file ${directory}/other`],
    SafeLogging: true,
  });
  log.notice('before');
  renameSync(there, away);
  for (let i = 0; i < 2; i++) t.notThrows(() => log.reopen());
  log.notice('after');
  log.flush();
  t.regex(readFileSync(`${away}/log`, 'utf8'), /before\n(.*warn.*\n)+.*after\n$/);
  t.regex(
    readFileSync(`${directory}/other`, 'utf8'),
    /^.*\[warn\] The log \S+there\/log: could not be opened: its directory is not there/,
  );

  mkdirSync(there);
  log.reopen();
  log.notice('again');
  log.flush();
  t.regex(readFileSync(`${there}/log`, 'utf8'), /^.*again\n$/);
});

test('two lines to one file can be replaced', (t) => {
  const directory = scratch(t);
  const [one, other] = [join(directory, 'one'), join(directory, 'other')];
  const log = createLog({ Log: [`notice file ${one}`, `[dir]info file ${one}`], SafeLogging: true });
  log.notice('before');
  log.configure({ Log: [`notice file ${other}`, `[dir]info file ${other}`], SafeLogging: true });
  log.child('dir').info('after');
  log.flush();
  t.regex(readFileSync(one, 'utf8'), /^.*before\n$/);
  t.regex(readFileSync(other, 'utf8'), /^.*after\n$/);
});

test('a file that cannot be opened is an error of the start', (t) => {
  const file = join(scratch(t), 'log');
  createLog({ Log: [`notice file ${file}`], SafeLogging: true });
  t.throws(() => createLog({ Log: [`notice file ${file}/below`], SafeLogging: true }));
});

test('a full disk costs lines and ends nothing; the other sinks hear of it once', async (t) => {
  const file = join(scratch(t), 'log');
  const log = createLog({ Log: ['notice file /dev/full', `notice file ${file}`], SafeLogging: true });
  for (const line of ['one', 'two', 'three']) {
    log.notice(line);
    await Promise.resolve();
  }
  log.flush();
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
  t.deepEqual(
    lines.map((line) => line.replace(/^.*\[(\w+)\] /, '$1 ')),
    [
      'notice one',
      'warn The log /dev/full: could not be written: the disk is full; make room there',
      'notice two',
      'notice three',
    ],
  );
});

test('of a full disk also hear sinks that take no line as mild as the one that found no room', async (t) => {
  const file = join(scratch(t), 'log');
  const log = createLog({ Log: ['debug file /dev/full', `warn file ${file}`], SafeLogging: true });
  log.child('dir').debug('one');
  await Promise.resolve();
  log.flush();
  t.regex(readFileSync(file, 'utf8'), /^\S+ \d\d \S+ \[warn\] The log \/dev\/full: .*disk is full.*\n$/);
});

test('stdout gets the last line before an exit', async (t) => {
  const script = `
    import { createLog } from ${JSON.stringify(new URL('./log.js', import.meta.url).href)};
    const log = createLog({ Log: [], SafeLogging: true });
    log.notice('hello');
    log.info('not this');
    process.on('exit', () => log.flush());
    process.exit(0);
  `;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script]);
  t.regex(stdout, /^\S+ \d\d \S+ \[notice\] hello\n$/);
});

test('the memory log keeps what tests look at', (t) => {
  const log = memoryLog({ keep: 100 });
  log.child('dir', { peer: sensitive('a') }).warn('No answer', { to: sensitive('b'), n: 1n });
  t.true(log.has('warn', 'No answer'));
  t.false(log.has('err', 'No answer'));
  t.is(log.text(), '[warn] dir: No answer peer=[scrubbed] to=[scrubbed] n=1\n');
  for (let i = 0; i < 1000; i++) log.debug('x');
  t.true(log.lines.length <= 100);
  const open = memoryLog({ safe: false });
  open.info('x', { to: sensitive('b') });
  t.is(open.lines[0]?.fields.to, 'b');
});
