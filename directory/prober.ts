/**
 * Runs the reachability tests: each relay in its slot, new ones at once (dir-spec 3.4.2; C tor
 * `dirserv_test_reachability`).
 *
 * @module
 */
import type { ChannelManager, ChannelTarget } from '../shared/link/types.js';
import type { Log } from '../shared/log/types.js';
import type { RelayId, ServerDescriptor } from '../shared/netdoc/types.js';
import type { Clock, Timer } from '../shared/runtime/types.js';
import { dueInSlot, dueInTesting, SLOT_INTERVAL } from './reachability.js';
import type { Roster } from './roster.js';

/** Tests under way at most; the rest wait their turn. */
const MAX_AT_ONCE = 64;
/** In a testing network a test that failed is repeated after so many milliseconds, so many times. */
const TESTING_RETRY = 1_000;
const TESTING_TRIES = 5;
/** A test that has no outcome after so long has failed; the relay is free to be tested again. */
const TEST_TIMEOUT = 60_000;

/** What testing needs. */
export interface ProberConfig {
  readonly clock: Clock;
  readonly log: Log;
  readonly roster: Roster;
  /** This authority's own relay, which is not tested. */
  readonly own: RelayId;
  /** `TestingTorNetwork`. */
  readonly testingNetwork: boolean;
  channels(): Pick<ChannelManager, 'probe'>;
  /** Milliseconds of downtime that having moved counts as. */
  movePenalty(): number;
  /** A relay was reached. */
  reached(): void;
}

interface Test {
  readonly descriptor: ServerDescriptor;
  readonly tries: number;
}

/** The tests. */
export class Prober {
  private readonly config: ProberConfig;
  private readonly waiting = new Map<RelayId, Test>();
  private readonly running = new Set<RelayId>();
  private timer: Timer | undefined;
  private started = false;
  private stopped = false;

  constructor(config: ProberConfig) {
    this.config = config;
  }

  /** Begins with what came before, and the slot of this moment. */
  start(): void {
    this.started = true;
    this.runSlot();
    this.startWaiting();
  }

  stop(): void {
    this.stopped = true;
    this.timer?.cancel();
    this.waiting.clear();
  }

  /** Tests a relay as soon as there is room. */
  testNow(descriptor: ServerDescriptor, tries = this.config.testingNetwork ? TESTING_TRIES : 1): void {
    if (this.stopped || descriptor.id === this.config.own) return;
    this.waiting.set(descriptor.id, { descriptor, tries });
    this.startWaiting();
  }

  private runSlot(): void {
    const { clock, roster, testingNetwork } = this.config;
    const now = clock.now();
    const descriptors = new Map([...roster.descriptors(now)].map((each) => [each.id, each]));
    const due = new Set(dueInSlot(descriptors.keys(), Math.floor(now / SLOT_INTERVAL)));
    for (const [id, descriptor] of descriptors) {
      const again = testingNetwork && dueInTesting(roster.lastReachableOf(id), now);
      if (due.has(id) || again) this.testNow(descriptor, 1);
    }
    this.timer = clock.setTimer(SLOT_INTERVAL, () => this.runSlot());
  }

  private startWaiting(): void {
    // Uploads come as soon as the ports are open, before there is anything to test with.
    if (!this.started) return;
    for (const [id, test] of this.waiting) {
      if (this.running.size >= MAX_AT_ONCE) return;
      if (this.running.has(id)) continue;
      this.waiting.delete(id);
      this.running.add(id);
      void this.run(test).finally(() => {
        this.running.delete(id);
        if (!this.stopped) this.startWaiting();
      });
    }
  }

  private inTime(target: ChannelTarget): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = this.config.clock.setTimer(TEST_TIMEOUT, () =>
        reject(new Error(`no outcome within ${TEST_TIMEOUT / 1000} s`)),
      );
      const done = this.config.channels().probe(target);
      done.then(resolve, reject).finally(() => timer.cancel());
    });
  }

  private async run({ descriptor, tries }: Test): Promise<void> {
    const { clock, log, roster } = this.config;
    const { nickname, id, rsaId, ed25519Id, address, orPort, protocols } = descriptor;
    try {
      await this.inTime({
        addresses: [{ host: address, port: orPort }],
        rsaId,
        // Only those that say they prove it in the handshake are held to it.
        ...(protocols.has('LinkAuth', 3) && { ed25519Id }),
      });
      if (this.stopped) return;
      roster.reachedNow(descriptor, clock.now(), this.config.movePenalty());
      log.info('Relay is reachable', { nickname, fingerprint: id });
      this.config.reached();
    } catch (error) {
      log.info(`Relay is not reachable: ${(error as Error).message}`, { nickname, fingerprint: id });
      if (tries > 1 && !this.stopped)
        clock.setTimer(TESTING_RETRY, () => this.testNow(descriptor, tries - 1));
    }
  }
}
