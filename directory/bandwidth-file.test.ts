import test from 'ava';
import { bytesOf } from '../shared/bytes/text.js';
import { fc } from '../shared/testing/properties.js';
import { vectorText } from '../shared/testing/vectors.js';
import { Measurements, parseBandwidthFile } from './bandwidth-file.js';

const TIME = 1795257899;
const NOW = (TIME + 100) * 1000;
const A = 'A'.repeat(40);
const B = 'B'.repeat(40);

const read = (text: string, now = NOW) => parseBandwidthFile(bytesOf(text), now);

test('the file that a real authority used, as its vote tells it', (t) => {
  const file = read(vectorText('real-tor/bandwidth-file.txt'));
  const vote = vectorText('real-tor/vote-auth0.txt');
  t.true(vote.includes(`bandwidth-file-headers ${file.headers}\n`));
  t.true(vote.includes(`bandwidth-file-digest ${file.digest}\n`));
  t.is(file.measured.size, 11);
  t.is(file.measured.get('475CC28D0F9373589CF78549368074D3627B2D29'), 2977);
  t.deepEqual(file.problems, []);
});

test('a file of version 1.0 has no headers', (t) => {
  const file = read(`${TIME}\nnode_id=$${A} bw=12 nick=a\nbw=13 node_id=${B.toLowerCase()}\n`);
  t.is(file.headers, `timestamp=${TIME}`);
  t.deepEqual(
    [...file.measured],
    [
      [A, 12],
      [B, 13],
    ],
  );
});

test('headers end with the terminator or the first relay', (t) => {
  const file = read(`${TIME}\nversion=1.4.0\nwith space=1\n=====\nlate=1\nbw=1 node_id=$${A}\n`);
  t.is(file.headers, `timestamp=${TIME} version=1.4.0`);
  t.deepEqual(file.problems, ['line 5 has no usable bw and node_id']);
});

test('lines that do not count', (t) => {
  const lines = [
    `bw=1 node_id=$${A} vote=0`,
    `bw=1 bw=2 node_id=$${A}`,
    `bw=-1 node_id=$${A}`,
    `bw=1 node_id=$${A.slice(1)}`,
    `bw=1 node_id=$${A} node_id=$${A}`,
    `bw=1`,
    // No vote that says so is read, our own neither.
    `bw=4294967296 node_id=$${A}`,
  ];
  t.is(read(`${TIME}\n=====\n${lines.join('\n')}\n`).measured.size, 0);
  t.is(read(`${TIME}\nbw=4294967295 node_id=$${A}\n`).measured.get(A), 4294967295);
});

test('stale, timeless and cut files', (t) => {
  const stale = read(`${TIME}\nbw=1 node_id=$${A}\n`, (TIME + 3 * 86400 + 1) * 1000);
  t.is(stale.measured.size, 0);
  t.regex(stale.problems[0]!, /stale/);
  t.is(stale.headers, '');
  t.regex(read(`soon\nbw=1 node_id=$${A}\n`).problems[0]!, /not a time/);
  const cut = read(`${TIME}\nbw=1 node_id=$${A}\nbw=2 node_id=$${B}`);
  t.is(cut.measured.size, 1);
  t.regex(cut.problems[0]!, /incomplete/);
  t.is(parseBandwidthFile(new Uint8Array(0), NOW).measured.size, 0);
});

test('at most 50 headers, and no line that is too long for a vote', (t) => {
  const many = Array.from({ length: 80 }, (_, i) => `k${i}=v`).join('\n');
  t.is(read(`${TIME}\n${many}\n`).headers.split(' ').length, 50);
  t.is(read(`${TIME}\nk=${'v'.repeat(2000)}\n`).headers, '');
});

test('flags go by what was measured before, for three days, where a file is stale or says less', (t) => {
  const DAY = 86400;
  const measurements = new Measurements();
  const take = (time: number, lines: string, now = time) =>
    measurements.take(read(`${time}\n${lines}`, now * 1000), now * 1000);
  take(TIME, `bw=1 node_id=$${A}\nbw=2 node_id=$${B}\n`);
  take(TIME + DAY, `bw=3 node_id=$${A}\n`);
  t.deepEqual([measurements.of(A), measurements.of(B)], [3, 2]);
  take(TIME, `bw=9 node_id=$${A}\n`, TIME + DAY);
  take(TIME, '', TIME + 4 * DAY);
  measurements.take(parseBandwidthFile(new Uint8Array(0), NOW), (TIME + 4 * DAY) * 1000);
  t.deepEqual([measurements.of(A), measurements.of(B)], [3, 2]);
  take(TIME + 3 * DAY + 1, '');
  t.deepEqual([measurements.of(A), measurements.of(B)], [3, undefined]);
});

test('any bytes are survived', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      parseBandwidthFile(bytes, NOW);
      parseBandwidthFile(Buffer.concat([bytesOf(`${TIME}\n`), bytes]), NOW);
    }),
  );
  t.pass();
});
