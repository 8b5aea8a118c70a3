/**
 * A stand-in for a node: opens the ports its torrc asks for and tells the events a node tells, without any onion
 * routing. As a client its SOCKS5 proxy goes to the destination itself, from an exit's address.
 *
 * A file `fail-NAME` in the network's directory makes the node of that nickname end with status 3, a file `linger-NAME`
 * makes it deaf to SIGTERM.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { realClock } from '../../shared/runtime/real.js';
import { resolvConfResolver } from '../../shared/runtime/resolver.js';
import type { PortOption } from '../../shared/torrc/options.js';
import type { Role } from '../../shared/torrc/table-types.js';
import { loadConfig } from '../process/config.js';
import { openReporter } from '../process/pipe.js';

const [role = '', , torrc = ''] = process.argv.slice(2);
const { options } = loadConfig({ role: role as Role, files: [torrc], args: [] });
const pipe = openReporter(() => process.exit(0));
const network = join(dirname(torrc), '..', '..');

process.on('SIGTERM', () => {
  if (!existsSync(join(network, `linger-${options.Nickname}`))) process.exit(0);
});
process.on('SIGINT', () => {});
process.on('SIGHUP', () => pipe?.report({ type: 'voting', step: 'published', validAfter: 0 }));

if (existsSync(join(network, `fail-${options.Nickname}`))) {
  process.stderr.write('this fake was told to fail\n');
  process.exit(3);
}

const open = (port: PortOption, serve: (socket: Socket) => void): Promise<Server> =>
  new Promise((resolve) => {
    const server = createServer(serve);
    server.listen(Number(port.port === 'auto' ? 0 : port.port), port.host, () => resolve(server));
  });

/** CONNECT by name, and nothing else. */
function serveSocks(socket: Socket): void {
  socket.on('error', () => {});
  socket.once('data', () => {
    socket.write(Uint8Array.of(5, 0));
    socket.once('data', (request: Buffer) => {
      const length = request[4] as number;
      void dial(request.toString('latin1', 5, 5 + length), request.readUInt16BE(5 + length), socket);
    });
  });
}

async function dial(name: string, port: number, socket: Socket): Promise<void> {
  const resolver = await resolvConfResolver(join(network, 'resolv.conf'), realClock);
  const exit = readdirSync(join(network, 'nodes')).find((node) => node.startsWith('exit')) ?? '';
  const exitTorrc = readFileSync(join(network, 'nodes', exit, 'torrc'), 'utf8');
  const localAddress = /^Address (\S+)$/m.exec(exitTorrc)?.[1];
  const [answer] = await resolver.resolve(name);
  const out = connect({ host: answer?.address ?? '', port, localAddress });
  out.on('error', () => socket.destroy());
  out.on('connect', () => {
    socket.write(Uint8Array.of(5, 0, 0, 1, 0, 0, 0, 0, 0, 0));
    socket.pipe(out);
    out.pipe(socket);
  });
}

const nickname = role === 'client' ? 'client' : options.Nickname;
const fingerprint = Buffer.from(nickname).toString('hex').padEnd(40, '0').toUpperCase();
pipe?.report({ type: 'identity', nickname, fingerprint, ed25519: 'x' });
for (const port of [...options.ORPort, ...options.DirPort]) {
  await open(port, (socket) => socket.destroy());
  pipe?.report({ type: 'listening', what: 'or', host: port.host ?? '', port: Number(port.port) });
}
if (role !== 'client') writeFileSync(join(dirname(torrc), 'up'), '');
if (role !== 'client') pipe?.report({ type: 'published', authorities: options.DirAuthority.length });
if (role === 'authority') {
  const relays = readdirSync(join(network, 'nodes')).length - 1;
  pipe?.report({ type: 'relays', known: relays, running: relays });
}
for (const port of role === 'client' ? options.SocksPort : []) {
  const server = await open(port, serveSocks);
  const { address, port: bound } = server.address() as { address: string; port: number };
  pipe?.report({ type: 'listening', what: 'socks', host: address, port: bound });
  // As in a real network, nothing works before the relays do.
  const wait = setInterval(() => {
    const others = readdirSync(join(network, 'nodes')).filter((node) => node !== 'client');
    if (!others.every((node) => existsSync(join(network, 'nodes', node, 'up')))) return;
    clearInterval(wait);
    pipe?.report({ type: 'bootstrap', percent: 100, tag: 'done', summary: 'Done' });
    pipe?.report({ type: 'onion-service', index: 0, directories: 4 });
  }, 10);
}
