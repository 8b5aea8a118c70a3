import test from 'ava';
import { RelayCommand } from '../../shared/cell/commands.js';
import { INTRODUCE_ACK, IntroduceStatus, RENDEZVOUS1 } from '../../shared/cell/hs-cells.js';
import { hopSpecifiers } from '../../shared/circuit/hop.js';
import { generateX25519 } from '../../shared/crypto/x25519.js';
import { answerIntroduction, openIntroduce2 } from '../../shared/hs/introduce.js';
import { memoryLog } from '../../shared/log/memory.js';
import type { IntroPoint } from '../../shared/netdoc/hs-descriptor.js';
import { parseProtocols } from '../../shared/netdoc/protover.js';
import { SimWorld } from '../../shared/runtime/sim/world.js';
import type { StreamError } from '../failure.js';
import { type HsCircuitBuilder, HsCircuitError } from './circuit-builder.js';
import type { DescriptorCache, KnownService } from './descriptors.js';
import { type MeetingParts, Meetings } from './meeting.js';
import type { HsTarget } from './paths.js';

const START = 1_700_000_000_000;

/** A relay by number. */
const target = (n: number): HsTarget => ({
  id: Buffer.alloc(20, n).toString('hex').toUpperCase(),
  hop: {
    addresses: [{ host: `10.0.0.${n}`, port: 9001 }],
    rsaId: new Uint8Array(20).fill(n),
    ed25519Id: new Uint8Array(32).fill(n),
    ntorKey: new Uint8Array(32).fill(n),
    protocols: parseProtocols(''),
  },
});

/** What the network does; as it stands, introduction points acknowledge, and nobody comes to the rendezvous point. */
interface Conduct {
  /** The service comes, and the introduction point says nothing. */
  readonly comesUnacknowledged?: boolean;
  /** Whether a circuit to an introduction point stands at once; else its last hop is missing until it is called off. */
  readonly stands?: () => boolean;
}

function silentWorld({ comesUnacknowledged = false, stands = () => true }: Conduct = {}) {
  const world = new SimWorld('silent service', START);
  const { clock, random } = world.host('127.8.0.1');
  const encKey = generateX25519(random);
  const subcredential = new Uint8Array(32);
  /** What the service sends to the rendezvous point. */
  let come = (_handshake: Uint8Array) => {};
  /** Relays that were given INTRODUCE1, and 'fetch' for each new descriptor, in order. */
  const deeds: string[] = [];
  const circuit = (purpose: string, at: HsTarget) => {
    const made = {
      target: at,
      origin: { addVirtualHop() {} },
      closed: false,
      onClosed: () => {},
      onMessage: (_command: number, _data: Uint8Array) => {},
      send(command: number, body: Uint8Array) {
        const answer = (reply: number, data: Uint8Array) => clock.defer(() => made.onMessage(reply, data));
        if (command === RelayCommand.ESTABLISH_RENDEZVOUS)
          answer(RelayCommand.RENDEZVOUS_ESTABLISHED, new Uint8Array(0));
        if (command === RelayCommand.ESTABLISH_RENDEZVOUS)
          come = (handshake) => made.onMessage(RelayCommand.RENDEZVOUS2, handshake);
        if (command !== RelayCommand.INTRODUCE1) return;
        deeds.push(`${purpose} ${at.id.slice(0, 2)}`);
        if (comesUnacknowledged) {
          const keys = { authKey: new Uint8Array(32).fill(at.hop.rsaId[0]!), encKey };
          const { rendezvous1 } = answerIntroduction(
            openIntroduce2(body, keys, [subcredential]),
            keys,
            random,
          );
          clock.defer(() => come(RENDEZVOUS1.decode(rendezvous1).handshake));
          return;
        }
        answer(
          RelayCommand.INTRODUCE_ACK,
          INTRODUCE_ACK.encode({ status: IntroduceStatus.SUCCESS, extensions: [] }),
        );
      },
      close() {
        made.closed = true;
      },
    };
    return made;
  };
  const point = (n: number): IntroPoint => ({
    linkSpecifiers: hopSpecifiers(target(n).hop),
    onionKey: target(n).hop.ntorKey!,
    authKey: new Uint8Array(32).fill(n),
    encKey: encKey.publicKey,
  });
  const service = (revision: bigint, points: number[]): KnownService => ({
    names: {
      period: { number: 1, length: 1440 },
      blindedKey: new Uint8Array(32),
      subcredential,
    },
    content: {
      createFormats: [2],
      introAuthRequired: [],
      singleOnionService: false,
      flowControl: undefined,
      powParams: undefined,
      introPoints: points.map(point),
    },
    revision,
    expires: START + 10_000_000,
  });
  let known = service(1n, [1, 2, 3]);
  const descriptors: Pick<DescriptorCache, 'get' | 'fetch'> = {
    get: async () => known,
    fetch: async () => {
      deeds.push('fetch');
      known = service(2n, [4, 5, 6]);
      return known;
    },
  };
  const builder: Pick<HsCircuitBuilder, 'build' | 'rendezvousPoint'> = {
    rendezvousPoint: () => target(9),
    build: async (purpose, end, signal) => {
      if (typeof end === 'function') return circuit(purpose, target(9)) as never;
      if (stands()) return circuit(purpose, end) as never;
      await new Promise((resolve) => signal?.addEventListener('abort', resolve));
      throw new HsCircuitError('no circuit: given up', { atEnd: true });
    },
  };
  const parts = {
    clock,
    random,
    log: memoryLog(),
    param: (_name: string, fallback: number) => fallback,
    builder,
    descriptors,
    allowPrivate: true,
  };
  return { world, deeds, meetings: new Meetings(parts as unknown as MeetingParts) };
}

test('a service that does not come is looked for anew, and at none of its introduction points twice', async (t) => {
  const { world, deeds, meetings } = silentWorld();
  let failure: StreamError | undefined;
  meetings.meet(new Uint8Array(32), new AbortController().signal).catch((error: StreamError) => {
    failure = error;
  });
  await world.advance(200_000);
  t.is(failure?.kind, 'onion-rendezvous-failed');
  const [first, fetch, ...later] = deeds;
  t.regex(first!, /^client-introduction 0[123]$/);
  t.is(fetch, 'fetch');
  t.deepEqual(
    later.sort(),
    ['04', '05', '06'].map((id) => `client-introduction ${id}`),
  );
});

test('a service that comes before the acknowledgement is met at once', async (t) => {
  const { world, deeds, meetings } = silentWorld({ comesUnacknowledged: true });
  let met = false;
  meetings.meet(new Uint8Array(32), new AbortController().signal).then(() => {
    met = true;
  });
  await world.advance(1);
  t.true(met);
  t.is(deeds.length, 1);
});

test('an introduction point whose circuit was called off is not taken for one that fails', async (t) => {
  const state = { stands: false };
  const { world, deeds, meetings } = silentWorld({ stands: () => state.stands });
  // As often as there are introduction points: each time it would be another that failed.
  for (let i = 0; i < 3; i++) {
    const stop = new AbortController();
    const meeting = meetings.meet(new Uint8Array(32), stop.signal).catch(() => {});
    await world.advance(1);
    stop.abort();
    await meeting;
  }
  state.stands = true;
  meetings.meet(new Uint8Array(32), new AbortController().signal).catch(() => {});
  await world.advance(1);
  t.regex(deeds.join(), /^client-introduction 0[123]$/);
});
