/**
 * Asks a directory one thing: over a stream that BEGIN_DIR opened, or over a connection to a DirPort.
 *
 * @module
 */
import { CepaError } from '../bytes/errors.js';
import { EndReason, nameOf } from '../cell/commands.js';
import type { Stream } from '../onion/types.js';
import type { Clock, NetAddress, Transport } from '../runtime/types.js';
import { encodeRequest, ResponseParser } from './http.js';
import type { DirRequest, DirResponse } from './types.js';

/** No usable answer: no connection, no whole answer in time, or nonsense. A status of 404 or 503 is an answer. */
export class DirFetchError extends CepaError {
  constructor(message: string, options?: { cause?: unknown }) {
    super('dir-fetch', message, options);
  }
}

/** Limits of one exchange. */
export interface FetchOptions {
  readonly clock: Clock;
  /** Milliseconds for the whole exchange. */
  readonly timeout: number;
  /** Decompressed bytes of the answer. */
  readonly maxBody?: number;
  /** Source address of a connection. */
  readonly localHost?: string;
}

const describe = (request: DirRequest) => `${request.method} ${request.path.slice(0, 120)}`;

/** One answer being collected; settles once. */
function exchange(request: DirRequest, options: FetchOptions, release: () => void) {
  const parser = new ResponseParser(options.maxBody);
  let settle!: { resolve(response: DirResponse): void; reject(error: Error): void };
  const promise = new Promise<DirResponse>((resolve, reject) => {
    settle = { resolve, reject };
  });
  let over = false;
  const finish = (act: () => void) => {
    if (over) return;
    over = true;
    timer.cancel();
    try {
      act();
    } catch (cause) {
      settle.reject(new DirFetchError(`${describe(request)}: ${(cause as Error).message}`, { cause }));
    }
    release();
  };
  const fail = (message: string, cause?: unknown) =>
    finish(() => settle.reject(new DirFetchError(`${describe(request)}: ${message}`, { cause })));
  const timer = options.clock.setTimer(options.timeout, () =>
    fail(`no whole answer within ${options.timeout} ms`),
  );
  return {
    promise,
    fail,
    data(chunk: Uint8Array) {
      if (over) return;
      try {
        if (parser.push(chunk)) finish(() => settle.resolve(parser.finish()));
      } catch (cause) {
        fail((cause as Error).message, cause);
      }
    },
    end: () => finish(() => settle.resolve(parser.finish())),
  };
}

/** Sends a request on a stream opened with BEGIN_DIR and reads the answer. The stream is over afterwards. */
export function fetchOverStream(
  stream: Stream,
  request: DirRequest,
  options: FetchOptions,
): Promise<DirResponse> {
  const running = exchange(request, options, () => stream.abort(EndReason.DONE));
  stream.handlers = {
    data: running.data,
    drain() {},
    end(reason, local) {
      if (reason === EndReason.DONE && !local) running.end();
      else running.fail(`the stream ended: ${nameOf(EndReason, reason)}`);
    },
  };
  // The request goes before CONNECTED is there: a directory that refuses loses us nothing, one that accepts saves a round trip.
  stream.write(encodeRequest(request));
  return running.promise;
}

/** Connects to a DirPort, sends a request and reads the answer. */
export async function fetchOverConn(
  transport: Transport,
  address: NetAddress,
  request: DirRequest,
  options: FetchOptions,
): Promise<DirResponse> {
  const conn = await transport
    .dialTcp(address, { timeout: options.timeout, localHost: options.localHost })
    .catch((cause: Error) => {
      throw new DirFetchError(`${address.host}:${address.port}: ${cause.message}`, { cause });
    });
  const running = exchange(request, options, () => conn.destroy());
  conn.start({
    data: running.data,
    end: running.end,
    drain() {},
    close: (error) => running.fail('the connection closed', error),
  });
  conn.write(encodeRequest(request));
  return running.promise;
}
