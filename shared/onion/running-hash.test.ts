import { createHash } from 'node:crypto';
import { sha1 as nobleSha1 } from '@noble/hashes/legacy.js';
import { sha3_256 } from '@noble/hashes/sha3.js';
import test from 'ava';
import { takeArena } from '../bytes/arena.js';
import { BODY_SIZE, CELL_SIZE } from '../cell/commands.js';
import { fc } from '../testing/properties.js';
import { stage } from './place.js';
import { type HashModule, INPUT_SIZE, RunningDigest, RunningHash } from './running-hash.js';
import { sha1 } from './sha1.js';
import { sha3 } from './sha3.js';
import { batchOf, bodiesOf, inPlace } from './testing.js';

const NOTHING = new Uint8Array(0);

/** Feeds bytes from some place in the module's input; the hash has the module. */
function feed(module: HashModule, bytes: Uint8Array, at = 0): string {
  stage.set(bytes, at);
  module.update(at, at + bytes.length);
  return digestOf(module);
}

function digestOf(module: HashModule): string {
  module.digest();
  return module.result.toString('hex');
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

  test(`${name}: running hashes taken in turns are those of all that each was fed`, (t) => {
    const piece = fc.record({ whose: fc.boolean(), bytes: fc.uint8Array({ maxLength: 600 }) });
    const run = fc.property(
      fc.uint8Array({ maxLength: 64 }),
      fc.array(piece, { maxLength: 30 }),
      (seed, pieces) => {
        const hashes = [new RunningHash(module, seed), new RunningHash(module, seed)] as const;
        const plain = [Buffer.from(seed), Buffer.from(seed)];
        for (const { whose, bytes } of pieces) {
          const i = whose ? 1 : 0;
          plain[i] = Buffer.concat([plain[i]!, bytes]);
          hashes[i].load();
          if (feed(module, bytes) !== hex(noble(plain[i]!))) return false;
          hashes[i].store();
        }
        return true;
      },
    );
    t.notThrows(() => fc.assert(run));
  });

  test(`${name}: cells are signed and recognised, wherever they lie, and what is somebody else’s leaves no trace`, (t) => {
    const cell = fc.record({
      fill: fc.integer({ min: 1, max: 255 }),
      kind: fc.constantFrom('mine', 'not zero', 'damaged'),
    });
    const batches = fc.array(fc.array(cell, { minLength: 1, maxLength: 40 }), { minLength: 1, maxLength: 4 });
    const room = takeArena(8 + 40 * CELL_SIZE);
    const marks = new Uint8Array(40);
    const run = fc.property(fc.uint8Array({ maxLength: 64 }), batches, fc.boolean(), (seed, all, there) => {
      const [ours, theirs] = [new RunningDigest(module, seed), new RunningDigest(module, seed)];
      const whole = createHash(openssl).update(seed);
      for (const cells of all) {
        const bodies = cells.map(({ fill }) => Buffer.alloc(BODY_SIZE, fill).fill(0, 1, 3).fill(0, 5, 9));
        // Those that are the other end's own, signed; the rest is made to look like what it is.
        const own = batchOf(bodies.filter((_, i) => cells[i]!.kind === 'mine'));
        ours.sign(own);
        const signed = bodiesOf(own);
        const wire = bodies.map((body, i) => {
          const { kind } = cells[i]!;
          if (kind === 'mine') return signed.shift()!;
          const other = Buffer.from(body);
          other[kind === 'not zero' ? 2 : 7] = 1;
          return other;
        });
        const batch = inPlace(batchOf(wire, 3), there ? room : undefined);
        const mine = cells.filter(({ kind }) => kind === 'mine').length;
        if (theirs.recognize(batch, marks) !== mine) return false;
        const after = bodiesOf(batch);
        for (const [i, { kind }] of cells.entries()) {
          if (marks[i] !== (kind === 'mine' ? 1 : 0)) return false;
          if (!after[i]!.equals(kind === 'mine' ? bodies[i]! : wire[i]!)) return false;
          if (kind !== 'mine') continue;
          const digest = whole.update(bodies[i]!).copy().digest();
          if (!digest.subarray(0, 4).equals(wire[i]!.subarray(5, 9))) return false;
          if (!digest.subarray(0, 20).equals(theirs.tag(i))) return false;
        }
      }
      return true;
    });
    t.notThrows(() => fc.assert(run, { numRuns: 60 }));
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
  stage.set(bytes);
  for (let fed = 0; fed <= 0x2000_0000; fed += INPUT_SIZE) {
    module.update(0, INPUT_SIZE);
    all.update(bytes);
  }
  t.is(digestOf(module), all.digest('hex'));
});
