import test from 'ava';
import { EndReason } from '../../shared/cell/commands.js';
import { generateEd25519 } from '../../shared/crypto/ed25519.js';
import { onionAddress } from '../../shared/crypto/onion-address.js';
import { memoryLog } from '../../shared/log/memory.js';
import type { StreamHandlers } from '../../shared/onion/types.js';
import { SimWorld } from '../../shared/runtime/sim/world.js';
import { parseHost } from '../address.js';
import type { StreamError } from '../failure.js';
import { ownIsolation } from '../requester.js';
import type { StreamTarget } from '../streams.js';
import { clientOptions, FakeStream, sketchNetwork } from '../testing.js';
import type { Meetings } from './meeting.js';
import { OnionClient } from './onion-client.js';

/** A service that is met at once, on circuits whose streams the test ends. */
function client() {
  const world = new SimWorld('onion client', 1_700_000_000_000);
  const { clock, random } = world.host('127.8.0.1');
  const circuits: { closed: boolean; streams: FakeStream[] }[] = [];
  const meet = async () => {
    const circuit = {
      closed: false,
      streams: [] as FakeStream[],
      origin: {
        openStream(_command: number, _body: Uint8Array, handlers: StreamHandlers) {
          const stream = new FakeStream(circuit.streams.length + 1, handlers);
          circuit.streams.push(stream);
          return stream;
        },
      },
      close() {
        circuit.closed = true;
      },
    };
    circuits.push(circuit);
    return circuit;
  };
  const onion = new OnionClient({
    clock,
    log: memoryLog(),
    options: clientOptions(),
    meetings: { meet } as unknown as Meetings,
    network: () => sketchNetwork([]),
  });
  const host = parseHost(onionAddress(generateEd25519(random).publicKey))!;
  const target: StreamTarget = { kind: 'connect', host, port: 80, flags: 0 };
  const failures: StreamError[] = [];
  const ask = () =>
    onion.request(target, ownIsolation(target, ''), {
      connected() {},
      resolved() {},
      failed: (error) => void failures.push(error),
    });
  return { world, onion, circuits, failures, ask };
}

test('a request whose answer is nonsense fails; its circuit stays with us, and others stay on it', async (t) => {
  const { world, onion, circuits, failures, ask } = client();
  ask();
  ask();
  await world.advance(0);
  const [first, second] = circuits[0]!.streams;
  first!.handlers.connected?.(undefined, 0);
  // What a CONNECTED that cannot be read comes to.
  second!.remoteEnd(EndReason.TORPROTOCOL, true);
  await world.advance(0);
  t.is(circuits.length, 1);
  t.deepEqual(
    failures.map(({ endReason }) => endReason),
    [EndReason.TORPROTOCOL],
  );
  onion.stop();
  t.true(circuits[0]!.closed);
});

test('a request whose circuit dies under it is served on another', async (t) => {
  const { world, circuits, failures, ask } = client();
  ask();
  await world.advance(0);
  circuits[0]!.closed = true;
  circuits[0]!.streams[0]!.remoteEnd(EndReason.DESTROY, true);
  await world.advance(0);
  t.is(circuits.length, 2);
  t.is(circuits[1]!.streams.length, 1);
  t.deepEqual(failures, []);
});
