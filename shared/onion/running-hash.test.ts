import { createHash } from 'node:crypto';
import { sha1 as nobleSha1 } from '@noble/hashes/legacy.js';
import { sha3_256 } from '@noble/hashes/sha3.js';
import test from 'ava';
import { fc } from '../testing/properties.js';
import { type HashModule, INPUT_SIZE, RunningHash } from './running-hash.js';
import { sha1 } from './sha1.js';
import { sha3 } from './sha3.js';

const NOTHING = new Uint8Array(0);

/** Feeds bytes from some place in the module's input; the hash has the module. */
function feed(module: HashModule, bytes: Uint8Array, at = 0): string {
  module.input.set(bytes, at);
  module.update(at, at + bytes.length);
  return digestOf(module);
}

function digestOf(module: HashModule): string {
  module.digest();
  const { buffer, byteOffset, byteLength } = module.result;
  return Buffer.from(buffer, byteOffset, byteLength).toString('hex');
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
/** FIPS 180 and FIPS 202. */
const KNOWN = {
  'SHA-1': [
    ['', 'da39a3ee5e6b4b0d3255bfef95601890afd80709'],
    ['abc', 'a9993e364706816aba3e25717850c26c9cd0d89d'],
    ['abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq', '84983e441c3bd26ebaae4aa1f95129e5e54670f1'],
  ],
  SHA3: [
    ['', 'a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a'],
    ['abc', '3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532'],
  ],
} as const;

for (const { name, module, openssl, noble } of [
  { name: 'SHA-1', module: sha1(), openssl: 'sha1', noble: nobleSha1 },
  { name: 'SHA3', module: sha3(), openssl: 'sha3-256', noble: sha3_256 },
] as const) {
  const native = (bytes: Uint8Array) => createHash(openssl).update(bytes).digest('hex');

  test(`${name}: known answers`, (t) => {
    for (const [text, digest] of KNOWN[name]) {
      new RunningHash(module, NOTHING).load();
      t.is(feed(module, Buffer.from(text)), digest);
    }
  });

  test(`${name}: every length around the ends of blocks, from any offset`, (t) => {
    const bytes = Buffer.from(Array.from({ length: 700 }, (_, i) => (i * 7 + (i >> 3)) & 255));
    const fresh = new RunningHash(module, NOTHING);
    for (let size = 0; size <= bytes.length; size++) {
      const part = bytes.subarray(0, size);
      fresh.load();
      t.is(feed(module, part, size % 11), native(part), `${size}`);
    }
  });

  test(`${name}: running hashes taken in turns are those of all that each was fed, and go back to what was saved`, (t) => {
    const piece = fc.record({
      whose: fc.boolean(),
      bytes: fc.uint8Array({ maxLength: 600 }),
      undone: fc.boolean(),
    });
    const run = fc.property(
      fc.uint8Array({ maxLength: 64 }),
      fc.array(piece, { maxLength: 30 }),
      (seed, pieces) => {
        const hashes = [new RunningHash(module, seed), new RunningHash(module, seed)] as const;
        const plain = [Buffer.from(seed), Buffer.from(seed)];
        for (const { whose, bytes, undone } of pieces) {
          const i = whose ? 1 : 0;
          const all = Buffer.concat([plain[i]!, bytes]);
          hashes[i].load();
          module.save();
          if (feed(module, bytes) !== hex(noble(all))) return false;
          if (undone) module.restore();
          else plain[i] = all;
          if (digestOf(module) !== native(plain[i]!)) return false;
          hashes[i].store();
        }
        return true;
      },
    );
    t.notThrows(() => fc.assert(run));
  });

  test(`${name}: a seed longer than the module's memory is refused`, (t) => {
    t.throws(() => new RunningHash(module, new Uint8Array(INPUT_SIZE + 1)), { instanceOf: RangeError });
  });
}

test('SHA-1: more bytes than a 32-bit number of bits counts', (t) => {
  const module = sha1();
  const all = createHash('sha1');
  const hash = new RunningHash(module, NOTHING);
  const bytes = Buffer.alloc(INPUT_SIZE, 0xa5);
  hash.load();
  module.input.set(bytes);
  for (let fed = 0; fed <= 0x2000_0000; fed += INPUT_SIZE) {
    module.update(0, INPUT_SIZE);
    all.update(bytes);
  }
  t.is(digestOf(module), all.digest('hex'));
});
