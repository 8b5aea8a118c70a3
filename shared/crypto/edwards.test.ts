import { ed25519 } from '@noble/curves/ed25519.js';
import test from 'ava';
import { fc } from '../testing/properties.js';
import { inMainGroup, multiplyClamped } from './edwards.js';
import { clampX25519 } from './x25519.js';

const { Point } = ed25519;
const bytes32 = fc.uint8Array({ minLength: 32, maxLength: 32 });
const scalarOf = (bytes: Uint8Array) =>
  Point.Fn.create(BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`));

/** A point of order 8, and so all of the torsion group. */
const EIGHTH = Point.fromHex('26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05', true);
const torsion = Array.from({ length: 8 }, (_, i) =>
  Array.from({ length: i }, () => EIGHTH).reduce((sum, point) => sum.add(point), Point.ZERO),
);
const mainPoint = bytes32.map((bytes) => Point.BASE.multiply(scalarOf(bytes) || 1n));

test('a clamped multiple is the one that curve arithmetic gives', (t) => {
  fc.assert(
    fc.property(mainPoint, bytes32, (point, bytes) => {
      const scalar = clampX25519(bytes.slice());
      t.deepEqual(multiplyClamped(point, scalar), point.multiplyUnsafe(scalarOf(scalar)).toBytes());
    }),
    { numRuns: 60 },
  );
});

test('a scalar that leaves no room for 8 more, and points that meet on the way, come out right', (t) => {
  const last = new Uint8Array(32).fill(255);
  last[0] = 248;
  last[31] = 127;
  const first = new Uint8Array(32);
  first[31] = 64;
  // The order of the group and 8, times 8: the multiple is D itself; less 8, its negative.
  const order = Point.Fn.ORDER;
  const near = (n: bigint) => {
    let scalar = n;
    while (scalar >> 254n === 0n || scalar % 8n !== 0n) scalar += order;
    return Uint8Array.from(Buffer.from(scalar.toString(16).padStart(64, '0'), 'hex').reverse());
  };
  const fits = (scalar: Uint8Array) => scalar.length === 32 && scalar[31]! < 128;
  const meeting = [8n, -8n, 16n, -16n, 1n, -1n].map((n) => near(n + order)).filter(fits);
  t.true(meeting.length > 0);
  for (const scalar of [last, first, ...meeting])
    for (const point of [Point.BASE, Point.BASE.double(), Point.BASE.negate()])
      t.deepEqual(multiplyClamped(point, scalar), point.multiplyUnsafe(scalarOf(scalar)).toBytes());
});

test('points with a torsion component are told from those without', (t) => {
  t.is(new Set(torsion.map((point) => point.toHex())).size, 8);
  t.true(EIGHTH.multiplyUnsafe(8n).is0());
  for (const point of torsion) t.false(inMainGroup(point), point.toHex());
  fc.assert(
    fc.property(mainPoint, (point) => {
      t.true(inMainGroup(point));
      for (const part of torsion.slice(1)) t.false(inMainGroup(point.add(part)));
    }),
    { numRuns: 20 },
  );
});
