import test from 'ava';
import { DecodeError } from '../../shared/bytes/errors.js';
import type { NodeEvent } from '../../shared/runtime/env.js';
import { fc } from '../../shared/testing/properties.js';
import { EventDecoder, encodeEvent } from './pipe.js';

const EVENTS: NodeEvent[] = [
  { type: 'identity', nickname: 'relay1', fingerprint: 'A'.repeat(40), ed25519: 'x', v3ident: 'y' },
  { type: 'bootstrap', percent: 100, tag: 'done', summary: 'Done' },
  { type: 'voting', step: 'published', validAfter: 1_700_000_000_000 },
];

test('events come through in whatever pieces', (t) => {
  const stream = Buffer.concat(EVENTS.map(encodeEvent));
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }), (sizes) => {
      const decoder = new EventDecoder();
      const heard: NodeEvent[] = [];
      for (let at = 0, i = 0; at < stream.length; i++) {
        const size = sizes[i % sizes.length] as number;
        heard.push(...decoder.push(stream.subarray(at, at + size)));
        at += size;
      }
      t.deepEqual(heard, EVENTS);
    }),
    { numRuns: 50 },
  );
});

test('what is no event is a DecodeError', (t) => {
  const framed = (body: Uint8Array) => Buffer.concat([Buffer.from([0, 0, 0, body.length]), body]);
  for (const bytes of [Buffer.from([255, 0, 0, 0]), framed(Buffer.from([0xc1])), framed(Buffer.from([1]))])
    t.throws(() => new EventDecoder().push(bytes), { instanceOf: DecodeError });
});

test('any bytes are events, a wait for more, or a DecodeError', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
      try {
        new EventDecoder().push(bytes);
      } catch (error) {
        t.true(error instanceof DecodeError, String(error));
      }
      return true;
    }),
  );
});
