import test from 'ava';
import { BODY_SIZE } from '../cell/commands.js';
import type { ClientLayer } from '../onion/direction.js';
import { batchOf, bodiesOf, keysOf } from '../onion/testing.js';
import { tor1Client, tor1Relay } from '../onion/tor1.js';
import { tor1Hs } from '../onion/tor1-hs.js';
import { fc } from '../testing/properties.js';
import { Layers } from './layers.js';

const HS = Buffer.alloc(128, 5);
const stack = (hops: number, hs: boolean): ClientLayer[] => [
  ...Array.from({ length: hops }, (_, i) => tor1Client(keysOf(i))),
  ...(hs ? [tor1Hs(HS, 'client')] : []),
];
const body = (n: number): Buffer => {
  const cell = Buffer.alloc(BODY_SIZE, n);
  cell.fill(0, 1, 3);
  cell.fill(0, 5, 9);
  return cell;
};
const sizes = fc.array(fc.tuple(fc.integer({ min: 1, max: 40 }), fc.nat(3)), { minLength: 1, maxLength: 10 });

test('layers put on together are the layers put on one by one', (t) => {
  t.notThrows(() =>
    fc.assert(
      fc.property(sizes, fc.boolean(), (batches, hs) => {
        const single = stack(3, hs);
        const layers = new Layers();
        for (const layer of stack(3, hs)) layers.push(layer);
        return batches.every(([size, hop]) => {
          const target = Math.min(hop, single.length - 1);
          const bodies = Array.from({ length: size }, (_, i) => body(i + 1));
          const together = batchOf(bodies, 1);
          const apart = batchOf(bodies, 1);
          layers.seal(together, target);
          single[target]!.sealForward(apart);
          for (let i = target - 1; i >= 0; i--) single[i]!.wrapForward(apart);
          return together.buf.equals(apart.buf);
        });
      }),
      { numRuns: 50 },
    ),
  );
});

test('cells from any mix of hops come to their hop, in order, with their tags', (t) => {
  const runs = fc.array(fc.tuple(fc.nat(3), fc.integer({ min: 1, max: 12 })), { minLength: 1, maxLength: 8 });
  t.notThrows(() =>
    fc.assert(
      fc.property(fc.array(runs, { minLength: 1, maxLength: 5 }), fc.boolean(), (rounds, strays) => {
        const layers = new Layers();
        for (const layer of stack(3, true)) layers.push(layer);
        const relays = [0, 1, 2].map((n) => tor1Relay(keysOf(n)));
        const service = tor1Hs(HS, 'service');
        for (const [round, plan] of rounds.entries()) {
          const wire: Buffer[] = [];
          const sent: { hop: number; fill: number; tag: string }[] = [];
          let fill = round;
          for (const [hop, count] of plan)
            for (let i = 0; i < count; i++) {
              fill = (fill % 250) + 1;
              const cell = batchOf([body(fill)]);
              const source = hop === 3 ? service : undefined;
              if (source) source.sealForward(cell);
              else relays[hop]!.sealBackward(cell);
              const tag = source ? source.sealTag(0) : relays[hop]!.sealTag(0);
              for (let r = Math.min(hop, 3) - 1; r >= 0; r--) relays[r]!.wrapBackward(cell);
              wire.push(bodiesOf(cell)[0]!);
              sent.push({ hop, fill, tag: Buffer.from(tag).toString('hex') });
            }
          if (strays && round === rounds.length - 1) wire.push(Buffer.alloc(BODY_SIZE, 9));
          if (wire.length > 120) return true;
          const got: typeof sent = [];
          const unknown = layers.open(
            batchOf(wire, 2),
            (hop, batch, mine, tagOf) => {
              for (let i = 0; i < batch.n; i++)
                if (mine[i] === 1)
                  got.push({
                    hop,
                    fill: batch.buf[batch.at[i]! + 20]!,
                    tag: Buffer.from(tagOf(i)).toString('hex'),
                  });
            },
            () => true,
          );
          if (unknown !== wire.length - sent.length) return false;
          if (JSON.stringify(got) !== JSON.stringify(sent)) return false;
        }
        return true;
      }),
      { numRuns: 60 },
    ),
  );
});
