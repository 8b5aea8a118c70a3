/**
 * Streams that a client opens on its circuit to a service: each goes to the local port the service's owner named.
 *
 * @module
 */
import { DecodeError } from '../../shared/bytes/errors.js';
import { EndReason, RelayCommand } from '../../shared/cell/commands.js';
import { BEGIN } from '../../shared/cell/relay-cells.js';
import type { Log } from '../../shared/log/types.js';
import { endReasonOf, JoinedStream } from '../../shared/onion/joined-stream.js';
import type { Backlog, IncomingStream } from '../../shared/onion/types.js';
import { locate } from '../../shared/runtime/locate.js';
import type { Clock, Conn, Random, Resolver, Transport } from '../../shared/runtime/types.js';
import type { HiddenServicePortOption } from '../../shared/torrc/options.js';
import type { AppTraffic } from './app-traffic.js';

/** Milliseconds a local server may take to accept a connection. */
const DIAL_TIMEOUT = 30_000;
/** Milliseconds between the END that refuses a stream and the end of its circuit. */
const CLOSE_DELAY = 1000;
const NOTHING = new Uint8Array(0);

/** What a service does with streams. */
export interface StreamRules {
  readonly ports: readonly HiddenServicePortOption[];
  /** Streams at once on one circuit; 0 is no limit. */
  readonly maxStreams: number;
  /** Whether a circuit that asks for more is closed. */
  readonly maxStreamsCloseCircuit: boolean;
  /** Whether a circuit that asks for a port that is not there lives on. */
  readonly allowUnknownPorts: boolean;
}

/** What streams need. */
export interface ServiceStreamsParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly transport: Transport;
  readonly traffic: AppTraffic;
  /** Streams that are over are in it while their servers have not taken all. */
  readonly leaving: Set<Backlog>;
  /** Finds servers that are named. */
  readonly resolver: Resolver;
  /** As they are now. */
  rules(): StreamRules;
  /** Ends the circuit the streams are on. */
  closeCircuit(): void;
}

/** The streams of one client's circuit. */
export class ServiceStreams {
  private readonly parts: ServiceStreamsParts;
  private open = 0;
  private idle: number;
  /** The circuit is about to be closed. */
  private closing = false;

  constructor(parts: ServiceStreamsParts) {
    this.parts = parts;
    this.idle = parts.clock.monotonic();
  }

  /** Since when there is no stream (monotonic); undefined while there is one. */
  get idleSince(): number | undefined {
    return this.open > 0 ? undefined : this.idle;
  }

  /** Takes a stream the client asks for. */
  take(stream: IncomingStream): void {
    const { log, traffic } = this.parts;
    const rules = this.parts.rules();
    // It ends with the circuit, and its client tries another one.
    if (this.closing) return;
    const port = stream.command === RelayCommand.BEGIN ? portOf(stream.request) : undefined;
    if (port === undefined) {
      stream.abort(EndReason.TORPROTOCOL);
      return;
    }
    if (rules.maxStreams > 0 && this.open >= rules.maxStreams) {
      log.info('a client has as many streams as it may', { closing: rules.maxStreamsCloseCircuit });
      // DONE as below: the limit is not told [handle_hs_exit_conn].
      this.refuse(stream, EndReason.DONE, rules.maxStreamsCloseCircuit);
      return;
    }
    const fits = rules.ports.filter((each) => each.virtualPort === port);
    const target = fits[this.parts.random.below(fits.length)];
    if (!target) {
      // DONE, and the circuit's end: whoever looks for open ports pays a circuit for each [connection_exit_begin_conn].
      log.info('a client asked for a port that is not served');
      this.refuse(stream, EndReason.DONE, !rules.allowUnknownPorts);
      return;
    }
    this.open++;
    const finished = () => {
      this.open--;
      this.idle = this.parts.clock.monotonic();
    };
    const joined = new JoinedStream(stream, this.parts.clock, finished, this.parts.leaving);
    this.dial(target).then(
      (conn) => (joined.abandoned ? conn.destroy() : joined.connected(traffic.counted(conn, port), NOTHING)),
      (error: Error) => {
        log.warn(`The server behind port ${port} of an onion service cannot be reached: ${error.message}`);
        joined.refuse(endReasonOf(error));
      },
    );
  }

  private refuse(stream: IncomingStream, reason: number, closeCircuit: boolean): void {
    stream.abort(reason);
    if (!closeCircuit || this.closing) return;
    this.closing = true;
    // The END is to reach the client first: a circuit's end drops what is queued on it.
    this.parts.clock.setTimer(CLOSE_DELAY, () => this.parts.closeCircuit());
  }

  private async dial({ target }: HiddenServicePortOption): Promise<Conn> {
    const { transport, resolver } = this.parts;
    if ('host' in target) {
      const place = await locate(resolver, target.host, target.port);
      return transport.dialTcp(place, { timeout: DIAL_TIMEOUT });
    }
    if (!transport.dialUnix) throw new Error('unix sockets are not supported here');
    return transport.dialUnix(target.unix, { timeout: DIAL_TIMEOUT });
  }
}

/** The port of a BEGIN; the host is empty, and does not count. */
function portOf(request: Uint8Array): number | undefined {
  try {
    return BEGIN.decode(request).port;
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    return undefined;
  }
}
