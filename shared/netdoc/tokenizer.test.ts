import test from 'ava';
import { DecodeError } from '../bytes/errors.js';
import { fc } from '../testing/properties.js';
import { any, maybe, one, schema } from './schema.js';
import { documentText, formatObject, type Item, Tokenizer } from './tokenizer.js';
import { flag, line, object, time, unsigned, words } from './values.js';

function itemsOf(text: string): Item[] {
  const tokens = new Tokenizer('doc', text);
  const items: Item[] = [];
  for (let item = tokens.next(); item !== undefined; item = tokens.next()) items.push(item);
  return items;
}

test('items with words and objects', (t) => {
  const items = itemsOf('one\ntwo  a\t b \nthree x\n-----BEGIN A B-----\nAAEC\n-----END A B-----\nfour\n');
  t.deepEqual(
    items.map((item) => [item.keyword, [...item.args(0)]]),
    [
      ['one', []],
      ['two', ['a', 'b']],
      ['three', ['x']],
      ['four', []],
    ],
  );
  t.deepEqual(items[2]?.object?.label, 'A B');
  t.deepEqual([...(items[2]?.object?.bytes ?? [])], [0, 1, 2]);
  t.is(items[1]?.rest, 'a\t b ');
});

const LINE = 'a'.repeat(129 * 1024);
const MALFORMED: readonly [name: string, text: string, field: string][] = [
  ['no newline', 'one', 'doc'],
  ['an empty line', 'one\n\ntwo\n', 'doc'],
  ['a line that starts with a blank', ' one\n', 'doc'],
  ['an odd keyword', 'o_ne\n', 'doc'],
  ['a NUL', 'one\u0000\n', 'doc'],
  ['a line too long', `one ${LINE}\n`, 'doc'],
  ['an object without END', 'one\n-----BEGIN X-----\nAAAA\n', 'doc.one'],
  ['an object with another END', 'one\n-----BEGIN X-----\nAAAA\n-----END Y-----\n', 'doc.one'],
  ['an END without newline', 'one\n-----BEGIN X-----\nAAAA\n-----END X-----', 'doc.one'],
  ['a bad BEGIN', 'one\n-----BEGIN X----\nAAAA\n-----END X----\n', 'doc.one'],
  ['bad base64', 'one\n-----BEGIN X-----\nAA*A\n-----END X-----\n', 'doc.one'],
  ['an object out of nowhere', '-----BEGIN X-----\nAAAA\n-----END X-----\n', 'doc'],
];
for (const [name, text, field] of MALFORMED)
  test(`refuses ${name}`, (t) => {
    t.is(t.throws(() => itemsOf(text), { instanceOf: DecodeError })?.field, field);
  });

test('refuses more than 512 arguments', (t) => {
  const [item] = itemsOf(`one ${'a '.repeat(513)}\n`);
  t.throws(() => item?.args(0), { instanceOf: DecodeError, message: /513 arguments/ });
});

test('only UTF-8', (t) => {
  t.is(documentText(Buffer.from('contact Zoë\n'), 'doc'), 'contact Zoë\n');
  t.throws(() => documentText(Uint8Array.of(0xff, 0x0a), 'doc'), { instanceOf: DecodeError });
});

test('objects round-trip in lines of 64', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 500 }), (bytes) => {
      const text = `key\n${formatObject({ label: 'X', bytes })}`;
      t.true(text.split('\n').every((l) => l.length <= 64));
      t.deepEqual(new Uint8Array(itemsOf(text)[0]?.object?.bytes ?? []), bytes);
    }),
  );
});

const TABLE = schema('doc', {
  start: one('start', line, { place: 0 }),
  at: one('at', time),
  size: maybe('size', unsigned(100)),
  tags: any(['tag', 'mark'], {
    read: (item: Item) => `${item.keyword} ${item.rest}`,
    write: (text: string) => ({
      keyword: text.slice(0, text.indexOf(' ')),
      rest: text.slice(text.indexOf(' ') + 1),
    }),
  }),
  list: maybe('list', words),
  on: maybe('on', flag),
  sig: one('sig', object('SIG'), { place: -1 }),
});
const SIG = 'sig\n-----BEGIN SIG-----\nAAEC\n-----END SIG-----\n';
const read = (text: string) => TABLE.read(new Tokenizer('doc', text));

test('one table reads and writes', (t) => {
  const text = `start x y\nat 2026-02-28 23:59:59\nsize 7\ntag a\nmark b\ntag c\nlist \non\n${SIG}`;
  const fields = read(text);
  t.is(fields.start, 'x y');
  t.is(fields.at, Date.UTC(2026, 1, 28, 23, 59, 59));
  t.deepEqual(fields.tags, ['tag a', 'mark b', 'tag c']);
  t.deepEqual(fields.list, []);
  t.true(fields.on);
  t.is(TABLE.write(fields), text);
});

test('unknown items are skipped with their objects', (t) => {
  const fields = read(
    `start\nnew thing\n-----BEGIN N-----\nAAAA\n-----END N-----\nat 2026-01-01 00:00:00\n${SIG}`,
  );
  t.is(fields.size, undefined);
  t.deepEqual(fields.tags, []);
});

const AT = 'at 2026-01-01 00:00:00\n';
const INVALID: readonly [name: string, text: string, field: string][] = [
  ['nothing at all', '', 'doc.start'],
  ['missing item', `start\n${SIG}`, 'doc.at'],
  ['item twice', `start\n${AT}${AT}${SIG}`, 'doc.at'],
  ['first item elsewhere', `${AT}start\n${SIG}`, 'doc.start'],
  ['last item elsewhere', `start\n${SIG}${AT}`, 'doc.sig'],
  ['unknown item after the last', `start\n${AT}${SIG}more\n`, 'doc.sig'],
  ['missing object', `start\n${AT}sig\n`, 'doc.sig'],
  ['other object', `start\n${AT}${SIG.replaceAll('SIG-', 'GIS-')}`, 'doc.sig'],
  ['object that does not belong', `start\n${SIG.slice(4)}${AT}${SIG}`, 'doc.start'],
  ['31 February', `start\nat 2026-02-31 00:00:00\n${SIG}`, 'doc.at'],
  ['time with a T', `start\nat 2026-02-01T00:00:00\n${SIG}`, 'doc.at'],
  ['24 hours', `start\nat 2026-02-01 24:00:00\n${SIG}`, 'doc.at'],
  ['time and more', `start\nat 2026-02-01 00:00:00 x\n${SIG}`, 'doc.at'],
  ['before 1970', `start\nat 1969-02-01 00:00:00\n${SIG}`, 'doc.at'],
  ['number too large', `start\n${AT}size 101\n${SIG}`, 'doc.size'],
  ['number with a sign', `start\n${AT}size +1\n${SIG}`, 'doc.size'],
  ['number with zeros', `start\n${AT}size 007\n${SIG}`, 'doc.size'],
  ['no number', `start\n${AT}size\n${SIG}`, 'doc.size'],
];
for (const [name, text, field] of INVALID)
  test(`table: ${name}`, (t) => {
    t.is(t.throws(() => read(text), { instanceOf: DecodeError })?.field, field);
  });

test('a value cannot smuggle in a line', (t) => {
  t.throws(() => TABLE.write({ ...read(`start\n${AT}${SIG}`), start: 'x\nsize 3' }), {
    instanceOf: DecodeError,
  });
});

test('random text is read or refused, never a crash', (t) => {
  const piece = fc.constantFrom(
    'start',
    ' ',
    '\n',
    AT,
    SIG,
    '-----BEGIN ',
    '-----END ',
    '-----',
    'X',
    'size 1\n',
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ unit: 'binary' }),
        fc.array(piece).map((p) => p.join('')),
      ),
      (text) => {
        try {
          read(text);
        } catch (error) {
          if (!(error instanceof DecodeError)) throw error;
        }
      },
    ),
    { numRuns: 2000 },
  );
  t.pass();
});
