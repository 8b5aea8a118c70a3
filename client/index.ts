/**
 * The client for programs that embed it: start one, then open connections as Node streams.
 *
 * ```ts
 * const node = await startClient(options, env);
 * const socket = await connect(node, 'example.com', 80);
 * socket.write('GET / HTTP/1.0\r\n\r\n');
 * ```
 *
 * Exits of C tor take `end` for the end of both directions: an answer that is still wanted would be lost.
 *
 * @module
 */
import { Duplex } from 'node:stream';
import { EndReason } from '../shared/cell/commands.js';
import type { Stream } from '../shared/onion/types.js';
import type { Env } from '../shared/runtime/env.js';
import type { Options } from '../shared/torrc/options.js';
import { failureOfEnd, StreamError } from './failure.js';
import { type ClientNode, startClient as startNode } from './node.js';

export { type FailureKind, StreamError } from './failure.js';
export type { CircuitInfo, ClientNode, ClientStatus } from './node.js';

/**
 * Starts a client: opens its ports, loads its state, begins to bootstrap. Rejects when the configuration cannot be
 * honoured or a port not be opened. It keeps the process alive until it is stopped.
 */
export async function startClient(options: Options, env: Env): Promise<ClientNode> {
  const node = await startNode(options, env);
  // Timers of a node do not, and without a port nothing else does while no relay can be reached.
  const awake = env.clock.keepAlive();
  const stop = node.stop.bind(node);
  return Object.assign(node, { stop: () => stop().finally(() => awake.cancel()) });
}

/** Opens a connection through the network. Rejects with StreamError. */
export async function connect(
  node: ClientNode,
  host: string,
  port: number,
  options: { isolation?: string } = {},
): Promise<Duplex> {
  return duplexOf(await node.connect(host, port, options.isolation));
}

/** A stream as a Node stream: half-closes both ways, backpressure both ways. */
export function duplexOf(stream: Stream): Duplex {
  let written: ((error?: Error | null) => void) | undefined;
  const release = (): void => {
    const done = written;
    written = undefined;
    done?.();
  };
  const duplex = new Duplex({
    allowHalfOpen: true,
    read: () => stream.resume(),
    write(chunk: Buffer, _encoding, done) {
      // Lent: with the callback the chunk is its writer's again.
      if (stream.lend(chunk)) done();
      else written = done;
    },
    final(done) {
      stream.end(EndReason.DONE);
      done();
    },
    destroy(error, done) {
      if (!stream.closed) stream.abort(error ? EndReason.MISC : EndReason.DONE);
      const waiting = written;
      written = undefined;
      waiting?.(error ?? new StreamError('general', 'the connection was closed'));
      done(error);
    },
  });
  stream.handlers = {
    data(bytes) {
      if (!duplex.push(Buffer.from(bytes))) stream.pause();
    },
    drain: release,
    end(reason, local) {
      // Exits of C tor answer our END with nothing, so that the stream gives up waiting for theirs.
      const unanswered = local && reason === EndReason.TIMEOUT && duplex.writableFinished;
      if ((reason === EndReason.DONE && !local) || unanswered) {
        duplex.push(null);
        return;
      }
      const why = local ? 'the circuit closed' : 'the other side broke the connection';
      duplex.destroy(new StreamError(failureOfEnd(reason), why, { endReason: reason }));
    },
  };
  return duplex;
}
