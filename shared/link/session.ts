/**
 * One connection from its first byte: frames cells, runs the handshake, then feeds the channel.
 *
 * @module
 */
import { CepaError, ProtocolError } from '../bytes/errors.js';
import { toHex } from '../bytes/text.js';
import type { CellBatch } from '../cell/batch.js';
import { Command } from '../cell/commands.js';
import { CellDecoder, type CellSink } from '../cell/frame.js';
import { sensitive } from '../log/sensitive.js';
import type { Log } from '../log/types.js';
import type { Clock, ConnHandlers, Timer, TlsConn } from '../runtime/types.js';
import type { LinkChannel } from './channel.js';
import { LinkError, linkError, reasonOf } from './errors.js';
import { type HandshakeParams, type HandshakeResult, LinkHandshake } from './handshake.js';
import { type ConnectionCounts, connectionKind, type LinkStats } from './stats.js';

/** What a session is given. */
export interface SessionParams {
  readonly conn: TlsConn;
  readonly clock: Clock;
  readonly log: Log;
  readonly stats: LinkStats;
  readonly handshake: HandshakeParams;
  /** Milliseconds the handshake may take. */
  readonly timeout: number;
  /** The handshake is done: makes the channel. `stop` ends the delivery of cells. */
  readonly opened: (result: HandshakeResult, stop: () => void) => LinkChannel;
  /** The handshake failed; the connection is closed. */
  readonly failed: (error: LinkError) => void;
}

/** Where a session stands. */
type State =
  | { readonly is: 'handshake'; readonly machine: LinkHandshake; readonly timer: Timer }
  | { readonly is: 'open'; readonly channel: LinkChannel }
  | { readonly is: 'closed' };

const CLOSED: State = { is: 'closed' };

/** Owns the connection; starts at once. */
export class LinkSession implements CellSink, ConnHandlers {
  private readonly params: SessionParams;
  private readonly decoder = new CellDecoder(this);
  private readonly counts: ConnectionCounts;
  private state: State;

  constructor(params: SessionParams) {
    this.params = params;
    const { clock, conn, stats, timeout } = params;
    const initiator = params.handshake.role === 'initiator';
    this.counts = stats.connections[connectionKind(conn.remote.host, initiator)];
    this.counts.created++;
    stats.handshakesStarted++;
    stats.halfOpen++;
    const machine = new LinkHandshake(params.handshake);
    const late = () => this.fail(linkError('timeout', `no link handshake within ${timeout} ms`));
    this.state = { is: 'handshake', machine, timer: clock.setTimer(timeout, late) };
    conn.start(this);
    this.write(machine.start());
  }

  /** Gives up a handshake that is under way. */
  abort(reason: string): void {
    if (this.state.is === 'handshake') this.fail(linkError('closed', reason));
  }

  private write(bytes: Uint8Array | undefined): void {
    if (!bytes) return;
    this.params.stats.bytesOut += bytes.length;
    this.params.conn.write(bytes);
  }

  // The connection.

  data(chunk: Buffer): void {
    const { state } = this;
    if (state.is === 'closed') return;
    this.params.stats.bytesIn += chunk.length;
    if (state.is === 'open') state.channel.lastActive = this.params.clock.monotonic();
    try {
      this.decoder.push(chunk);
    } catch (error) {
      this.fail(error);
    }
  }

  end(): void {
    if (this.state.is === 'open') this.state.channel.close('the peer closed the connection');
    else this.fail(linkError('closed', 'the peer closed the connection during the handshake'));
  }

  drain(): void {
    if (this.state.is === 'open') this.state.channel.drained();
  }

  close(error?: Error): void {
    const reason = error ? reasonOf(error) : 'the connection closed';
    const { state } = this;
    if (state.is === 'open') state.channel.gone(reason);
    else this.fail(linkError('closed', `${reason} during the handshake`, error));
  }

  private fail(error: unknown): void {
    const { state } = this;
    if (state.is === 'closed') return;
    const { conn, log, stats } = this.params;
    const broke = error instanceof CepaError;
    if (!broke) log.error('a link failed', { error });
    if (state.is === 'open') {
      const { id, peer } = state.channel;
      const name = peer.rsaId ? toHex(peer.rsaId) : sensitive(conn.remote.host);
      if (broke)
        log.info('a peer broke the link protocol', { peer: name, channel: id, reason: reasonOf(error) });
      state.channel.gone(reasonOf(error));
      conn.destroy();
      return;
    }
    this.state = CLOSED;
    state.timer.cancel();
    this.decoder.stop();
    stats.halfOpen--;
    stats.handshakesFailed++;
    this.counts.failed++;
    conn.destroy();
    this.params.failed(error instanceof LinkError ? error : linkError('protocol', reasonOf(error), error));
  }

  // Cells.

  relay(circuitId: number, batch: CellBatch): void {
    if (this.state.is === 'open') this.state.channel.relay(circuitId, batch);
    else throw new ProtocolError('RELAY cell in the handshake');
  }

  fixed(circuitId: number, command: number, body: Buffer): void {
    const { state } = this;
    if (state.is === 'open') {
      state.channel.fixed(circuitId, command, body);
      return;
    }
    if (state.is === 'closed') return;
    this.params.stats.cellsIn[command]!++;
    this.write(state.machine.fixed(command, body));
    if (state.machine.result) this.open(state.machine.result, state.timer);
  }

  variable(circuitId: number, command: number, body: Buffer): void {
    const { state } = this;
    if (state.is === 'open') state.channel.variable(command);
    if (state.is !== 'handshake') return;
    this.params.stats.cellsIn[command]!++;
    this.write(state.machine.variable(circuitId, command, body));
  }

  private open(result: HandshakeResult, timer: Timer): void {
    timer.cancel();
    const { stats } = this.params;
    stats.halfOpen--;
    stats.handshakesDone++;
    stats.cellsOut[Command.NETINFO]!++;
    const stop = () => {
      this.state = CLOSED;
      this.decoder.stop();
    };
    const channel = this.params.opened(result, stop);
    // Whoever was told of the channel may have closed it already.
    if (channel.open) this.state = { is: 'open', channel };
  }
}
