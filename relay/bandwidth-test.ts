/**
 * A relay's test of its own bandwidth: cells sent to itself through others, so that its descriptor does not say that it
 * carries nothing until somebody uses it. In a network that has just begun everybody would say so, and the first relay
 * that carried something would be chosen for everything (C tor: router_perform_bandwidth_test).
 *
 * @module
 */
import { CELL_SIZE, RelayCommand } from '../shared/cell/commands.js';
import { buildCircuit } from '../shared/circuit/build.js';
import type { OriginCircuit } from '../shared/circuit/origin.js';
import type { ChannelManager } from '../shared/link/types.js';
import type { Log } from '../shared/log/types.js';
import type { Clock, Timer } from '../shared/runtime/types.js';
import { type OwnPathEnv, pathToSelf } from './own-path.js';

/** Circuits of one test (C tor: NUM_PARALLEL_TESTING_CIRCS), and DROP cells over all of them, at most. */
const CIRCUITS = 4;
const CELLS = 1000;
/** Seconds of the bandwidth limit that a test may use up: those over which a rate must be held to be told. */
const SECONDS = 10;
/** Bytes a second from which nothing is tested (C tor: check_for_reachability_bw_callback). */
const ENOUGH = 51_200;
/** Milliseconds from the start to the first look: whoever starts a network has the machine before. */
const FIRST = 60_000;
/** Milliseconds to the next try where none could be made, and to the next look after one. */
const RETRY = 60_000;
const AGAIN = 12 * 3_600_000;
/** Milliseconds the circuits may take to be built, and the cells to arrive. */
const BUILD = 60_000;
const ARRIVE = 10_000;

const NOTHING = new Uint8Array(0);

/** What testing needs. */
export interface BandwidthTestEnv extends OwnPathEnv {
  readonly clock: Clock;
  readonly log: Log;
  readonly channels: Pick<ChannelManager, 'get'>;
  /** Whether the relay is there for others: reached, and awake. */
  ready(): boolean;
  /** Bytes a second that were carried, and that may be. */
  observed(): number;
  rate(): number;
  /** What was carried is what can be told: the cells have arrived, or there was enough without them. */
  tested(): void;
}

/** Tests a minute after the start, and twice a day, while little was carried. */
export class BandwidthTest {
  private readonly env: BandwidthTestEnv;
  private timer: Timer | undefined;
  private stopped = false;

  constructor(env: BandwidthTestEnv) {
    this.env = env;
  }

  start(): void {
    this.wait(FIRST + this.env.random.below(FIRST));
  }

  stop(): void {
    this.stopped = true;
    this.timer?.cancel();
  }

  private wait(delay: number): void {
    if (!this.stopped) this.timer = this.env.clock.setTimer(delay, () => void this.look());
  }

  private async look(): Promise<void> {
    const { observed, rate, ready, tested } = this.env;
    const enough = observed() >= Math.min(ENOUGH, rate());
    if (enough) tested();
    this.wait(enough || (ready() && (await this.test())) ? AGAIN : RETRY);
  }

  /** Whether cells were sent. */
  private async test(): Promise<boolean> {
    const { clock, log, rate } = this.env;
    const circuits = await this.build();
    if (this.stopped || circuits.length === 0) {
      for (const circuit of circuits) circuit.close();
      return false;
    }
    const cells = Math.min(CELLS, Math.floor((rate() * SECONDS) / CELL_SIZE));
    for (const circuit of circuits)
      for (let i = 0; i < cells / CIRCUITS && !circuit.closed; i++)
        circuit.sendMessage(RelayCommand.DROP, NOTHING);
    log.notice('Performing bandwidth self-test...done.');
    clock.setTimer(ARRIVE, () => {
      for (const circuit of circuits) circuit.close();
      if (!this.stopped) this.env.tested();
    });
    return true;
  }

  /** Those circuits that come about. */
  private async build(): Promise<OriginCircuit[]> {
    const { clock, log, channels } = this.env;
    const abort = new AbortController();
    const timer = clock.setTimer(BUILD, () => abort.abort());
    const builds = Array.from({ length: CIRCUITS }, async () => {
      const path = pathToSelf(this.env, this.env.address(4) ? 4 : 6);
      return path && buildCircuit(this.env, channels, path, { signal: abort.signal });
    });
    const made = await Promise.allSettled(builds);
    timer.cancel();
    const failed = made.find((result) => result.status === 'rejected');
    if (failed)
      log.info('a circuit to test our bandwidth failed', { error: (failed.reason as Error).message });
    return made.flatMap((result) => (result.status === 'fulfilled' && result.value ? [result.value] : []));
  }
}
