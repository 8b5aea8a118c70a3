import test from 'ava';
import { sameBytes } from '../../shared/bytes/text.js';
import { DestroyReason, RelayCommand } from '../../shared/cell/commands.js';
import { INTRO_ESTABLISHED, INTRODUCE2 } from '../../shared/cell/hs-cells.js';
import { memoryLog } from '../../shared/log/memory.js';
import { SimWorld } from '../../shared/runtime/sim/world.js';
import { sketchNetwork } from '../testing.js';
import type { HsCircuitBuilder } from './circuit-builder.js';
import { ServiceIntroPoint } from './service-intro.js';

/** An INTRODUCE2 of a client's key that is so filled. */
const introduction = (n: number) =>
  INTRODUCE2.encode({
    authKey: new Uint8Array(32),
    extensions: [],
    clientKey: new Uint8Array(32).fill(n),
    ciphertext: new Uint8Array(150),
    mac: new Uint8Array(32),
  });
/** The one that is for the service. */
const GENUINE = introduction(0);

/** A circuit to an introduction point. */
class FakeCircuit {
  readonly origin = { hops: [{ kh: new Uint8Array(20) }] };
  closed = false;
  onClosed: (reason: number) => void = () => {};
  onMessage: (command: number, data: Uint8Array) => void = () => {};
  send(): void {}
  close(): void {
    this.closed = true;
  }
  establish(): void {
    this.onMessage(RelayCommand.INTRO_ESTABLISHED, INTRO_ESTABLISHED.encode({ extensions: [] }));
  }
  /** The introduction point ends it. */
  die(): void {
    this.closed = true;
    this.onClosed(DestroyReason.DESTROYED);
  }
}

/** An introduction point whose circuits stand at once; `asked` does what the relay does then. */
function intro(asked: (circuit: FakeCircuit) => void) {
  const world = new SimWorld('introduction point', 1_700_000_000_000);
  const { clock, random } = world.host('127.8.0.1');
  const circuits: FakeCircuit[] = [];
  const introduced: Uint8Array[] = [];
  const params: Record<string, number> = { hs_intro_min_introduce2: 3, hs_intro_max_introduce2: 3 };
  const builder = {
    build: async () => {
      const circuit = new FakeCircuit();
      circuits.push(circuit);
      circuit.send = () => clock.defer(() => asked(circuit));
      return circuit;
    },
  };
  const point = new ServiceIntroPoint(sketchNetwork([{}]).relays[0]!, {
    clock,
    random,
    log: memoryLog(),
    param: (name, fallback) => params[name] ?? fallback,
    builder: builder as unknown as HsCircuitBuilder,
    dos: undefined,
    changed() {},
    built() {},
    replayed() {},
    introduce2: (at, body) => {
      introduced.push(body);
      if (sameBytes(body, GENUINE)) at.count(body);
    },
  });
  point.start();
  return { world, clock, point, circuits, introduced };
}

test('a relay that ends every circuit once it is established is given up, as one that never answers', async (t) => {
  const { world, clock, point, circuits } = intro((circuit) => {
    circuit.establish();
    clock.setTimer(1000, () => circuit.die());
  });
  await world.advance(1);
  t.is(point.state, 'established');
  await world.advance(600_000);
  t.is(circuits.length, 4);
  t.is(point.state, 'gone');
});

test('a circuit that ends in the turn in which it is established is lost, not established', async (t) => {
  let first = true;
  const { world, point, circuits } = intro((circuit) => {
    circuit.establish();
    if (first) circuit.die();
    first = false;
  });
  await world.advance(1);
  t.is(point.state, 'connecting');
  await world.advance(5000);
  t.is(point.state, 'established');
  t.is(circuits.length, 2);
});

test('an introduction that comes right behind INTRO_ESTABLISHED is taken', async (t) => {
  const { world, introduced } = intro((circuit) => {
    circuit.establish();
    circuit.onMessage(RelayCommand.INTRODUCE2, GENUINE);
  });
  await world.advance(1);
  t.is(introduced.length, 1);
});

test('an introduction is not taken twice, whatever nonsense comes in between', async (t) => {
  const { world, circuits, introduced } = intro((circuit) => circuit.establish());
  await world.advance(1);
  const [circuit] = circuits;
  circuit!.onMessage(RelayCommand.INTRODUCE2, GENUINE);
  for (let n = 1; n <= 10; n++) circuit!.onMessage(RelayCommand.INTRODUCE2, introduction(n));
  circuit!.onMessage(RelayCommand.INTRODUCE2, GENUINE);
  t.is(introduced.filter((body) => sameBytes(body, GENUINE)).length, 1);
  t.is(introduced.length, 11);
});
