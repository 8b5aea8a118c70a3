/**
 * The thread that owns the sockets of links: TCP, TLS and the system calls. What is plain text goes to the main thread
 * and comes from there (`transport.ts`). Runs as a worker; knows nothing of cells.
 *
 * @module
 */
import { parentPort, workerData } from 'node:worker_threads';
import { dialTls, listenGated, type TlsSocketConn } from '../real.js';
import { tuneProcess } from '../tune.js';
import type { ConnHandlers, Listener, NetAddress, TlsIdentity } from '../types.js';
import { answerExport } from './export-slot.js';
import {
  type Admitted,
  type Asked,
  type Dialled,
  decode,
  decodeNumber,
  encode,
  encodeNumber,
  Frame,
  failureOf,
  NOTHING,
  type Opened,
} from './frames.js';
import { Wire, type WireMemory } from './wire.js';

/** What a thread is started with. */
export interface ThreadData extends WireMemory {
  readonly slot: SharedArrayBuffer;
}

/** Bytes of one connection on their way to the main thread, or not taken there; more are not read. */
const READ_WINDOW = 256 * 1024;
/** Bytes handed to the system that the main thread is not woken for. */
const QUIETLY_SENT = 64 * 1024;
/** Who may wait to be admitted at a time. */
const MAX_ASKING = 2048;
/** Milliseconds that what was written gets when the thread is stopped. */
const LINGER = 1000;

/** A connection, and what the main thread does not know of it yet. */
class Link implements ConnHandlers {
  private readonly id: number;
  private readonly conn: TlsSocketConn;
  private readonly host: LinkThread;
  /** Reading stopped, for whatever reason; and because the main thread wants it so. */
  private paused = false;
  private unwanted = false;
  private untaken = 0;
  private written = 0;
  private sent = 0;
  private toldLoudly = 0;

  constructor(id: number, conn: TlsSocketConn, host: LinkThread) {
    this.id = id;
    this.conn = conn;
    this.host = host;
  }

  start(): void {
    this.conn.start(this);
  }

  data(chunk: Buffer): void {
    const { host, id } = this;
    this.untaken += chunk.length;
    host.wire.send(Frame.DATA, id, chunk);
    if (this.untaken >= READ_WINDOW || host.wire.congested) {
      this.stopReading();
      if (host.wire.congested) host.hold(this);
    }
  }

  private stopReading(): void {
    this.conn.pause();
    this.paused = true;
  }

  want(wanted: boolean): void {
    this.unwanted = !wanted;
    if (wanted) this.readOn();
    else this.stopReading();
  }

  /** Reads on if nothing is in the way. */
  readOn(): void {
    if (!this.paused || this.unwanted || this.untaken >= READ_WINDOW) return;
    if (this.host.wire.congested) {
      this.host.hold(this);
      return;
    }
    this.paused = false;
    this.conn.resume();
  }

  taken(bytes: number): void {
    this.untaken -= bytes;
    this.readOn();
  }

  write(bytes: Buffer): void {
    const { conn } = this;
    this.written += bytes.length;
    conn.writeThen(conn.usesUp ? bytes : Buffer.from(bytes), this.handedOn);
  }

  private readonly handedOn = (): void => {
    const { conn, host, id } = this;
    const sent = this.written - conn.writableLength;
    const news = sent - this.sent;
    if (news <= 0) return;
    this.sent = sent;
    const quiet = sent - this.toldLoudly < QUIETLY_SENT;
    if (!quiet) this.toldLoudly = sent;
    host.wire.send(Frame.SENT, id, encodeNumber(news), quiet);
  };

  end(): void {
    this.host.wire.send(Frame.END, this.id, NOTHING);
  }

  /** The main thread is told by `SENT`. */
  drain(): void {}

  close(error?: Error): void {
    this.host.closed(this.id);
    this.host.wire.send(Frame.CLOSED, this.id, error ? encode(failureOf(error)) : NOTHING);
  }

  /** Whether not all is with the system that was written. */
  get waiting(): boolean {
    return this.conn.writableLength > 0;
  }

  finish(): void {
    this.conn.end();
  }

  destroy(): void {
    this.conn.destroy();
  }

  export(length: number, label: string, context: Uint8Array): Uint8Array | undefined {
    return this.conn.gone ? undefined : this.conn.exportKeyingMaterial(length, label, context);
  }
}

type Answer = (identity: TlsIdentity | undefined) => void;

class LinkThread {
  readonly wire: Wire;
  private readonly slot: SharedArrayBuffer;
  private readonly links = new Map<number, Link>();
  private readonly listeners = new Map<number, Listener>();
  /** Who connected, and is not admitted yet. */
  private readonly asking = new Map<number, Answer>();
  private readonly holding = new Set<Link>();
  private identity: { version: number; identity: TlsIdentity } | undefined;
  /** The main thread's numbers are odd. */
  private lastId = 0;

  constructor({ toThread, toMain, slot }: ThreadData, bell: () => void) {
    this.slot = slot;
    this.wire = new Wire({
      incoming: toThread,
      outgoing: toMain,
      bell,
      sink: (kind, id, body) => this.take(kind, id, body),
      relieved: () => this.relieved(),
    });
  }

  readonly pump = (): void => {
    answerExport(this.slot, ({ id, length, label, context }) =>
      this.links.get(id)?.export(length, label, context),
    );
    this.wire.pump();
  };

  hold(link: Link): void {
    this.holding.add(link);
  }

  private relieved(): void {
    const held = [...this.holding];
    this.holding.clear();
    for (const link of held) link.readOn();
  }

  closed(id: number): void {
    const link = this.links.get(id);
    if (link) this.holding.delete(link);
    this.links.delete(id);
  }

  private take(kind: number, id: number, body: Buffer): void {
    switch (kind) {
      case Frame.DATA:
        this.links.get(id)?.write(body);
        return;
      case Frame.TAKEN:
        this.links.get(id)?.taken(decodeNumber(body));
        return;
      case Frame.START:
        this.links.get(id)?.start();
        return;
      case Frame.PAUSE:
        this.links.get(id)?.want(false);
        return;
      case Frame.RESUME:
        this.links.get(id)?.want(true);
        return;
      case Frame.END:
        this.links.get(id)?.finish();
        return;
      case Frame.DESTROY:
        this.links.get(id)?.destroy();
        return;
      case Frame.ADMIT:
        this.admit(id, decode(body));
        return;
      case Frame.REJECT:
        this.answer(id, undefined);
        return;
      case Frame.DIAL:
        void this.dial(id, decode(body));
        return;
      case Frame.LISTEN:
        void this.listen(id, decode(body));
        return;
      case Frame.UNLISTEN:
        void this.listeners.get(id)?.close();
        this.listeners.delete(id);
        return;
      case Frame.STOP:
        this.stop();
    }
  }

  private admit(id: number, { version, identity }: Admitted): void {
    if (identity) this.identity = { version, identity };
    if (this.identity?.version !== version) throw new Error(`identity ${version} was never sent`);
    this.answer(id, this.identity.identity);
  }

  private answer(id: number, identity: TlsIdentity | undefined): void {
    const answer = this.asking.get(id);
    this.asking.delete(id);
    answer?.(identity);
  }

  private nextId(): number {
    do this.lastId = (this.lastId + 2) & 0x7fff_fffe;
    while (this.lastId === 0 || this.links.has(this.lastId) || this.asking.has(this.lastId));
    return this.lastId;
  }

  private async listen(listener: number, at: NetAddress): Promise<void> {
    try {
      const gate = (host: string, answer: Answer) => {
        if (this.asking.size >= MAX_ASKING) {
          answer(undefined);
          return;
        }
        const id = this.nextId();
        this.asking.set(id, answer);
        this.wire.send(Frame.ASK, id, encode<Asked>({ listener, host }));
      };
      const opened = await listenGated(at, gate, (conn) => this.opened(this.nextId(), conn, listener), true);
      this.listeners.set(listener, opened);
      this.wire.send(Frame.LISTENING, listener, encode(opened.local));
    } catch (error) {
      this.wire.send(Frame.REFUSED, listener, encode(failureOf(error as Error)));
    }
  }

  private async dial(id: number, { to, options }: Dialled): Promise<void> {
    try {
      this.opened(id, await dialTls(to, options), undefined);
    } catch (error) {
      this.wire.send(Frame.FAILED, id, encode(failureOf(error as Error)));
    }
  }

  private opened(id: number, conn: TlsSocketConn, listener: number | undefined): void {
    this.links.set(id, new Link(id, conn, this));
    const { remote, local, peerCertificate, ownCertificate } = conn;
    const told: Opened = { listener, remote, local, peerCertificate, ownCertificate };
    this.wire.send(Frame.OPENED, id, encode(told));
  }

  private stop(): void {
    for (const listener of this.listeners.values()) void listener.close();
    for (const link of this.links.values()) link.finish();
    const deadline = performance.now() + LINGER;
    const look = () => {
      const waiting = [...this.links.values()].some((link) => link.waiting);
      if (!waiting || performance.now() > deadline) process.exit(0);
      setTimeout(look, 10);
    };
    setImmediate(look);
  }
}

if (parentPort) {
  tuneProcess();
  const port = parentPort;
  const thread = new LinkThread(workerData as ThreadData, () => port.postMessage(null));
  port.on('message', thread.pump);
  // What was sent before this thread was up.
  thread.pump();
}
