/**
 * The far end of every measured stream, in a process of its own: a TCP server that sends or takes bytes.
 *
 * ```
 * get N\n   N bytes, then the end
 * put N\n   takes N bytes, answers ok\n, then the end
 * ```
 *
 * Run as `node site.js HOST`; tells its port to the process that forked it, and ends with it.
 *
 * @module
 */
import { randomBytes } from 'node:crypto';
import { createServer, type Socket } from 'node:net';

/** What is sent, again and again. */
const BLOCK = randomBytes(64 * 1024);

function send(socket: Socket, size: number): void {
  let left = size;
  const more = () => {
    while (left > 0) {
      const part = left >= BLOCK.length ? BLOCK : BLOCK.subarray(0, left);
      left -= part.length;
      if (!socket.write(part)) {
        socket.once('drain', more);
        return;
      }
    }
    socket.end();
  };
  more();
}

function serve(socket: Socket): void {
  let head = '';
  let wanted = -1;
  let got = 0;
  const take = (bytes: number) => {
    got += bytes;
    if (got >= wanted) socket.end('ok\n');
  };
  socket.on('error', () => socket.destroy());
  socket.on('data', (chunk: Buffer) => {
    if (wanted >= 0) {
      take(chunk.length);
      return;
    }
    head += chunk.toString('latin1');
    const asked = /^(get|put) (\d+)\n/.exec(head);
    if (!asked) return;
    if (asked[1] === 'get') {
      send(socket, Number(asked[2]));
      return;
    }
    wanted = Number(asked[2]);
    take(head.length - asked[0].length);
  });
}

const server = createServer({ noDelay: true }, serve);
server.listen(0, process.argv[2], () => process.send?.((server.address() as { port: number }).port));
process.on('disconnect', () => process.exit(0));
