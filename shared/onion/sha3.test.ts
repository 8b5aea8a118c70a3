import { createHash } from 'node:crypto';
import { sha3_256 } from '@noble/hashes/sha3.js';
import test from 'ava';
import { fc } from '../testing/properties.js';
import { INPUT_SIZE, keccak } from './keccak.js';
import { RunningSha3 } from './sha3.js';

function fed(hash: RunningSha3, bytes: Uint8Array, at = 0): string {
  const module = keccak();
  module.input.set(bytes, at);
  hash.update(at, at + bytes.length);
  return digestOf(hash);
}

function digestOf(hash: RunningSha3): string {
  hash.digest();
  const { buffer, byteOffset } = keccak().output;
  return Buffer.from(buffer, byteOffset, 32).toString('hex');
}

const openssl = (bytes: Uint8Array) => createHash('sha3-256').update(bytes).digest('hex');

test('the digests of FIPS 202 for nothing and for "abc"', (t) => {
  const hash = new RunningSha3(new Uint8Array(0));
  hash.load();
  t.is(digestOf(hash), 'a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a');
  t.is(fed(hash, Buffer.from('abc')), '3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532');
});

test('every length around the ends of blocks, from any offset', (t) => {
  const bytes = Buffer.from(Array.from({ length: 700 }, (_, i) => (i * 7 + (i >> 3)) & 255));
  for (let size = 0; size <= bytes.length; size++) {
    const part = bytes.subarray(0, size);
    const hash = new RunningSha3(new Uint8Array(0));
    hash.load();
    t.is(fed(hash, part, size % 11), openssl(part), `${size}`);
  }
});

test('running digests taken in turns are those of all that each was fed, and go back to what was saved', (t) => {
  const piece = fc.record({
    whose: fc.boolean(),
    bytes: fc.uint8Array({ maxLength: 600 }),
    undone: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), fc.array(piece, { maxLength: 30 }), (seed, pieces) => {
      const hashes = [new RunningSha3(seed), new RunningSha3(seed)] as const;
      const plain = [Buffer.from(seed), Buffer.from(seed)];
      for (const { whose, bytes, undone } of pieces) {
        const i = whose ? 1 : 0;
        const hash = hashes[i];
        const all = Buffer.concat([plain[i]!, bytes]);
        hash.load();
        hash.save();
        t.is(fed(hash, bytes), Buffer.from(sha3_256(all)).toString('hex'));
        if (undone) hash.restore();
        else plain[i] = all;
        t.is(digestOf(hash), openssl(plain[i]!));
        hash.store();
      }
    }),
  );
});

test('as much as fits may be hashed at once', (t) => {
  const hash = new RunningSha3(Buffer.alloc(32, 5));
  const bytes = Buffer.alloc(INPUT_SIZE, 0xa5);
  hash.load();
  t.is(fed(hash, bytes), openssl(Buffer.concat([Buffer.alloc(32, 5), bytes])));
  t.throws(() => new RunningSha3(new Uint8Array(INPUT_SIZE + 1)), { instanceOf: RangeError });
});
