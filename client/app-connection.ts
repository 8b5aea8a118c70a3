/**
 * One connection of an application: its handshake, its request, and then bytes both ways between its socket and a
 * stream, each side held back by the other. Either direction may end first; what was sent before is delivered.
 *
 * @module
 */
import { EndReason } from '../shared/cell/commands.js';
import type { ResolvedAnswer } from '../shared/cell/relay-cells.js';
import type { Holder } from '../shared/limits/memory-ceiling.js';
import type { Log } from '../shared/log/types.js';
import type { Stream } from '../shared/onion/types.js';
import type { Clock, Conn, Timer } from '../shared/runtime/types.js';
import { StreamError } from './failure.js';
import type { ProxyRequest } from './proxy-request.js';
import { type ProxyManners, ProxyParser } from './socks.js';
import { connectedReply, failureReply, resolvedReply } from './socks-replies.js';
import type { StreamRequest } from './streams.js';

/** Bytes of a request's follow-up that are held until the stream is open. */
const MAX_EARLY = 64 * 1024;
/** Milliseconds an application that was told "no more" may keep its side open without sending or reading. */
const LINGER = 60_000;

/** What a connection needs of the port it came in on. */
export interface AppPort {
  readonly clock: Clock;
  readonly log: Log;
  readonly extendedErrors: boolean;
  readonly manners: ProxyManners;
  /** Milliseconds an application may take over its request. */
  readonly handshakeTimeout: number;
  /** Families of addresses it takes, the preferred one first. */
  readonly families: readonly (4 | 6)[];
  /** Checks and makes the request; a refusal that needs no network is thrown as StreamError. */
  open(request: ProxyRequest, conn: AppConnection): StreamRequest;
  /** It is gone. */
  closed(conn: AppConnection): void;
}

/** One application connection. */
export class AppConnection implements Holder {
  readonly conn: Conn;
  private readonly port: AppPort;
  private readonly parser: ProxyParser;
  private state: 'handshake' | 'waiting' | 'open' | 'closing' | 'closed' = 'handshake';
  private proxy: ProxyRequest | undefined;
  private request: StreamRequest | undefined;
  private stream: Stream | undefined;
  private early: Uint8Array[] = [];
  private earlyBytes = 0;
  private appEnded = false;
  /** What the proxy's language has to answer before anything else. */
  private greeting: Uint8Array | undefined;
  /** Monotonic milliseconds of the first write since the application had taken all. */
  private heldSince = 0;
  /** Nothing came from the application since the last look. */
  private quiet = false;
  private timer: Timer | undefined;

  constructor(conn: Conn, port: AppPort) {
    this.conn = conn;
    this.port = port;
    this.parser = new ProxyParser(port.manners);
    this.timer = port.clock.setTimer(port.handshakeTimeout, () => conn.destroy());
  }

  start(): void {
    this.conn.start({
      data: (chunk) => this.fromApp(chunk),
      end: () => this.appEnd(),
      drain: () => this.appDrained(),
      close: (error) => this.appClosed(error),
    });
  }

  // What the application has not taken

  get memory(): number {
    return this.conn.writableLength;
  }

  get waitingSince(): number | undefined {
    return this.conn.writableLength > 0 ? this.heldSince : undefined;
  }

  kill(): void {
    this.conn.destroy();
  }

  // From the application

  private fromApp(chunk: Buffer): void {
    switch (this.state) {
      case 'open':
        this.quiet = false;
        if (!this.stream!.lend(chunk)) this.conn.pause();
        return;
      case 'waiting':
        this.hold(chunk);
        return;
      case 'handshake':
        this.handshake(chunk);
        return;
      default:
      // Closing: nobody wants it any more.
    }
  }

  private handshake(chunk: Buffer): void {
    const { send, request, error } = this.parser.push(chunk);
    this.greeting = send;
    if (request) this.ask(request);
    // Behind BEGIN, where the application asked all at once: the network works on that meanwhile.
    this.greet();
    if (!error) return;
    this.port.log.info('refused a request of an application', {
      field: error.field,
      reason: error.message,
    });
    this.finish();
  }

  private ask(request: ProxyRequest): void {
    this.timer?.cancel();
    this.proxy = request;
    this.state = 'waiting';
    const rest = this.parser.rest();
    if (rest.length > 0) this.hold(rest);
    try {
      this.request = this.port.open(request, this);
    } catch (failure) {
      if (!(failure instanceof StreamError)) throw failure;
      this.failed(failure);
    }
  }

  private greet(): void {
    const { greeting } = this;
    this.greeting = undefined;
    if (greeting) this.conn.write(greeting);
  }

  /** To the application, behind the greeting. */
  private reply(bytes: Uint8Array): void {
    this.greet();
    this.conn.write(bytes);
  }

  private hold(bytes: Uint8Array): void {
    this.early.push(Uint8Array.from(bytes));
    this.earlyBytes += bytes.length;
    if (this.earlyBytes >= MAX_EARLY) this.conn.pause();
  }

  private appEnd(): void {
    this.appEnded = true;
    if (this.state === 'open') this.stream!.end(EndReason.DONE);
    // Without a word to send, an end before the answer means that the application gave up. After the answer it may
    // still be reading.
    else if (this.state === 'handshake' || (this.state === 'waiting' && this.earlyBytes === 0))
      this.conn.destroy();
  }

  private appDrained(): void {
    if (this.state === 'open') this.stream!.resume();
  }

  private appClosed(error: Error | undefined): void {
    if (this.state === 'closed') return;
    this.state = 'closed';
    this.timer?.cancel();
    this.request?.cancel();
    // The exit is not told what went wrong here (C tor: connection_edge_end sends MISC on client circuits).
    if (this.stream && !this.stream.closed) this.stream.abort(error ? EndReason.MISC : EndReason.DONE);
    this.port.closed(this);
  }

  // From the network

  /** The stream is open. */
  connected(stream: Stream): void {
    if (this.state !== 'waiting') {
      stream.abort(EndReason.MISC);
      return;
    }
    this.request = undefined;
    this.stream = stream;
    this.state = 'open';
    stream.handlers = {
      data: (bytes) => this.fromStream(bytes),
      drain: () => this.conn.resume(),
      end: (reason, local) => this.streamEnded(reason, local),
    };
    this.reply(connectedReply(this.proxy!));
    const early = this.early;
    this.early = [];
    let room = true;
    for (const bytes of early) room = stream.write(bytes);
    if (room) this.conn.resume();
    if (this.appEnded) stream.end(EndReason.DONE);
  }

  /** The name was looked up. */
  resolved(answers: readonly ResolvedAnswer[]): void {
    if (this.state !== 'waiting') return;
    const answer = pick(answers, this.proxy!, this.port.families);
    if (answer === undefined) {
      this.failed(new StreamError('host-unreachable', 'the name does not resolve'));
      return;
    }
    this.reply(resolvedReply(this.proxy!, answer));
    this.finish();
  }

  /** Nothing came of it. */
  failed(error: StreamError): void {
    if (this.state !== 'waiting') return;
    this.request = undefined;
    const { kind, message: reason, endReason } = error;
    this.port.log.info('a request failed', { kind, reason, ...(endReason !== undefined && { endReason }) });
    this.reply(failureReply(this.proxy!.protocol, error.kind, this.port.extendedErrors));
    this.finish();
  }

  private fromStream(bytes: Buffer): void {
    if (this.conn.writableLength === 0) this.heldSince = this.port.clock.monotonic();
    if (!this.conn.write(bytes)) this.stream!.pause();
  }

  private streamEnded(reason: number, local: boolean): void {
    if (this.state !== 'open') return;
    if (reason === EndReason.DONE && !local) {
      if (this.appEnded) this.finish();
      else {
        this.conn.end();
        this.linger();
      }
      return;
    }
    // Not an orderly end: what did arrive is delivered, then nothing works any more.
    this.finish();
  }

  /** The other side has said all: the application may go on for as long as it sends, or reads what is left for it. */
  private linger(): void {
    this.quiet = true;
    const left = this.conn.writableLength;
    this.timer = this.port.clock.setTimer(LINGER, () => {
      if (this.quiet && this.conn.writableLength >= left) this.conn.destroy();
      else this.linger();
    });
  }

  /** Closes after what is queued. */
  private finish(): void {
    this.state = 'closing';
    this.timer?.cancel();
    this.early = [];
    this.conn.end();
    // Bytes the application may still send are read and dropped, else its FIN would never be seen.
    this.conn.resume();
    this.closeWhenIdle(Number.POSITIVE_INFINITY);
  }

  /** An application that neither reads nor closes is not waited for. */
  private closeWhenIdle(before: number): void {
    this.timer = this.port.clock.setTimer(LINGER, () => {
      const left = this.conn.writableLength;
      if (left > 0 && left < before) this.closeWhenIdle(left);
      else this.conn.destroy();
    });
  }
}

/** The answer that fits the request: a name for RESOLVE_PTR, else an address. */
function pick(
  answers: readonly ResolvedAnswer[],
  request: ProxyRequest,
  families: readonly (4 | 6)[],
): string | undefined {
  if (request.command === 'resolve-ptr') {
    const name = answers.find((answer) => answer.type === 'name');
    return name?.name;
  }
  const addresses = answers.filter((answer) => answer.type === 'address').map((answer) => answer.address);
  return families
    .map((family) => addresses.find((address) => address.includes(':') === (family === 6)))
    .find((address) => address !== undefined);
}
