import { createHash } from 'node:crypto';
import test from 'ava';
import { fc } from '../testing/properties.js';
import { viewOf } from './keystream.js';
import { digestBytes, RunningSha1 } from './sha1.js';

const words = new Int32Array(10);
const digestOf = (sha: RunningSha1) => {
  sha.digestWords(words, 5);
  return Buffer.from(digestBytes(words, 5)).toString('hex');
};
const nodeSha1 = (data: Uint8Array) => createHash('sha1').update(data).digest('hex');

test('known answers (FIPS 180)', (t) => {
  t.is(digestOf(new RunningSha1(new Uint8Array(0))), 'da39a3ee5e6b4b0d3255bfef95601890afd80709');
  t.is(digestOf(new RunningSha1(Buffer.from('abc'))), 'a9993e364706816aba3e25717850c26c9cd0d89d');
  t.is(
    digestOf(new RunningSha1(Buffer.from('abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq'))),
    '84983e441c3bd26ebaae4aa1f95129e5e54670f1',
  );
});

test('every length up to three blocks agrees with OpenSSL', (t) => {
  const data = Buffer.from(Array.from({ length: 200 }, (_, i) => (i * 7 + 3) & 255));
  for (let n = 0; n <= 200; n++)
    t.is(digestOf(new RunningSha1(data.subarray(0, n))), nodeSha1(data.subarray(0, n)));
});

test('fed in any pieces, read out between, it agrees with OpenSSL', (t) => {
  t.notThrows(() =>
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 80 }),
        fc.array(fc.uint8Array({ maxLength: 600 }), { maxLength: 12 }),
        fc.nat(7),
        (seed, pieces, shift) => {
          const sha = new RunningSha1(seed);
          const all = [Buffer.from(seed)];
          for (const piece of pieces) {
            const shifted = Buffer.concat([Buffer.alloc(shift), piece]);
            sha.update(viewOf(shifted), shift, piece.length);
            all.push(Buffer.from(piece));
            if (digestOf(sha) !== nodeSha1(Buffer.concat(all))) return false;
          }
          return true;
        },
      ),
    ),
  );
});

test('a copy goes its own way', (t) => {
  const a = new RunningSha1(Buffer.alloc(20, 1));
  const cell = Buffer.alloc(509, 2);
  a.update(viewOf(cell), 0, 509);
  const kept = new RunningSha1(new Uint8Array(0));
  kept.copyFrom(a);
  const was = digestOf(a);
  a.update(viewOf(cell), 0, 509);
  t.not(digestOf(a), was);
  a.copyFrom(kept);
  t.is(digestOf(a), was);
});
