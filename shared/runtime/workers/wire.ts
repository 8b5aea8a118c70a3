/**
 * Two threads' way to each other: a ring each way, and a bell for when the other sleeps.
 *
 * @module
 */
import { type FrameSink, Ring } from './ring.js';

/** Shared memory of both directions. */
export interface WireMemory {
  readonly toThread: SharedArrayBuffer;
  readonly toMain: SharedArrayBuffer;
}

interface Waiting {
  readonly kind: number;
  readonly id: number;
  readonly body: Uint8Array;
}

/** What an end of a wire needs. */
export interface WireParts {
  readonly incoming: SharedArrayBuffer;
  readonly outgoing: SharedArrayBuffer;
  /** Makes the other end call `pump` soon. */
  readonly bell: () => void;
  readonly sink: FrameSink;
  /** What had to wait for room has gone. */
  readonly relieved?: () => void;
}

/**
 * One end. Sending never fails and never blocks: what finds no room waits in this thread's memory, and whoever feeds
 * the wire holds back while it is `congested`.
 */
export class Wire {
  private readonly parts: WireParts;
  private readonly incoming: Ring;
  private readonly outgoing: Ring;
  private waiting: Waiting[] = [];
  private again = false;

  constructor(parts: WireParts) {
    this.parts = parts;
    this.incoming = new Ring(parts.incoming);
    this.outgoing = new Ring(parts.outgoing);
  }

  get congested(): boolean {
    return this.waiting.length > 0;
  }

  /** Bytes of a frame at most. */
  get maxBody(): number {
    return this.outgoing.maxBody;
  }

  /** Sends a frame; `body` is used up when it returns. A quiet one does not wake the other end. */
  send(kind: number, id: number, body: Uint8Array, quiet = false): void {
    if (this.waiting.length > 0 || !this.push(kind, id, body))
      this.waiting.push({ kind, id, body: new Uint8Array(body) });
    if (!quiet && this.outgoing.claimSleeper()) this.parts.bell();
  }

  private push(kind: number, id: number, body: Uint8Array): boolean {
    if (this.outgoing.push(kind, id, body)) return true;
    this.outgoing.starve();
    // It may have made room just before it could see that we wait.
    return this.outgoing.push(kind, id, body);
  }

  /** Sends what waits, takes what has come. To be called when the bell rings. */
  readonly pump = (): void => {
    if (this.waiting.length > 0) this.sendWaiting();
    const { incoming } = this;
    const any = incoming.drain(this.parts.sink);
    if (incoming.claimStarved()) this.parts.bell();
    // Where something came more may follow: a look at the end of the turn is cheaper than being woken.
    if (any || !incoming.sleep()) this.pumpAgain();
  };

  private pumpAgain(): void {
    if (this.again) return;
    this.again = true;
    setImmediate(this.pumpNow);
  }

  private readonly pumpNow = (): void => {
    this.again = false;
    this.pump();
  };

  private sendWaiting(): void {
    let sent = 0;
    for (const { kind, id, body } of this.waiting) {
      if (!this.push(kind, id, body)) break;
      sent++;
    }
    if (sent > 0) this.waiting.splice(0, sent);
    if (this.outgoing.claimSleeper()) this.parts.bell();
    if (this.waiting.length === 0) this.parts.relieved?.();
  }
}
