/**
 * Connections on which only some link protocols are offered: neither program can be told to leave one out, so the
 * first cells are changed on their way. Good for links to and from clients, which sign nothing of them.
 *
 * @module
 */
import { VERSIONS } from '../../shared/cell/channel-cells.js';
import { Command } from '../../shared/cell/commands.js';
import { encodeNarrow } from '../../shared/cell/frame.js';
import type { ConnHandlers, TlsConn, Transport } from '../../shared/runtime/types.js';

/** Circuit id, command and length of a VERSIONS cell. */
const HEADER = 5;

/** Leaves those of the list in the VERSIONS cell that begins the bytes. */
function filtered(bytes: Uint8Array, allowed: readonly number[]): Buffer {
  const end = HEADER + Buffer.from(bytes.buffer, bytes.byteOffset).readUInt16BE(HEADER - 2);
  const { versions } = VERSIONS.decode(bytes.subarray(HEADER, end));
  const cell = encodeNarrow(
    Command.VERSIONS,
    VERSIONS.encode({ versions: versions.filter((version) => allowed.includes(version)) }),
  );
  return Buffer.concat([cell, bytes.subarray(end)]);
}

function wrap(conn: TlsConn, allowed: readonly number[]): TlsConn {
  let [sent, received] = [false, false];
  const write = (bytes: Uint8Array): boolean => {
    const first = !sent;
    sent = true;
    return conn.write(first ? filtered(bytes, allowed) : bytes);
  };
  const start = (handlers: ConnHandlers): void =>
    conn.start({
      data(chunk) {
        const first = !received;
        received = true;
        handlers.data(first ? filtered(chunk, allowed) : chunk);
      },
      end: () => handlers.end(),
      drain: () => handlers.drain(),
      close: (error) => handlers.close(error),
    });
  return new Proxy(conn, {
    get(target, name) {
      if (name === 'write') return write;
      if (name === 'start') return start;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

/** A transport whose TLS connections know only these link protocols, whichever side dials. */
export const onlyVersions = (transport: Transport, allowed: readonly number[]): Transport => ({
  dialTcp: (to, options) => transport.dialTcp(to, options),
  dialTls: async (to, options) => wrap(await transport.dialTls(to, options), allowed),
  listenTcp: (at, accept) => transport.listenTcp(at, accept),
  listenTls: (at, identity, accept, admit) =>
    transport.listenTls(at, identity, (conn) => accept(wrap(conn, allowed)), admit),
});
