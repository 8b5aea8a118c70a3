import test from 'ava';
import { RelayCommand } from '../../shared/cell/commands.js';
import { INTRO_ESTABLISHED } from '../../shared/cell/hs-cells.js';
import { generateEd25519 } from '../../shared/crypto/ed25519.js';
import { periodKeys } from '../../shared/hs/service-key.js';
import { memoryLog } from '../../shared/log/memory.js';
import { decryptHsDescriptor, parseHsDescriptor } from '../../shared/netdoc/hs-descriptor.js';
import { SimWorld } from '../../shared/runtime/sim/world.js';
import { sketchNetwork, sketchRules } from '../testing.js';
import type { HsDirectory } from './directory.js';
import { type PeriodParts, ServicePeriod } from './service-period.js';

const START = 1_700_000_000_000;

/** A period whose introduction points are established at once; what it publishes is kept. */
function service() {
  const world = new SimWorld('service period', START);
  const { clock, random } = world.host('127.8.0.1');
  const params = new Map<string, number>();
  const circuits: { closed: boolean }[] = [];
  const published: string[] = [];
  const network = sketchNetwork(
    Array.from({ length: 20 }, () => ({ protocols: 'Relay=2 HSIntro=4' })),
    { validAfter: START, freshUntil: START + 3_600_000 },
  );
  const build = async () => {
    const circuit = {
      origin: { hops: [{ kh: new Uint8Array(20) }] },
      closed: false,
      onMessage: (_command: number, _data: Uint8Array) => {},
      send() {
        const body = INTRO_ESTABLISHED.encode({ extensions: [] });
        clock.defer(() => circuit.onMessage(RelayCommand.INTRO_ESTABLISHED, body));
      },
      close() {
        circuit.closed = true;
      },
    };
    circuits.push(circuit);
    return circuit;
  };
  const keys = periodKeys(generateEd25519(random), { number: 19_676, length: 1440 });
  const period = new ServicePeriod(keys, {
    clock,
    random,
    log: memoryLog(),
    param: (name: string, fallback: number) => params.get(name) ?? fallback,
    rules: sketchRules(),
    builder: { build },
    directory: {
      publish: async (_relay: unknown, text: string) => {
        published.push(text);
        return { status: 200, reason: 'OK' };
      },
    },
    config: () => ({ introPoints: 3, dos: undefined, clients: [] }),
    changed() {},
    built() {},
  } as unknown as PeriodParts);
  const directory = { network, storeAt: () => network.relays.slice(0, 1) } as unknown as HsDirectory;
  const pass = async (seconds: number) => {
    for (let i = 0; i < seconds; i++) {
      period.tick(directory, 1);
      await world.advance(1000);
    }
  };
  /** The newest descriptor, as its clients read it. */
  const newest = () => decryptHsDescriptor(parseHsDescriptor(published.at(-1)!), keys.subcredential);
  return { params, circuits, published, pass, newest };
}

test('another SENDME increment in the consensus is offered at once, at other introduction points', async (t) => {
  const { params, circuits, published, pass, newest } = service();
  await pass(5);
  t.is(published.length, 1);
  const before = newest();
  t.is(before.flowControl?.sendmeInc, 31);
  const old = [...circuits];
  params.set('cc_sendme_inc', 50);
  await pass(5);
  const after = newest();
  t.is(after.flowControl?.sendmeInc, 50);
  t.true(old.every(({ closed }) => closed));
  const keysOf = ({ introPoints }: typeof after) => introPoints.map(({ authKey }) => authKey.join());
  t.is(after.introPoints.length, 3);
  t.false(keysOf(after).some((key) => keysOf(before).includes(key)));
});
