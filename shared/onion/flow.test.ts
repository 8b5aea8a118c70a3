import test from 'ava';
import { vectors } from '../testing/vectors.js';
import { CIRCUIT_INCREMENT, CIRCUIT_WINDOW, windowFlow } from './flow.js';

const sendmes = vectors<{
  vectors: { triggering_cell_running_digest_20?: string; sendme_v1_relay_body: string }[];
}>('sendme-v1.json').vectors.filter((v) => v.triggering_cell_running_digest_20 !== undefined);
const tagOf = (i: number) => Buffer.from(sendmes[i]!.triggering_cell_running_digest_20!, 'hex');
const bodyOf = (i: number) => Buffer.from(sendmes[i]!.sendme_v1_relay_body, 'hex');
const sendHundred = (flow: ReturnType<typeof windowFlow>, tag: Uint8Array) => {
  let due = 0;
  for (let i = 0; i < CIRCUIT_INCREMENT; i++) {
    const last = flow.sent();
    if (last) {
      due++;
      flow.remember(tag);
    }
    if (last !== (i === CIRCUIT_INCREMENT - 1)) return -1;
  }
  return due;
};

test('every hundredth cell is remembered, and its SENDME opens the window again', (t) => {
  const flow = windowFlow();
  t.is(flow.room, CIRCUIT_WINDOW);
  for (const i of sendmes.keys()) t.is(sendHundred(flow, tagOf(i)), 1);
  t.is(flow.room, CIRCUIT_WINDOW - sendmes.length * CIRCUIT_INCREMENT);
  for (const i of sendmes.keys()) flow.acknowledged(bodyOf(i), false);
  t.is(flow.room, CIRCUIT_WINDOW);
});

test('a SENDME out of order, unexpected, of another version or cut short is refused', (t) => {
  const flow = () => {
    const made = windowFlow({ acceptVersion: 1 });
    sendHundred(made, tagOf(0));
    sendHundred(made, tagOf(1));
    return made;
  };
  t.throws(() => windowFlow().acknowledged(bodyOf(0), false), { message: /not sent/ });
  t.throws(() => flow().acknowledged(bodyOf(1), false), { message: /digest/ });
  t.throws(() => flow().acknowledged(bodyOf(0).subarray(0, 22), false), { message: /SENDME/ });
  t.throws(() => flow().acknowledged(Buffer.from('020000', 'hex'), false), { message: /version/ });
  t.throws(() => flow().acknowledged(Buffer.alloc(0), false), { message: /version 0/ });
  const wrong = bodyOf(0);
  wrong[22]! ^= 1;
  t.throws(() => flow().acknowledged(wrong, false), { message: /digest/ });
  // A 16-byte tag belongs to CGO hops.
  const cgo = Buffer.concat([Buffer.from('010010', 'hex'), tagOf(0).subarray(0, 16)]);
  t.throws(() => flow().acknowledged(cgo, false), { message: /digest/ });
});

test('version 0 is taken on CREATE_FAST circuits, and where the consensus lets it', (t) => {
  for (const flow of [windowFlow({ acceptVersion: 1, fast: true }), windowFlow()]) {
    sendHundred(flow, tagOf(0));
    flow.acknowledged(Buffer.alloc(0), false);
    t.is(flow.room, CIRCUIT_WINDOW);
    t.throws(() => flow.acknowledged(Buffer.alloc(0), false));
  }
});

test('a SENDME is due each hundred cells received', (t) => {
  const flow = windowFlow();
  for (let i = 1; i <= 5 * CIRCUIT_WINDOW; i++) t.is(flow.received(), i % CIRCUIT_INCREMENT === 0);
});
