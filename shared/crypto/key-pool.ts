/**
 * Ephemeral X25519 key pairs made ahead. Half of what a handshake costs a relay is the making of its key, which depends
 * on nothing the peer says; made while the process has nothing else to do, it delays no answer, and a burst of handshakes
 * costs half as much while the pool lasts. Each pair is handed out once.
 *
 * @module
 */
import type { Clock, Random } from '../runtime/types.js';
import { generateX25519, type X25519KeyPair } from './x25519.js';

/** Pairs kept: what a client's hundred circuits at once take, in some 300 KB. */
const SIZE = 300;
/**
 * Milliseconds without a handshake after which it is filled, and the pairs at which that cannot wait. After each pair
 * that is taken it would wake the process in the middle of the next handshakes, and cost twice as much as some in a row.
 */
const QUIET = 50;
const LOW = 100;
/** Pairs made in a row, and milliseconds between: some hundredths of the processor’s time until the pool is full. */
const STEP = 4;
const PAUSE = 12;

const pools = new WeakMap<Random, KeyPool>();

/** Keeps pairs ahead for whoever makes them with one source of randomness. */
class KeyPool {
  private readonly pairs: X25519KeyPair[] = [];
  private readonly clock: Clock;
  private readonly random: Random;
  private waking = false;
  private lastTaken = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock, random: Random) {
    this.clock = clock;
    this.random = random;
  }

  take(): X25519KeyPair | undefined {
    this.lastTaken = this.clock.monotonic();
    this.wakeIn(QUIET);
    return this.pairs.pop();
  }

  /** Looks after `delay` milliseconds whether it is time to make pairs, and so on until it is full. */
  wakeIn(delay: number): void {
    if (this.waking) return;
    this.waking = true;
    this.clock.setTimer(delay, () => {
      this.waking = false;
      if (this.pairs.length >= SIZE) return;
      const busy = this.clock.monotonic() - this.lastTaken < QUIET;
      if (busy && this.pairs.length >= LOW) this.wakeIn(QUIET);
      else this.make();
    });
  }

  private make(): void {
    for (let i = 0; i < STEP; i++) this.pairs.push(generateX25519(this.random));
    this.wakeIn(PAUSE);
  }
}

/**
 * Keeps key pairs ahead for handshakes from now on; the first is made after `delay` milliseconds. For programs, not for
 * libraries: it goes on as long as the process.
 */
export function keepX25519Ahead(clock: Clock, random: Random, delay = PAUSE): void {
  if (pools.has(random)) return;
  const pool = new KeyPool(clock, random);
  pools.set(random, pool);
  pool.wakeIn(delay);
}

/** A key pair for one handshake. */
export const ephemeralX25519 = (random: Random): X25519KeyPair =>
  pools.get(random)?.take() ?? generateX25519(random);
