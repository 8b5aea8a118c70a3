import test from 'ava';
import { toHex } from './text.js';
import { Writer } from './writer.js';

test('nothing is lost when the buffer grows, whatever is written then', (t) => {
  const grow = (write: (w: Writer) => Writer) => toHex(write(new Writer(1).u8(1)).finish());
  t.is(
    grow((w) => w.u8(2)),
    '0102',
  );
  t.is(
    grow((w) => w.u16(0x203)),
    '010203',
  );
  t.is(
    grow((w) => w.u32(0x2030405)),
    '0102030405',
  );
  t.is(
    grow((w) => w.u64(0x203040506070809n)),
    '010203040506070809',
  );
  t.is(
    grow((w) => w.bytes(Uint8Array.of(2, 3))),
    '010203',
  );
  t.is(
    grow((w) => w.zeros(2).u8(9)),
    '01000009',
  );
});
