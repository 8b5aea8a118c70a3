/**
 * `npm run bench:relay`: one relay under all the load that another process makes (load.ts), with one thread and with
 * more (`NumCPUs`), in turn.
 *
 * ```
 * node relay.js [--num-cpus 1,2] [--mb 400] [--seconds 3] [--rounds 3] [--links 4] [--circuits 16] [--kinds traffic,circuits,both]
 * ```
 *
 * CPU seconds are the relay's, all its threads; those of the busiest thread bound what it can carry where cores are
 * free: `bound` is the throughput at which that thread is busy all the time.
 *
 * @module
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { HopAddress } from './hop-address.js';
import { median } from './stats.js';
import { cpuTimes, residentMegabytes, threadTimes } from './usage.js';

const { values } = parseArgs({
  options: {
    'num-cpus': { type: 'string', default: '1,2' },
    mb: { type: 'string', default: '400' },
    seconds: { type: 'string', default: '3' },
    rounds: { type: 'string', default: '3' },
    links: { type: 'string', default: '4' },
    circuits: { type: 'string', default: '16' },
    kinds: { type: 'string', default: 'traffic,circuits,both' },
  },
});

/** CPU seconds of the relay, of its main thread, of its busiest one; and of the load. */
interface Measured<T> {
  readonly answer: T;
  readonly cpu: number;
  readonly main: number;
  readonly busiest: number;
  readonly load: number;
}

type Figures = Record<string, number>;

const told = async <T>(child: ChildProcess): Promise<T> => (await once(child, 'message'))[0] as T;

/** A relay and its load. */
class Loaded {
  readonly name: string;
  private readonly relay: ChildProcess;
  private load!: ChildProcess;

  constructor(numCpus: string, place: number) {
    this.name = `NumCPUs ${numCpus}`;
    const args = ['relay', `127.${140 + place}.0.1`, String(21_000 + place), `NumCPUs ${numCpus}`];
    this.relay = fork(fileURLToPath(new URL('./hop.js', import.meta.url)), args);
  }

  async start(): Promise<void> {
    const address = await told<HopAddress>(this.relay);
    const args = [JSON.stringify(address), values.links, values.circuits];
    this.load = fork(fileURLToPath(new URL('./load.js', import.meta.url)), args);
    await told(this.load);
    // Compiled code.
    await this.ask({ both: 100 });
  }

  private async ask<T>(task: object): Promise<T> {
    const answer = told<T>(this.load);
    this.load.send(task);
    return answer;
  }

  private async measured<T>(task: object): Promise<Measured<T>> {
    const pids = [this.relay.pid!, this.load.pid!] as const;
    const cpu = (pid: number) => cpuTimes(pid).user + cpuTimes(pid).system;
    const before = pids.map(cpu) as [number, number];
    const threads = threadTimes(pids[0]);
    const answer = await this.ask<T>(task);
    const used = [...threadTimes(pids[0])].map(([id, now]) => ({ id, time: now - (threads.get(id) ?? 0) }));
    return {
      answer,
      cpu: cpu(pids[0]) - before[0],
      main: used.find(({ id }) => id === String(pids[0]))?.time ?? 0,
      busiest: Math.max(...used.map(({ time }) => time)),
      load: cpu(pids[1]) - before[1],
    };
  }

  async run(kind: string): Promise<Figures> {
    const mb = Number(values.mb);
    if (kind === 'both') {
      const { answer, cpu, main, busiest } = await this.measured<[number, number]>({ both: mb / 2 });
      return { 'MB/s': mb / 2 / answer[0], 'circuits/s': answer[1] / answer[0], 'CPU s': cpu, main, busiest };
    }
    const seconds = Number(values.seconds);
    const task = kind === 'traffic' ? { traffic: mb } : { circuits: seconds };
    const { answer, cpu, main, busiest, load } = await this.measured<number>(task);
    // Seconds a gigabyte, or milliseconds a circuit.
    const [speed, each, amount]: readonly [string, string, number] =
      kind === 'traffic' ? ['MB/s', 'CPU s/GB', mb] : ['circuits/s', 'CPU ms each', answer];
    const per = (cpuTime: number) => (cpuTime * 1000) / amount;
    return {
      [speed]: kind === 'traffic' ? mb / answer : answer / seconds,
      [each]: per(cpu),
      main: per(main),
      busiest: per(busiest),
      [`bound ${speed}`]: amount / busiest,
      load: per(load),
    };
  }

  get memory(): number {
    return residentMegabytes(this.relay.pid!);
  }

  async stop(): Promise<void> {
    for (const child of [this.load, this.relay]) {
      const gone = once(child, 'exit');
      child.disconnect();
      await gone;
    }
  }
}

const show = (figures: Figures) =>
  Object.entries(figures)
    .map(([name, value]) => `${name} ${value.toFixed(value < 10 ? 2 : 0)}`)
    .join('  ');

const relays = values['num-cpus'].split(',').map((numCpus, i) => new Loaded(numCpus, i));
for (const relay of relays) await relay.start();
for (const kind of values.kinds.split(',')) {
  const results = relays.map((): Figures[] => []);
  for (let round = 0; round < Number(values.rounds); round++)
    for (const [i, relay] of relays.entries()) results[i]!.push(await relay.run(kind));
  for (const [i, { name }] of relays.entries()) {
    const rows = results[i]!;
    const medians = Object.keys(rows[0]!).map((key) => [key, median(rows.map((row) => row[key]!))] as const);
    console.log(`${kind.padEnd(9)} ${name}: ${show(Object.fromEntries(medians))}`);
  }
}
for (const relay of relays) {
  console.log(`resident MB ${relay.name}: ${relay.memory.toFixed(0)}`);
  await relay.stop();
}
