import test from 'ava';
import { Reader } from './reader.js';

test('a copy stays when the input changes, be it a Buffer', (t) => {
  for (const input of [Buffer.from([1, 2, 3]), Uint8Array.of(1, 2, 3)]) {
    const copy = new Reader(input).copy(2, 'field');
    input.fill(9);
    t.deepEqual(copy, Uint8Array.of(1, 2));
  }
});
