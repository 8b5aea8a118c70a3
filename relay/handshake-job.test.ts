import test from 'ava';
import { CREATE2 } from '../shared/cell/channel-cells.js';
import { HandshakeType } from '../shared/cell/commands.js';
import { decodeServerParams, encodeClientParams } from '../shared/crypto/circuitExtensions.js';
import { startNtor, startNtorV3 } from '../shared/crypto/handshake.js';
import { loadOrCreateRelayKeys, type RelayKeys } from '../shared/crypto/relay-keys.js';
import { memoryLog } from '../shared/log/memory.js';
import { osRandom, realClock } from '../shared/runtime/real.js';
import { memoryStore } from '../shared/store/memory.js';
import { exchangedOf, type HandshakeAnswers, handshakeJob, handshakeWorker } from './handshake-job.js';
import type { HandshakeEnv } from './handshakes.js';

const makeKeys = () =>
  loadOrCreateRelayKeys(memoryStore(), { random: osRandom, clock: realClock, log: memoryLog() });
const [someKeys, otherKeys] = await Promise.all([makeKeys(), makeKeys()]);

const envOf = (keys: RelayKeys, params: Record<string, number> = {}): HandshakeEnv => ({
  clock: realClock,
  random: osRandom,
  keys,
  param: (name, fallback) => params[name] ?? fallback,
});

const ntorTo = ({ rsaId, ntor }: RelayKeys, ntorKey = ntor.current.publicKey) =>
  startNtor({ rsaId, ntorKey }, osRandom);

const v3To = ({ ed25519Id, ntor }: RelayKeys, congestionControl = true) =>
  startNtorV3(
    { ed25519Id, ntorKey: ntor.current.publicKey },
    encodeClientParams({ congestionControl, subprotocols: [] }),
    osRandom,
  );

const bodyOf = ({ type, data }: { type: number; data: Uint8Array }) => CREATE2.encode({ type, data });

/** As it goes to another thread and back. */
const work = handshakeWorker(osRandom);
const elsewhere = (bodies: Uint8Array[], of: HandshakeEnv): HandshakeAnswers =>
  structuredClone(work(structuredClone(handshakeJob(bodies, of))));

test('clients finish with what another thread answers, both handshakes, keys and grants alike', (t) => {
  const relay = envOf(someKeys, { cc_sendme_inc: 40 });
  const [plain, v3, modest] = [ntorTo(relay.keys), v3To(relay.keys), v3To(relay.keys, false)];
  const answers = elsewhere([plain, v3, modest].map(bodyOf), relay).map(exchangedOf);
  t.deepEqual(
    answers.map(({ sendmeInc }) => sendmeInc),
    [undefined, 40, undefined],
  );
  const finished = [plain, v3, modest].map((client, i) => client.finish(answers[i]!.reply));
  for (const [i, { keys }] of finished.entries())
    for (const part of ['df', 'db', 'kf', 'kb', 'kh'] as const)
      t.deepEqual(Buffer.from(keys[part]), Buffer.from(answers[i]!.keys[part]), part);
  t.is(decodeServerParams(finished[1]!.message!).sendmeInc, 40);
});

test('a consensus without congestion control grants none', (t) => {
  const relay = envOf(someKeys, { cc_alg: 0 });
  const [answer] = elsewhere([bodyOf(v3To(relay.keys))], relay);
  t.is(exchangedOf(answer!).sendmeInc, undefined);
});

test('what is refused is refused by itself, with the reason', (t) => {
  const relay = envOf(someKeys);
  const good = ntorTo(relay.keys);
  const odd = CREATE2.encode({ type: HandshakeType.NTOR, data: new Uint8Array(5) });
  const unknown = CREATE2.encode({ type: 99, data: new Uint8Array(84) });
  const answers = elsewhere([odd, unknown, Uint8Array.of(0), bodyOf(good)], relay);
  t.throws(() => exchangedOf(answers[0]!), { message: /the request has 5 bytes/ });
  t.throws(() => exchangedOf(answers[1]!), { message: /handshake type 99/ });
  t.throws(() => exchangedOf(answers[2]!), { code: 'protocol' });
  t.truthy(good.finish(exchangedOf(answers[3]!).reply));
});

test('keys that change are used from the next job on; a key nobody has gets an answer that proves nothing', (t) => {
  const [before, after] = [envOf(someKeys), envOf(otherKeys)];
  const [early, late] = [ntorTo(before.keys), ntorTo(after.keys)];
  t.truthy(early.finish(exchangedOf(elsewhere([bodyOf(early)], before)[0]!).reply));
  t.truthy(late.finish(exchangedOf(elsewhere([bodyOf(late)], after)[0]!).reply));
  const stray = ntorTo(after.keys, before.keys.ntor.current.publicKey);
  const { reply } = exchangedOf(elsewhere([bodyOf(stray)], after)[0]!);
  t.throws(() => stray.finish(reply), { message: /does not have the onion key/ });
});
