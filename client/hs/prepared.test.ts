import test from 'ava';
import type { OriginCircuit } from '../../shared/circuit/origin.js';
import { memoryLog } from '../../shared/log/memory.js';
import { SimWorld } from '../../shared/runtime/sim/world.js';
import { PreparedCircuits, type Spare } from './prepared.js';

const MINUTE = 60_000;

type TestSpare = Spare & { readonly origin: OriginCircuit & { closed: boolean } };

/** A pool whose circuits stand at once, or never while `broken`. */
function pool() {
  const world = new SimWorld('prepared circuits', 1_700_000_000_000);
  const { clock } = world.host('127.8.0.1');
  const made: TestSpare[] = [];
  const state = { broken: false, tries: 0 };
  const make = async (): Promise<TestSpare> => {
    state.tries++;
    if (state.broken) throw new Error('nobody answers');
    const origin = {
      closed: false,
      close() {
        origin.closed = true;
      },
    };
    const spare = {
      origin: origin as unknown as TestSpare['origin'],
      hooks: { message() {}, closed() {} },
      target: undefined as never,
      relays: [`relay${made.length}`],
    };
    made.push(spare);
    return spare;
  };
  const circuits = new PreparedCircuits({ clock, log: memoryLog(), make });
  const pass = async (ms: number) => {
    await world.advance(ms);
    circuits.tick();
    await world.advance(0);
  };
  return { world, circuits, made, state, pass };
}

const any = () => true;

test('three are kept, from a while after the start; those taken are replaced', async (t) => {
  const { circuits, made, pass } = pool();
  await pass(1000);
  t.is(made.length, 0);
  await pass(3000);
  t.is(circuits.size, 3);
  t.is(circuits.take(any), made[0]);
  t.is(
    circuits.take(({ relays }) => relays[0] === 'relay2'),
    made[2],
  );
  t.is(
    circuits.take(({ relays }) => relays[0] !== 'relay1'),
    undefined,
  );
  // Not while whoever took them is at work.
  await pass(1000);
  t.is(circuits.size, 1);
  await pass(1000);
  t.is(circuits.size, 3);
  t.is(made.length, 5);
});

test('whoever asks at once has them built at once', async (t) => {
  const { circuits, pass } = pool();
  t.is(circuits.take(any), undefined);
  await pass(0);
  t.is(circuits.size, 3);
});

test('unused ones go after half an hour, and are not replaced an hour after the last use', async (t) => {
  const { circuits, made, pass } = pool();
  circuits.take(any);
  await pass(0);
  await pass(31 * MINUTE);
  t.deepEqual(
    made.map(({ origin }) => origin.closed),
    [true, true, true, false, false, false],
  );
  await pass(31 * MINUTE);
  t.is(circuits.size, 0);
  t.is(made.length, 6);
  t.true(made.every(({ origin }) => origin.closed));
});

test('those that died are not given out', async (t) => {
  const { circuits, made, pass } = pool();
  circuits.take(any);
  await pass(0);
  made[0]!.origin.closed = true;
  t.is(circuits.take(any), made[1]);
  await pass(2000);
  t.is(circuits.size, 3);
});

test('a network that fails is tried again after a pause; what comes after the stop is closed', async (t) => {
  const { world, circuits, made, state, pass } = pool();
  state.broken = true;
  circuits.take(any);
  await pass(0);
  t.is(state.tries, 3);
  await pass(1000);
  t.is(state.tries, 3);
  await pass(5000);
  t.is(state.tries, 6);
  state.broken = false;
  await world.advance(5000);
  circuits.tick();
  circuits.stop();
  await world.advance(0);
  t.is(circuits.size, 0);
  t.deepEqual(
    made.map(({ origin }) => origin.closed),
    [true, true, true],
  );
});
