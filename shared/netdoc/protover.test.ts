import test from 'ava';
import { DecodeError } from '../bytes/errors.js';
import { fc } from '../testing/properties.js';
import { formatProtocols, parseProtocols } from './protover.js';

test('each number is a capability of its own', (t) => {
  const set = parseProtocols('Link=3-5 Relay=1,3,63 Foo=');
  t.deepEqual(
    [2, 3, 4, 5, 6].map((v) => set.has('Link', v)),
    [false, true, true, true, false],
  );
  t.true(set.has('Relay', 63));
  t.false(set.has('Relay', 2));
  t.false(set.has('Relay', 64));
  t.false(set.has('Relay', -1));
  t.false(set.has('link', 4));
  t.deepEqual(set.versions('Relay'), [1, 3, 63]);
  t.deepEqual(set.versions('Foo'), []);
  t.deepEqual(set.names(), ['Link', 'Relay', 'Foo']);
});

test('the text survives', (t) => {
  const text = 'Conflux=1 Cons=1-2 Desc=1-4 Relay=2-6';
  t.is(parseProtocols(text).toString(), text);
});

test('what C tor reads is read, for it stands in a consensus: zeros in front, lists as long as a descriptor', (t) => {
  t.deepEqual(parseProtocols('Link=05 Relay=002-0004').versions('Relay'), [2, 3, 4]);
  t.deepEqual(parseProtocols('Link=05').versions('Link'), [5]);
  t.deepEqual(parseProtocols('Link=000').versions('Link'), [0]);
  const long = `Link=5${' Foo-0123456789=1'.repeat(1100)}`;
  t.true(long.length > 17_000 && parseProtocols(long).has('Link', 5));
});

test('what is written canonically reads back', (t) => {
  const entries = fc.uniqueArray(
    fc.tuple(
      fc.stringMatching(/^[A-Za-z0-9-]{1,12}$/),
      fc.uniqueArray(fc.integer({ min: 0, max: 63 }), { minLength: 1 }),
    ),
    { selector: ([name]) => name },
  );
  fc.assert(
    fc.property(entries, (list) => {
      const text = formatProtocols(list);
      const set = parseProtocols(text);
      for (const [name, versions] of list)
        t.deepEqual(
          set.versions(name),
          [...versions].sort((a, b) => a - b),
        );
      t.is(formatProtocols(set.names().map((name) => [name, set.versions(name)] as const)), text);
    }),
  );
});

for (const bad of [
  'Link',
  '=3',
  'Link=3-',
  'Link=-3',
  'Link=5-3',
  'Link=64',
  'Link=064',
  'Link=0x5',
  'Link=1,,2',
  'Link=1,',
  'Li_nk=1',
])
  test(`refuses ${bad}`, (t) => {
    t.is(t.throws(() => parseProtocols(bad, 'pr'), { instanceOf: DecodeError })?.field, 'pr');
  });

test('random text is read or refused, never a crash', (t) => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      try {
        parseProtocols(text);
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error;
      }
    }),
  );
  t.pass();
});
