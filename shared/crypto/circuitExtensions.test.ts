import test from 'ava';
import { DecodeError } from '../bytes/errors.js';
import { fromHex, toHex } from '../bytes/text.js';
import { fc } from '../testing/properties.js';
import {
  decodeClientParams,
  decodeServerParams,
  encodeClientParams,
  encodeServerParams,
} from './circuitExtensions.js';

const hex = (b: Uint8Array) => toHex(b).toLowerCase();

test('bytes as C tor sends them', (t) => {
  t.is(hex(encodeClientParams({ congestionControl: true, subprotocols: [] })), '010100');
  t.is(hex(encodeClientParams({ congestionControl: false, subprotocols: [] })), '00');
  const cgo = [{ protocol: 2, capability: 6 }];
  t.is(hex(encodeClientParams({ congestionControl: true, subprotocols: cgo })), '02010003020206');
  t.is(hex(encodeServerParams({ sendmeInc: 31 })), '0102011f');
  t.is(hex(encodeServerParams({})), '00');
});

const pairs = fc.uniqueArray(fc.record({ protocol: fc.nat(255), capability: fc.nat(255) }), {
  maxLength: 20,
  selector: (pair) => pair.protocol * 256 + pair.capability,
});

test('round trips', (t) => {
  fc.assert(
    fc.property(fc.boolean(), pairs, (congestionControl, subprotocols) => {
      const decoded = decodeClientParams(encodeClientParams({ congestionControl, subprotocols }));
      const order = (p: { protocol: number; capability: number }) => p.protocol * 256 + p.capability;
      t.is(decoded.congestionControl, congestionControl);
      t.deepEqual(
        decoded.subprotocols,
        [...subprotocols].sort((p, q) => order(p) - order(q)),
      );
    }),
  );
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 255 }), (sendmeInc) => {
      t.deepEqual(decodeServerParams(encodeServerParams({ sendmeInc })), { sendmeInc });
    }),
  );
});

test('unknown extensions are skipped', (t) => {
  t.true(decodeClientParams(fromHex('0209020000010000', 'm')).congestionControl);
  t.deepEqual(decodeServerParams(fromHex('010900', 'm')), {});
});

const BAD_CLIENT = {
  empty: '',
  'count without extension': '01',
  'body cut': '01030402',
  'type twice': '0201000100',
  'odd pairs': '010303020602',
  'pairs out of order': '01030402060205',
  'pair twice': '01030402060206',
};

for (const [name, message] of Object.entries(BAD_CLIENT)) {
  test(`refused: client message, ${name}`, (t) => {
    t.throws(() => decodeClientParams(fromHex(message, 'm')), { instanceOf: DecodeError });
  });
}

const BAD_SERVER = { empty: '', 'no increment': '010200', zero: '01020100', 'two bytes': '0102021f00' };

for (const [name, message] of Object.entries(BAD_SERVER)) {
  test(`refused: server message, ${name}`, (t) => {
    t.throws(() => decodeServerParams(fromHex(message, 'm')), { instanceOf: DecodeError });
  });
}

test('any bytes are survived', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (message) => {
      for (const decode of [decodeClientParams, decodeServerParams]) {
        try {
          decode(message);
        } catch (error) {
          if (!(error instanceof DecodeError)) throw error;
        }
      }
    }),
  );
  t.pass();
});
