import test from 'ava';
import { DirCache } from '../shared/dir/cache.js';
import type { DirRequest, DirResponse } from '../shared/dir/types.js';
import { memoryLog } from '../shared/log/memory.js';
import { parseConsensus } from '../shared/netdoc/consensus.js';
import { SimWorld } from '../shared/runtime/sim/world.js';
import { StoreError } from '../shared/store/errors.js';
import { memoryStore } from '../shared/store/memory.js';
import type { Store } from '../shared/store/types.js';
import { vectorText } from '../shared/testing/vectors.js';
import { DirManager, type DirStep } from './dir-manager.js';
import type { DirSource, DirSources } from './dir-sources.js';
import type { Network } from './network.js';
import { clientOptions } from './testing.js';

const CONSENSUS = vectorText('real-tor/consensus-microdesc.txt');
const CERTIFICATES = vectorText('real-tor/authority-certs.txt');
const MICRODESCS = vectorText('real-tor/microdescriptors.txt');
const { authorities, validAfter, freshUntil, validUntil } = parseConsensus(CONSENSUS);
const MINUTE = 60_000;

const torrc = (count = authorities.length) => [
  'TestingTorNetwork 1',
  ...authorities
    .slice(0, count)
    .map(
      (a, i) =>
        `DirAuthority ${a.nickname} orport=5000 v3ident=${a.identity} 127.0.0.${i + 1}:7000 ${'ABCDEF0123456789'[i]!.repeat(40)}`,
    ),
];

const answer = (text: string | undefined): DirResponse => ({
  status: text === undefined ? 404 : 200,
  reason: text === undefined ? 'Not found' : 'OK',
  headers: {},
  body: Buffer.from(text ?? '', 'latin1'),
});

/** Directories that serve the documents of a real network, and count who asks for what. */
class Directory {
  consensus: string | undefined = CONSENSUS;
  certificates = CERTIFICATES;
  microdescs: string | undefined = MICRODESCS;
  readonly asked: string[] = [];
  /** How often an authority or fallback was wanted. */
  configured = 0;
  /** Throws instead of answering. */
  down = false;

  ask(request: DirRequest): DirResponse {
    this.asked.push(request.path);
    if (this.down) throw new Error('refused');
    if (request.path.startsWith('/tor/keys/')) return answer(this.certificates);
    if (request.path.startsWith('/tor/micro/')) return answer(this.microdescs);
    if (request.headers?.['if-modified-since'] && this.consensus === CONSENSUS)
      return { ...answer(''), status: 304 };
    return answer(this.consensus);
  }

  count(part: string): number {
    return this.asked.filter((path) => path.includes(part)).length;
  }
}

/** A manager over such a directory, at a time. */
async function setUp(at = freshUntil - 1000, options: { torrc?: string[]; store?: Store } = {}) {
  const world = new SimWorld('dir manager', at);
  const host = world.host('127.8.0.1');
  const { clock, random } = host;
  const directory = new Directory();
  const log = memoryLog();
  const networks: Network[] = [];
  const steps: DirStep['step'][] = [];
  let turn = 0;
  const sources = {
    setNetwork() {},
    pick: (avoid: ReadonlySet<string>, configured: boolean): DirSource | undefined => {
      if (configured) directory.configured++;
      const id = `source ${turn++ % 3}`;
      return avoid.has(id) ? undefined : ({ id, name: id, ticket: undefined } as unknown as DirSource);
    },
    ask: async (_source: DirSource, request: DirRequest) => directory.ask(request),
  } as unknown as DirSources;
  const store = options.store ?? memoryStore();
  const manager = new DirManager({
    clock,
    random,
    log,
    store,
    options: clientOptions(...(options.torrc ?? torrc())),
    cache: new DirCache(),
    sources,
    onNetwork: (network) => networks.push(network),
    onMicrodescs() {},
    onStep: ({ step }) => steps.push(step),
  });
  await world.until(manager.load());
  return { world, host, directory, manager, log, networks, steps, store };
}

test('consensus, then the certificates it needs, then its microdescriptors', async (t) => {
  const { world, manager, directory, networks, steps, log } = await setUp();
  manager.start();
  await world.advance(500);
  t.is(networks.length, 1, log.text());
  t.deepEqual(networks[0]!.missing(), []);
  t.true(networks[0]!.enoughKnown());
  t.is(directory.count('/tor/keys/fp-sk/'), 1);
  t.deepEqual([...new Set(steps)], ['requesting-status', 'loading-status', 'loading-keys', 'descriptors']);
  manager.stop();
});

test('everything is on disk for the next start; a saved consensus that has expired is not used', async (t) => {
  const { world, manager, store } = await setUp();
  manager.start();
  await world.advance(1000);
  manager.stop();
  const again = await setUp(freshUntil - 500, { store });
  t.is(again.networks.length, 1);
  t.deepEqual(again.networks[0]!.missing(), []);
  t.deepEqual(again.directory.asked, []);
  const late = await setUp(validUntil + 1000, { store });
  t.is(late.networks.length, 0);
});

test('a consensus that cannot be saved is not asked for again before its time', async (t) => {
  const store = {
    ...memoryStore(),
    write: async (name: string) => {
      throw new StoreError(name, 'could not be written: the disk is full; make room there');
    },
  };
  const { world, manager, directory, networks, log } = await setUp(freshUntil - MINUTE, { store });
  manager.start();
  await world.advance(MINUTE / 2);
  t.is(networks.length, 1);
  t.is(directory.count('/consensus'), 1);
  t.true(
    log.has('warn', 'Cannot save the consensus: cepa-state/consensus: could not be written'),
    log.text(),
  );
  manager.stop();
});

const refused: [
  name: string,
  change: (set: Awaited<ReturnType<typeof setUp>>) => void,
  at?: number,
  torrc?: string[],
][] = [
  [
    'unsigned',
    ({ directory }) => {
      directory.consensus = CONSENSUS.slice(0, CONSENSUS.indexOf('directory-signature'));
    },
  ],
  [
    'signed by half of the authorities',
    ({ directory }) => {
      const parts = CONSENSUS.split(/(?=^directory-signature )/m);
      directory.consensus = parts.slice(0, 3).join('');
    },
  ],
  [
    'changed after it was signed',
    ({ directory }) => {
      directory.consensus = CONSENSUS.replace(/^w Bandwidth=\d+/m, 'w Bandwidth=999999');
    },
  ],
  ['expired', () => {}, validUntil + MINUTE],
  ['from more than a day ahead', () => {}, validAfter - 25 * 60 * MINUTE],
  [
    'of another network',
    () => {},
    undefined,
    [
      'TestingTorNetwork 1',
      ...['1', '2', '3'].map(
        (d) => `DirAuthority other${d} orport=5000 v3ident=${d.repeat(40)} 127.0.0.${d}:7000 ${d.repeat(40)}`,
      ),
    ],
  ],
  [
    'whose certificates nobody has',
    ({ directory }) => {
      directory.certificates = '';
    },
  ],
  [
    'nonsense',
    ({ directory }) => {
      directory.consensus = 'network-status-version 3 microdesc\nnonsense';
    },
  ],
  [
    'of the other flavour',
    ({ directory }) => {
      directory.consensus = vectorText('real-tor/consensus-ns.txt');
    },
  ],
];
for (const [name, change, at, lines] of refused)
  test(`refuses a consensus: ${name}`, async (t) => {
    const set = await setUp(at, lines ? { torrc: lines } : {});
    change(set);
    set.manager.start();
    await set.world.advance(2000);
    set.manager.stop();
    t.is(set.networks.length, 0);
    t.true(set.directory.count('consensus-microdesc') > 1, 'it goes on asking');
  });

test('a test network that makes its first consensus is asked every quarter of a second or so, over all sources', async (t) => {
  const { world, manager, directory, networks } = await setUp();
  directory.consensus = undefined;
  manager.start();
  await world.advance(5000);
  const tries = directory.count('consensus');
  t.true(tries >= 3 * 15 && tries <= 3 * 40, `${tries}`);
  directory.consensus = CONSENSUS;
  await world.advance(600);
  t.is(networks.length, 1);
  manager.stop();
});

test('in the public network the pauses grow', async (t) => {
  const { world, manager, directory } = await setUp(freshUntil, { torrc: torrc().slice(1) });
  directory.down = true;
  manager.start();
  await world.advance(60 * MINUTE);
  t.true(directory.asked.length > 60 && directory.asked.length < 1000, `${directory.asked.length}`);
  manager.stop();
});

test('the next consensus is fetched once this one is no longer fresh, and well before it expires', async (t) => {
  const { world, manager, directory } = await setUp(validAfter + 1000, { torrc: torrc().slice(1) });
  manager.start();
  await world.advance(freshUntil - validAfter - 2000);
  t.is(directory.count('consensus-microdesc'), 1);
  await world.advance(validUntil - freshUntil);
  t.true(directory.count('consensus-microdesc') > 1);
  manager.stop();
});

test('missing microdescriptors are asked for again', async (t) => {
  const { world, manager, directory, networks } = await setUp();
  directory.microdescs = undefined;
  manager.start();
  await world.advance(1000);
  t.true(networks[0]!.missing().length > 0);
  t.false(networks[0]!.enoughKnown());
  directory.microdescs = `nonsense\n${MICRODESCS}`;
  await world.advance(1500);
  t.deepEqual(networks[0]!.missing(), []);
  manager.stop();
});

test('where guards have nothing newer, authorities are asked now and then', async (t) => {
  const { world, manager, directory } = await setUp(freshUntil + 1000);
  manager.start();
  await world.advance(200);
  t.is(directory.configured, 0);
  await world.advance(20_000);
  t.true(directory.configured > 0);
  manager.stop();
});

test('when the clock is set, or the machine has slept, the next consensus is asked for by the new time', async (t) => {
  const behind = 10 * 60 * MINUTE;
  const { world, host, manager, directory } = await setUp(validAfter - behind);
  manager.start();
  await world.advance(2 * MINUTE);
  t.is(directory.count('/consensus-microdesc'), 1);
  host.skew = behind + (freshUntil - validAfter) * 2;
  await world.advance(MINUTE);
  t.true(directory.count('/consensus-microdesc') > 1);
  manager.stop();
});
