/**
 * A circuit's end on a channel: its output queue and its marks.
 *
 * @module
 */
import type { CellBatch } from '../cell/batch.js';
import { Command } from '../cell/commands.js';
import type { Clock } from '../runtime/types.js';
import { CellQueue } from './cell-queue.js';
import type { Turn } from './ewma.js';
import type { LinkStats } from './stats.js';
import type { Channel, Leg, LegHandler } from './types.js';

/** Cells in a queue above which the leg is `full`, and at or below which it is `writable` again (C tor: circuitlist). */
export const HIGH_MARK = 256;
export const LOW_MARK = 64;

/** What a leg needs of its channel. */
export interface LegHost extends Channel {
  readonly clock: Clock;
  readonly stats: LinkStats;
  carriesCircuits: boolean;
  /** The leg has cells to send. */
  filled(leg: CircuitLeg, cells: number): void;
  /** Forgets the leg, and tells the peer when there is a reason to tell. */
  release(leg: CircuitLeg, reason: number | undefined): void;
}

export class CircuitLeg implements Leg, Turn {
  readonly channel: LegHost;
  readonly circuitId: number;
  handler: LegHandler;
  readonly queue: CellQueue;
  full = false;
  dead = false;
  sent = 0;
  place = -1;
  /** Cells the queue may hold. */
  private readonly maxQueue: number;

  constructor(channel: LegHost, circuitId: number, handler: LegHandler, maxQueue: number) {
    this.maxQueue = maxQueue;
    this.channel = channel;
    this.circuitId = circuitId;
    this.handler = handler;
    this.queue = new CellQueue(channel.stats);
  }

  get queued(): number {
    return this.queue.length;
  }

  get since(): number | undefined {
    return this.queue.since;
  }

  send(batch: CellBatch, from = 0, to = batch.n): boolean {
    if (this.dead) return false;
    const { channel, queue } = this;
    const cells = to - from;
    if (queue.length + cells > this.maxQueue) {
      channel.stats.queueOverflows++;
      return false;
    }
    const { cellsOut } = channel.stats;
    const { buf, at } = batch;
    for (let i = from; i < to; i++) cellsOut[buf[at[i]! - 1]!]!++;
    queue.pushCells(this.circuitId, batch, from, to, channel.clock.monotonic());
    this.queuedMore(cells);
    return true;
  }

  control(command: number, body: Uint8Array): void {
    if (this.dead) return;
    this.queue.push(this.circuitId, command, body, this.channel.clock.monotonic());
    this.channel.stats.cellsOut[command]!++;
    if (command === Command.CREATE2) this.channel.carriesCircuits = true;
    this.queuedMore(1);
  }

  private queuedMore(cells: number): void {
    if (this.queue.length > HIGH_MARK) this.full = true;
    this.channel.filled(this, cells);
  }

  destroy(reason: number): void {
    if (!this.dead) this.channel.release(this, reason);
  }
}
