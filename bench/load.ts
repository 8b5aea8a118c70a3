/**
 * All load of one relay, from one process that costs little beside it: circuits of two hops, made as any other, from
 * links here through the relay to links here; then cells of noise both ways, which the relay cannot tell from others.
 *
 * ```
 * node load.js HOP LINKS CIRCUITS
 * ```
 *
 * HOP is JSON (hop.ts). Tells 0 when the circuits stand. Answers `{ traffic: MB }` with the seconds it took, and
 * `{ circuits: SECONDS }` with how many circuits of one hop were built in them, as many at once as keep the relay busy;
 * `{ both: MB }` is the first while the second goes on, with `[seconds, circuits]`.
 *
 * @module
 */
import { once } from 'node:events';
import { answerCreate } from '../relay/handshakes.js';
import { CellBatch } from '../shared/cell/batch.js';
import { BODY_SIZE, CELL_SIZE, Command } from '../shared/cell/commands.js';
import { buildCircuit } from '../shared/circuit/build.js';
import type { HopTarget } from '../shared/circuit/hop.js';
import { loadOrCreateRelayKeys } from '../shared/crypto/relay-keys.js';
import { createChannelManager, type LinkManager } from '../shared/link/manager.js';
import type { Leg, LegHandler } from '../shared/link/types.js';
import { memoryLog } from '../shared/log/memory.js';
import { osRandom, realClock, realTransport } from '../shared/runtime/real.js';
import { compileSooner, tuneProcess } from '../shared/runtime/tune.js';
import { memoryStore } from '../shared/store/memory.js';
import { PROTOCOLS, targetOf } from './hop-address.js';

/** Cells of a circuit under way at most, as a window of SENDMEs would have it. */
const WINDOW = 500;
/** Cells sent at a time: a TLS record. */
const BURST = 31;
/** Handshakes under way at a time. */
const AT_ONCE = 32;

const env = { clock: realClock, random: osRandom, transport: realTransport(), log: memoryLog() };
/** Cells that no hop takes for its own, and that nobody reads. */
const noise = new CellBatch(Buffer.from(osRandom.bytes(BURST * CELL_SIZE)));
noise.n = BURST;
for (let i = 0; i < BURST; i++) {
  noise.at[i] = i * CELL_SIZE + (CELL_SIZE - BODY_SIZE);
  noise.buf[noise.at[i]! - 1] = Command.RELAY;
}

/** One direction of a circuit: cells go in at one leg and come out at the other. */
class Flow {
  private readonly from: Leg;
  private underWay = 0;
  private left = 0;
  private done: (() => void) | undefined;

  constructor(from: Leg) {
    this.from = from;
  }

  /** Sends so many cells, and resolves when all have come out. */
  run(cells: number): Promise<void> {
    this.left = Math.ceil(cells / BURST) * BURST;
    return new Promise((resolve) => {
      this.done = resolve;
      this.fill();
    });
  }

  fill(): void {
    while (this.left > 0 && this.underWay + BURST <= WINDOW && !this.from.full) {
      if (!this.from.send(noise)) throw new Error('a leg of the load is gone');
      this.left -= BURST;
      this.underWay += BURST;
    }
  }

  out(cells: number): void {
    this.underWay -= cells;
    if (this.left > 0) this.fill();
    else if (this.underWay === 0) this.done?.();
  }
}

/** A relay's outer half: takes circuits, and what comes through them. */
async function sink(host: string, created: (leg: Leg) => void): Promise<HopTarget> {
  const keys = await loadOrCreateRelayKeys(memoryStore(), env);
  const param = (_name: string, fallback: number) => fallback;
  const manager = createChannelManager(env, {
    credentials: () => keys.link(),
    handler: {
      create(leg, command, body) {
        const answer = answerCreate(command, body, { ...env, keys, param });
        leg.control(answer.command, answer.body);
        created(leg);
      },
      closed() {},
    },
  });
  const { local } = await manager.listen({ host, port: 0 });
  return {
    addresses: [local],
    rsaId: keys.rsaId,
    ed25519Id: keys.ed25519Id,
    ntorKey: keys.ntor.current.publicKey,
    protocols: PROTOCOLS,
  };
}

/** A client's manager that gives the legs of what is built. */
function source(opened: (leg: Leg) => void): LinkManager {
  const manager = createChannelManager(env, { handler: { create: (leg) => leg.destroy(1), closed() {} } });
  const get: LinkManager['get'] = async (target) => {
    const channel = await manager.get(target);
    const openLeg = (handler: LegHandler) => {
      const leg = channel.openLeg(handler);
      opened(leg);
      return leg;
    };
    return Object.create(channel, { openLeg: { value: openLeg } });
  };
  return Object.create(manager, { get: { value: get } });
}

const handlerOf = (arrived: Flow, leaving: Flow): LegHandler => ({
  relayCells: (_, batch) => arrived.out(batch.n),
  writable: () => leaving.fill(),
  control() {},
  destroyed: (_, reason) => {
    throw new Error(`the relay ended a circuit of the load: ${reason}`);
  },
});

const [hop = '', links = '4', circuits = '16'] = process.argv.slice(2);
tuneProcess();
compileSooner();
process.on('disconnect', () => process.exit(0));
const relay = targetOf(JSON.parse(hop));

let near: Leg | undefined;
let far: Leg | undefined;
const count = Number(links);
const sources = Array.from({ length: count }, () => source((leg) => (near = leg)));
const sinks: HopTarget[] = [];
for (let i = 0; i < count; i++) sinks.push(await sink('127.0.0.1', (leg) => (far = leg)));
const flows: Flow[] = [];
for (let i = 0; i < Number(circuits); i++) {
  await buildCircuit(env, sources[i % count]!, [relay, sinks[i % count]!], { carries: true });
  if (!near || !far) throw new Error('a circuit without legs');
  const [up, down] = [new Flow(near), new Flow(far)];
  near.handler = handlerOf(down, up);
  far.handler = handlerOf(up, down);
  flows.push(up, down);
}

async function traffic(mb: number): Promise<number> {
  const start = performance.now();
  await Promise.all(flows.map((flow) => flow.run((mb * 1e6) / CELL_SIZE / flows.length)));
  return (performance.now() - start) / 1000;
}

async function built(going: () => boolean): Promise<number> {
  let number = 0;
  const one = async (i: number) => {
    while (going()) {
      (await buildCircuit(env, sources[i % count]!, [relay], { carries: true })).close();
      number++;
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, (_, i) => one(i)));
  return number;
}

type Task = { traffic: number } | { circuits: number } | { both: number };

async function run(task: Task): Promise<number | [number, number]> {
  if ('traffic' in task) return traffic(task.traffic);
  if ('circuits' in task) {
    const end = performance.now() + task.circuits * 1000;
    return built(() => performance.now() < end);
  }
  let going = true;
  const building = built(() => going);
  const seconds = await traffic(task.both);
  going = false;
  return [seconds, await building];
}

process.send?.(0);
for (;;) {
  const [task] = await once(process, 'message');
  process.send?.(await run(task as Task));
}
