/**
 * `npm run bench:micro`: what single steps cost, in this process alone. CPU time, so that a busy machine blurs it less.
 *
 * ```
 * node micro.js [--tor-bench PROGRAM]
 * ```
 *
 * `--tor-bench` runs C tor's own benchmark (`src/test/bench`, built from its source) and puts its figures beside.
 *
 * @module
 */
import { parseArgs } from 'node:util';
import { choosePath } from '../client/path.js';
import { EXIT, GUARD, MIDDLE, seededRandom, sketchNetwork, sketchRules } from '../client/testing.js';
import { tally } from '../directory/tally.js';
import { takeArena } from '../shared/bytes/arena.js';
import { CellBatch } from '../shared/cell/batch.js';
import { CELL_HEADER_SIZE, CELL_SIZE, Command } from '../shared/cell/commands.js';
import { CellDecoder } from '../shared/cell/frame.js';
import { Layers } from '../shared/circuit/layers.js';
import { answerNtor, answerNtorV3, startNtor, startNtorV3 } from '../shared/crypto/handshake.js';
import { generateX25519 } from '../shared/crypto/x25519.js';
import { CellQueue } from '../shared/link/cell-queue.js';
import { appendSignatures, encodeConsensusBody, parseConsensus } from '../shared/netdoc/consensus.js';
import { makeMicrodescriptor, parseMicrodescriptors } from '../shared/netdoc/microdesc.js';
import { parseServerDescriptors } from '../shared/netdoc/server-descriptor.js';
import type { RouterStatus, Vote } from '../shared/netdoc/types.js';
import { parseVote } from '../shared/netdoc/vote.js';
import { keysOf } from '../shared/onion/testing.js';
import { tor1Client, tor1Relay } from '../shared/onion/tor1.js';
import { osRandom } from '../shared/runtime/real.js';
import { vectorText } from '../shared/testing/vectors.js';
import { median } from './stats.js';
import { runTorBench } from './tor-bench.js';

/** Relays of the public network, about. */
const RELAYS = 8000;
/** Cells of a TLS record. */
const CELLS = 31;

/** Median CPU microseconds of one call of `work`, which does `times` things, over several runs. */
function cost(times: number, runs: number, work: () => void): number {
  const measured: number[] = [];
  for (let run = 0; run < runs; run++) {
    const before = process.cpuUsage();
    work();
    const { user, system } = process.cpuUsage(before);
    measured.push((user + system) / times);
  }
  return median(measured);
}

function shown(microseconds: number): string {
  if (microseconds >= 1e4) return `${(microseconds / 1e3).toFixed(0)} ms`;
  if (microseconds >= 10) return `${microseconds.toFixed(0)} us`;
  return `${(microseconds * 1e3).toFixed(0)} ns`;
}

/** One step, and the same of C tor where there is one. */
function report(name: string, microseconds: number, tor?: number): void {
  process.stdout.write(`| ${name} | ${shown(microseconds)} | ${tor === undefined ? '' : shown(tor)} |\n`);
}

const { values } = parseArgs({ options: { 'tor-bench': { type: 'string' } } });
const tor = values['tor-bench'] === undefined ? undefined : runTorBench(values['tor-bench']);

/** Cells where links read them to. */
function chunkOf(circuits: number): Buffer {
  const buffer = takeArena(CELLS * CELL_SIZE);
  buffer.set(osRandom.bytes(buffer.length));
  for (let i = 0; i < CELLS; i++) {
    buffer.writeUInt32BE(1 + (i % circuits), i * CELL_SIZE);
    buffer[i * CELL_SIZE + 4] = Command.RELAY;
  }
  return buffer;
}

/** A decoder past VERSIONS. */
function decoder(relay: (circuitId: number, batch: CellBatch) => void): CellDecoder {
  const made = new CellDecoder({ relay, fixed() {}, variable() {} });
  made.push(Buffer.from('00000700020004', 'hex'));
  return made;
}

const CELL_ROUNDS = 4000;
const RUNS = 7;

/** Runs a function over one chunk again and again; cost of a cell. */
const perCell = (work: () => void): number =>
  cost(CELLS * CELL_ROUNDS, RUNS, () => {
    for (let i = 0; i < CELL_ROUNDS; i++) work();
  });

function cells(): void {
  for (const circuits of [1, 8]) {
    const chunk = chunkOf(circuits);
    const plain = decoder(() => {});
    report(
      `decode a cell, ${circuits === 1 ? '1 circuit' : `${circuits} circuits in a record`}`,
      perCell(() => plain.push(chunk)),
    );

    const queues = Array.from({ length: circuits }, () => new CellQueue({ queuedBytes: 0 }));
    const layers = queues.map((_, i) => tor1Relay(keysOf(i)));
    const out = Buffer.alloc(CELLS * CELL_SIZE);
    const drain = () => {
      for (const queue of queues) queue.take(CELLS, out, 0);
    };
    const decoding = (each: (id: number, batch: CellBatch) => void) => {
      const made = decoder(each);
      return perCell(() => {
        made.push(chunk);
        drain();
      });
    };
    const queue = (id: number, batch: CellBatch) => queues[id - 1]!.pushCells(id, batch, 0, batch.n, 0);
    const where = circuits === 1 ? '1 circuit' : `${circuits} circuits in a record`;
    report(`decode, queue and encode a cell, ${where}`, decoding(queue));
    const relayed = decoding((id, batch) => {
      layers[id - 1]!.wrapBackward(batch);
      queue(id, batch);
    });
    report(`relay a cell: the same and a layer, ${where}`, relayed);
  }
  const scratch = new CellBatch(chunkOf(1));
  const fill = () => {
    scratch.n = CELLS;
    for (let i = 0; i < CELLS; i++) scratch.at[i] = i * CELL_SIZE + CELL_HEADER_SIZE;
  };
  const exit = tor1Relay(keysOf(1));
  const client = new Layers();
  for (let hop = 0; hop < 3; hop++) client.push(tor1Client(keysOf(hop)));
  fill();
  report(
    'the layer of a relayed cell alone, 31 at once',
    perCell(() => exit.wrapBackward(scratch)),
    tor?.relay,
  );
  report(
    'originate a cell at an exit: digest, one layer',
    perCell(() => exit.sealBackward(scratch)),
    tor?.originate,
  );
  report(
    'originate a cell at a client: digest, three layers',
    perCell(() => client.seal(scratch, 2)),
  );
}

function handshakes(): void {
  const times = 200;
  const onion = generateX25519(osRandom);
  const rsaId = osRandom.bytes(20);
  const ed25519Id = osRandom.bytes(32);
  const keys = { find: () => onion, junk: onion };
  const target = { rsaId, ed25519Id, ntorKey: onion.publicKey };
  const many = (work: () => void) =>
    cost(times, RUNS, () => {
      for (let i = 0; i < times; i++) work();
    });
  const ntor = startNtor(target, osRandom);
  const answered = () => answerNtor(ntor.data, { rsaId, keys }, osRandom);
  const { reply } = answered();
  report('ntor, relay', many(answered), tor?.ntorRelay);
  report(
    'ntor, client',
    many(() => void startNtor(target, osRandom)) + many(() => void ntor.finish(reply)),
    tor?.ntorClient,
  );
  const message = Buffer.alloc(4);
  const v3 = startNtorV3(target, message, osRandom);
  const answeredV3 = () => answerNtorV3(v3.data, { ed25519Id, keys }, () => message, osRandom);
  const v3Reply = answeredV3().reply;
  report('ntor-v3, relay', many(answeredV3));
  report(
    'ntor-v3, client',
    many(() => void startNtorV3(target, message, osRandom)) + many(() => void v3.finish(v3Reply)),
  );
}

/** A router like another, with an identity, an address and keys of its own. */
function routerLike(router: RouterStatus, n: number): RouterStatus {
  const rsaId = Buffer.alloc(20, n);
  rsaId.writeUInt32BE(n);
  return {
    ...router,
    nickname: `relay${n}`,
    rsaId,
    id: rsaId.toString('hex').toUpperCase(),
    digest: Buffer.from(rsaId).reverse(),
    address: `${11 + (n >> 8)}.${n & 255}.0.1`,
  };
}

function documents(): void {
  const real = [0, 1, 2, 3].map((i) => parseVote(vectorText(`real-tor/vote-auth${i}.txt`)));
  const votes = Array.from({ length: 9 }, (_, i): Vote => {
    const vote = real[i % real.length]!;
    const routers = Array.from({ length: RELAYS }, (_r, n) =>
      routerLike(vote.routers[n % vote.routers.length]!, n),
    );
    const id = Buffer.alloc(20, i + 1)
      .toString('hex')
      .toUpperCase();
    return { ...vote, authority: { ...vote.authority, identity: id, nickname: `auth${i}` }, routers };
  });
  const input = { votes, authorities: 9, sharedRandomness: { participate: true, fresh: false } };
  const result = tally(input);
  report(
    `consensus from 9 votes of ${RELAYS} relays, both flavours`,
    cost(1, 3, () => void tally(input)),
  );
  const signed = parseConsensus(vectorText('real-tor/consensus-microdesc.txt'));
  // Only who voted may sign; whether a signature is right is another step.
  const signatures = signed.signatures.map((signature, i) => ({
    ...signature,
    identity: votes[i]!.authority.identity,
  }));
  const text = appendSignatures(encodeConsensusBody(result.microdesc), signatures);
  report(
    `parse a consensus of ${result.microdesc.routers.length} relays, ${(text.length / 1e6).toFixed(1)} MB`,
    cost(1, 5, () => void parseConsensus(text)),
  );
  const [descriptor] = parseServerDescriptors(vectorText('real-tor/server-descriptors.txt')).documents;
  const one = makeMicrodescriptor(descriptor!, 35);
  const all = Array.from({ length: RELAYS }, () => {
    const key = Buffer.from(osRandom.bytes(32)).toString('base64').replace('=', '');
    return one.replace(/^ntor-onion-key .*$/m, `ntor-onion-key ${key}`);
  }).join('');
  report(
    `parse ${RELAYS} microdescriptors, ${(all.length / 1e6).toFixed(1)} MB`,
    cost(1, 5, () => void parseMicrodescriptors(all)),
    tor && tor.microdescriptor * RELAYS,
  );
}

function paths(): void {
  const random = seededRandom(1);
  const relays = Array.from({ length: RELAYS }, (_, n) => ({
    flags: n % 3 === 0 ? GUARD : n % 5 === 0 ? EXIT : MIDDLE,
    bandwidth: 100 + random.below(100_000),
    address: `${11 + (n >> 8)}.${n & 255}.0.1`,
  }));
  const network = sketchNetwork(relays);
  const rules = sketchRules();
  const guards = network.relays.filter(({ status }) => status.flags.has('Guard'));
  const chooser = {
    choose: () => ({ relay: guards[random.below(guards.length)]!, guard: undefined }),
    release() {},
  };
  const need = { purpose: { kind: 'exit', host: 'name', port: 443 }, stable: false } as const;
  const choose = () => void choosePath(network, rules, need, random, chooser);
  choose();
  report(
    `choose a path among ${RELAYS} relays`,
    cost(100, RUNS, () => {
      for (let i = 0; i < 100; i++) choose();
    }),
  );
}

process.stdout.write(`Node ${process.version}\n\n| step | CPU time | C tor's bench |\n| --- | --- | --- |\n`);
cells();
handshakes();
documents();
paths();
