import test from 'ava';
import { fc } from '../shared/testing/properties.js';
import { vectorText } from '../shared/testing/vectors.js';
import { KeyPins } from './key-pinning.js';

const rsa = (n: number) => new Uint8Array(20).fill(n);
const ed = (n: number) => new Uint8Array(32).fill(n);

test('a journal of C tor is read whole', (t) => {
  const journal = vectorText('real-tor/key-pinning-journal-auth0.txt');
  const pins = new KeyPins();
  t.is(pins.load(journal), 0);
  t.is(pins.size, 11);
  const again = new KeyPins();
  again.load(pins.toJournal());
  t.is(again.toJournal(), pins.toJournal());
  t.is(pins.check(Buffer.from('AtUZ9EkaziHQrjFIDT9nv2lfxpc', 'base64'), ed(0)), 'mismatch');
});

test('a pair stays together', (t) => {
  const pins = new KeyPins();
  t.is(pins.check(rsa(1), ed(1)), 'new');
  t.true(pins.pin(rsa(1), ed(1)));
  t.false(pins.pin(rsa(1), ed(1)));
  t.is(pins.check(rsa(1), ed(1)), 'pinned');
  t.is(pins.check(rsa(1), ed(2)), 'mismatch');
  t.is(pins.check(rsa(2), ed(1)), 'mismatch');
  t.is(pins.check(rsa(2), ed(2)), 'new');
});

test('a later pin supersedes all that contradict it', (t) => {
  const pins = new KeyPins();
  pins.pin(rsa(1), ed(1));
  pins.pin(rsa(2), ed(2));
  pins.pin(rsa(1), ed(2));
  t.is(pins.size, 1);
  t.is(pins.check(rsa(1), ed(2)), 'pinned');
  t.is(pins.check(rsa(2), ed(1)), 'new');
});

test('damaged lines are counted and skipped', (t) => {
  const pins = new KeyPins();
  const good = `${Buffer.from(rsa(3)).toString('base64').slice(0, 27)} ${Buffer.from(ed(3)).toString('base64').slice(0, 43)}`;
  t.is(pins.load(`\n@opened-at now\n# note\n   \n${good}\nshort\n${good.replace(' ', '!')}\n${good}x`), 3);
  t.is(pins.size, 1);
});

test('any text is survived', (t) => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      new KeyPins().load(text);
    }),
  );
  t.pass();
});
