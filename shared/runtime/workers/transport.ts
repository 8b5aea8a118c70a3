/**
 * Links whose sockets another thread owns: a Transport like `realTransport`, but TLS and its system calls run in
 * `thread.ts`, and only plain text is handled here. What is not TLS stays in this thread.
 *
 * ```
 * main: channels, circuits  <-- rings of frames -->  thread: TLS, sockets
 * ```
 *
 * One such thread, since it costs less than what is left for this one: a second has nothing to take over.
 *
 * @module
 */
import { Worker } from 'node:worker_threads';
import { takeArena } from '../../bytes/arena.js';
import { realTransport } from '../real.js';
import type {
  ConnHandlers,
  DialOptions,
  Listener,
  NetAddress,
  TlsConn,
  TlsIdentity,
  Transport,
} from '../types.js';
import { askForExport, exportSlot } from './export-slot.js';
import {
  type Admitted,
  type Asked,
  type Dialled,
  decode,
  decodeNumber,
  encode,
  encodeNumber,
  errorOf,
  type Failure,
  Frame,
  NOTHING,
  type Opened,
} from './frames.js';
import { copyInto, ringMemory } from './ring.js';
import type { ThreadData } from './thread.js';
import { Wire } from './wire.js';

/** Bytes of a ring. */
const RING_BYTES = 1 << 20;
/** Bytes a connection may have on their way to the system before `write` says no, and when it has room again. */
const WRITE_HIGH_WATER = 256 * 1024;
const WRITE_LOW_WATER = 128 * 1024;
/** Bytes taken of one connection before its thread is told: a part of what it waits for. */
const TELL_TAKEN = 64 * 1024;

/** Where the thread's program is, seen from here. */
const SCRIPT = new URL('./thread.js', import.meta.url);

/** What connections are lent: memory of one thread alone is cheaper to work on, in place and several times over. */
const lent = takeArena(RING_BYTES / 8);

function lentCopy(body: Buffer): Buffer {
  copyInto(lent, 0, body);
  return lent.subarray(0, body.length);
}

class ThreadConn implements TlsConn {
  readonly remote: NetAddress;
  readonly local: NetAddress;
  readonly peerCertificate: Uint8Array | undefined;
  readonly ownCertificate: Uint8Array | undefined;
  /** Written bytes are copied. */
  readonly usesUp = true;
  writableLength = 0;
  private readonly id: number;
  private readonly thread: Thread;
  private handlers: ConnHandlers | undefined;
  private state: 'open' | 'destroyed' | 'closed' = 'open';
  private failure: Error | undefined;
  private full = false;
  private ending = false;
  private paused = false;
  /** What came while paused; its `undefined` is the end. What was on its way: the thread stops, too. */
  private readonly early: (Buffer | undefined)[] = [];
  private scheduled = false;
  private untold = 0;

  constructor(id: number, thread: Thread, { remote, local, peerCertificate, ownCertificate }: Opened) {
    this.id = id;
    this.thread = thread;
    this.remote = remote;
    this.local = local;
    this.peerCertificate = peerCertificate;
    this.ownCertificate = ownCertificate;
  }

  start(handlers: ConnHandlers): void {
    const first = this.handlers === undefined;
    this.handlers = handlers;
    if (this.state === 'closed') process.nextTick(() => handlers.close(this.failure));
    else if (first) this.thread.send(Frame.START, this.id, NOTHING);
  }

  // From the thread.

  data(chunk: Buffer): void {
    if (this.state !== 'open') return;
    if (this.paused || this.early.length > 0) this.early.push(Buffer.from(chunk));
    else this.deliver(chunk);
  }

  private deliver(chunk: Buffer): void {
    this.untold += chunk.length;
    this.handlers?.data(chunk);
    if (this.untold < TELL_TAKEN || this.state !== 'open') return;
    this.thread.send(Frame.TAKEN, this.id, encodeNumber(this.untold));
    this.untold = 0;
  }

  ended(): void {
    if (this.state !== 'open') return;
    if (this.paused || this.early.length > 0) this.early.push(undefined);
    else this.handlers?.end();
  }

  sent(bytes: number): void {
    this.writableLength -= bytes;
    if (!this.full || this.writableLength > WRITE_LOW_WATER || this.state !== 'open') return;
    this.full = false;
    this.handlers?.drain();
  }

  closed(error: Error | undefined): void {
    if (this.state === 'closed') return;
    this.state = 'closed';
    this.failure ??= error;
    this.writableLength = 0;
    this.early.length = 0;
    this.handlers?.close(this.failure);
  }

  // From the owner.

  write(bytes: Uint8Array): boolean {
    if (this.state !== 'open' || this.ending) return false;
    const { thread, id } = this;
    for (let at = 0; at < bytes.length; at += thread.maxBody)
      thread.send(Frame.DATA, id, bytes.subarray(at, at + thread.maxBody));
    this.writableLength += bytes.length;
    if (this.writableLength < WRITE_HIGH_WATER) return true;
    this.full = true;
    return false;
  }

  end(): void {
    if (this.state !== 'open' || this.ending) return;
    this.ending = true;
    this.thread.send(Frame.END, this.id, NOTHING);
  }

  destroy(error?: Error): void {
    if (this.state !== 'open') return;
    this.state = 'destroyed';
    this.failure = error;
    this.early.length = 0;
    // A connection that was never started tells its thread nothing by itself.
    if (!this.handlers) this.thread.send(Frame.START, this.id, NOTHING);
    this.thread.send(Frame.DESTROY, this.id, NOTHING);
  }

  pause(): void {
    if (!this.paused && this.state === 'open') this.thread.send(Frame.PAUSE, this.id, NOTHING);
    this.paused = true;
  }

  resume(): void {
    if (this.paused && this.state === 'open') this.thread.send(Frame.RESUME, this.id, NOTHING);
    this.paused = false;
    if (this.early.length === 0 || this.scheduled) return;
    this.scheduled = true;
    setImmediate(() => {
      this.scheduled = false;
      this.deliverEarly();
    });
  }

  private deliverEarly(): void {
    while (this.early.length > 0 && !this.paused && this.state === 'open') {
      const chunk = this.early.shift();
      if (chunk) this.deliver(chunk);
      else this.handlers?.end();
    }
  }

  exportKeyingMaterial(length: number, label: string, context: Uint8Array): Uint8Array {
    return this.thread.export(this.id, length, label, context);
  }
}

interface ListenerEntry {
  readonly identity: () => TlsIdentity;
  readonly accept: (conn: TlsConn) => void;
  readonly admit: (host: string) => boolean;
}

interface Waiting<T> {
  resolve(value: T): void;
  reject(error: Error): void;
}

/** A thread, seen from the main one. */
class Thread {
  private readonly worker: Worker;
  private readonly wire: Wire;
  private readonly slot = exportSlot();
  private readonly conns = new Map<number, ThreadConn>();
  private readonly dials = new Map<number, Waiting<TlsConn>>();
  private readonly listeners = new Map<number, ListenerEntry>();
  private readonly opening = new Map<number, Waiting<NetAddress>>();
  private readonly failed: (error: Error) => void;
  private readonly gone: Promise<void>;
  private identity: TlsIdentity | undefined;
  private version = 0;
  /** The thread's numbers are even. */
  private lastId = -1;
  private stopping = false;
  private dead: Error | undefined;

  constructor(script: URL, failed: (error: Error) => void) {
    this.failed = failed;
    const [toThread, toMain] = [ringMemory(RING_BYTES), ringMemory(RING_BYTES)];
    const workerData: ThreadData = { toThread, toMain, slot: this.slot };
    // Flags of this process may make no sense for a thread (`--input-type`); those of V8 hold for it as they are.
    this.worker = new Worker(script, { name: 'links', workerData, execArgv: [] });
    this.wire = new Wire({
      incoming: toMain,
      outgoing: toThread,
      bell: this.ring,
      sink: (kind, id, body) => this.take(kind, id, body),
    });
    this.worker.on('message', this.wire.pump);
    this.worker.on('error', (error) => this.fail(error));
    this.gone = new Promise((resolve) => {
      this.worker.on('exit', (code) => {
        if (!this.stopping) this.fail(new Error(`it ended with code ${code}`));
        resolve();
      });
    });
  }

  private readonly ring = () => this.worker.postMessage(null);

  get maxBody(): number {
    return this.wire.maxBody;
  }

  send(kind: number, id: number, body: Uint8Array): void {
    if (!this.dead) this.wire.send(kind, id, body);
  }

  private nextId(taken: Map<number, unknown>): number {
    do this.lastId = (this.lastId + 2) & 0x7fff_ffff;
    while (taken.has(this.lastId));
    return this.lastId;
  }

  dial(to: NetAddress, options: DialOptions | undefined): Promise<TlsConn> {
    return new Promise((resolve, reject) => {
      if (this.dead) {
        reject(this.dead);
        return;
      }
      const id = this.nextId(this.conns);
      this.dials.set(id, { resolve, reject });
      this.send(Frame.DIAL, id, encode<Dialled>({ to, options }));
    });
  }

  async listen(at: NetAddress, entry: ListenerEntry): Promise<Listener> {
    if (this.dead) throw this.dead;
    const id = this.nextId(this.listeners);
    this.listeners.set(id, entry);
    try {
      const local = await new Promise<NetAddress>((resolve, reject) => {
        this.opening.set(id, { resolve, reject });
        this.send(Frame.LISTEN, id, encode(at));
      });
      return { local, close: async () => this.unlisten(id) };
    } catch (error) {
      this.listeners.delete(id);
      throw error;
    }
  }

  private unlisten(id: number): void {
    this.listeners.delete(id);
    this.send(Frame.UNLISTEN, id, NOTHING);
  }

  export(id: number, length: number, label: string, context: Uint8Array): Uint8Array {
    if (this.dead) throw this.dead;
    return askForExport(this.slot, { id, length, label, context }, this.ring);
  }

  private take(kind: number, id: number, body: Buffer): void {
    switch (kind) {
      case Frame.DATA:
        this.conns.get(id)?.data(lentCopy(body));
        return;
      case Frame.SENT:
        this.conns.get(id)?.sent(decodeNumber(body));
        return;
      case Frame.END:
        this.conns.get(id)?.ended();
        return;
      case Frame.CLOSED:
        this.closed(id, body.length > 0 ? errorOf(decode<Failure>(body)) : undefined);
        return;
      case Frame.ASK:
        this.asked(id, decode(body));
        return;
      case Frame.OPENED:
        this.opened(id, decode(body));
        return;
      case Frame.FAILED:
        this.settle(this.dials, id)?.reject(errorOf(decode(body)));
        return;
      case Frame.LISTENING:
        this.settle(this.opening, id)?.resolve(decode(body));
        return;
      case Frame.REFUSED:
        this.settle(this.opening, id)?.reject(errorOf(decode(body)));
    }
  }

  private settle<T>(waiting: Map<number, Waiting<T>>, id: number): Waiting<T> | undefined {
    const found = waiting.get(id);
    waiting.delete(id);
    return found;
  }

  private closed(id: number, error: Error | undefined): void {
    const conn = this.conns.get(id);
    this.conns.delete(id);
    conn?.closed(error);
  }

  private asked(id: number, { listener, host }: Asked): void {
    const entry = this.listeners.get(listener);
    if (!entry?.admit(host)) {
      this.send(Frame.REJECT, id, NOTHING);
      return;
    }
    const identity = entry.identity();
    const known = identity === this.identity;
    if (!known) {
      this.identity = identity;
      this.version++;
    }
    const told: Admitted = { version: this.version, identity: known ? undefined : identity };
    this.send(Frame.ADMIT, id, encode(told));
  }

  private opened(id: number, opened: Opened): void {
    const conn = new ThreadConn(id, this, opened);
    this.conns.set(id, conn);
    const { listener } = opened;
    if (listener === undefined) {
      this.settle(this.dials, id)?.resolve(conn);
      return;
    }
    const entry = this.listeners.get(listener);
    if (entry) entry.accept(conn);
    else conn.destroy();
  }

  /** Everything of the thread is over. */
  private fail(cause: Error): void {
    if (this.dead) return;
    const error = Object.assign(new Error(`the link thread failed: ${cause.message}`, { cause }), {
      code: 'ECONNRESET',
    });
    this.dead = error;
    for (const waiting of [...this.dials.values(), ...this.opening.values()]) waiting.reject(error);
    for (const id of [...this.conns.keys()]) this.closed(id, error);
    if (!this.stopping) this.failed(error);
  }

  /** Lets connections end, then the thread. */
  async stop(): Promise<void> {
    this.stopping = true;
    this.send(Frame.STOP, 0, NOTHING);
    await this.gone;
    this.fail(new Error('it was stopped'));
  }
}

/** A transport to be closed. */
export interface ThreadedTransport extends Transport {
  /** Sends what was written, ends what connections there are, and the thread. */
  close(): Promise<void>;
}

/** What the thread needs. */
export interface ThreadOptions {
  /** It came to an unexpected end, and all links with it: a mistake in Cepa. */
  readonly failed: (error: Error) => void;
  /** The thread's program, where it is not beside this module. */
  readonly script?: URL;
}

/** A transport whose links belong to a thread of their own. */
export function threadedTransport({ failed, script = SCRIPT }: ThreadOptions): ThreadedTransport {
  const thread = new Thread(script, failed);
  return {
    ...realTransport(),
    dialTls: (to, options) => thread.dial(to, options),
    listenTls: (at, identity, accept, admit = () => true) => thread.listen(at, { identity, accept, admit }),
    close: () => thread.stop(),
  };
}
