/**
 * What tests of onion services against C tor share: services and clients of both programs in one network, a server
 * behind the services that counts and hashes, and requests through SOCKS that keep the proxy's answer.
 *
 * @module
 */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, request, type Server } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bytesOf } from '../../shared/bytes/text.js';
import {
  encodeAuthorizedClient,
  encodeClientAuthorization,
  loadOrCreateHsIdentity,
} from '../../shared/crypto/hs-keyfiles.js';
import { parseOnionAddress } from '../../shared/crypto/onion-address.js';
import { generateX25519 } from '../../shared/crypto/x25519.js';
import { osRandom } from '../../shared/runtime/real.js';
import type { NetAddress } from '../../shared/runtime/types.js';
import { diskStore } from '../../shared/store/disk.js';
import { type Kind, type Member, MixedNetwork } from './mixed-network.js';

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

/** Bytes by a rule, so that both ends can make them. */
export const pattern = (size: number, seed: number): Buffer => {
  const bytes = Buffer.alloc(size);
  let state = seed >>> 0 || 1;
  for (let i = 0; i + 4 <= size; i += 4) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes.writeInt32LE(state | 0, i);
  }
  return bytes;
};

/** The server behind the services: GET /bytes/N gives N bytes of the pattern; POST answers the SHA-256 of its body. */
function startServer(): Promise<Server> {
  const server = createServer((req, res) => {
    if (req.method === 'GET') {
      res.end(pattern(Number(req.url!.split('/').at(-1)), 7));
      return;
    }
    const hash = createHash('sha256');
    req.on('data', (chunk) => hash.update(chunk));
    req.on('end', () => res.end(hash.digest('hex')));
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

/** Services and clients, one of each program, in a network whose relays run `relays`. */
export class OnionTest {
  readonly network: MixedNetwork;
  private readonly root: string;
  private readonly server: Server;

  private constructor(network: MixedNetwork, root: string, server: Server) {
    this.network = network;
    this.root = root;
    this.server = server;
  }

  /** Starts it; waits for a consensus that lists everybody. */
  static async start(members: readonly Member[]): Promise<OnionTest> {
    const root = mkdtempSync(join(tmpdir(), 'cepa-onion-'));
    const server = await startServer();
    const { port } = server.address() as AddressInfo;
    // Every client hosts an open service and one that asks for authorization, and may use both of the other's.
    const own = (member: Member): Member => {
      if (member.role !== 'client') return member;
      const folder = (name: string) => join(root, `${member.name}-${name}`);
      for (const name of ['open', 'closed', 'keys']) mkdirSync(folder(name), { mode: 0o700 });
      return {
        ...member,
        lines: [
          ...(member.lines ?? []),
          `Log info file ${join(root, `${member.name}.log`)}`,
          `HiddenServiceDir ${folder('open')}`,
          `HiddenServicePort 80 127.0.0.1:${port}`,
          `HiddenServiceDir ${folder('closed')}`,
          `HiddenServicePort 80 127.0.0.1:${port}`,
          `ClientOnionAuthDir ${folder('keys')}`,
        ],
      };
    };
    const all = members.map(own);
    await authorize(
      root,
      all.filter(({ role }) => role === 'client').map(({ name }) => name),
    );
    const network = await MixedNetwork.start({ members: all });
    const test = new OnionTest(network, root, server);
    try {
      await network.complete();
      for (const tor of network.tors.values()) if (tor.plan.role === 'client') await tor.bootstrapped();
    } catch (error) {
      await test.stop();
      throw error;
    }
    return test;
  }

  /** The address of a service, once it has one. */
  async address(name: string, service: 'open' | 'closed'): Promise<string> {
    const file = join(this.root, `${name}-${service}`, 'hostname');
    for (let i = 0; i < 300 && !existsSync(file); i++) await pause(100);
    return readFileSync(file, 'latin1').trim();
  }

  /** Downloads from a service and uploads to it, `size` bytes each; the digests are checked. Tries until `patience` ms. */
  async exchange(client: string, host: string, size: number, patience = 60_000): Promise<void> {
    const proxy = this.network.proxy(client);
    const until = performance.now() + patience;
    for (;;) {
      try {
        await get(proxy, host, size);
        await post(proxy, host, size);
        return;
      } catch (error) {
        if (performance.now() > until) throw error;
        await pause(1000);
      }
    }
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await this.network.stop();
    if (process.env.CEPA_KEEP !== '1') rmSync(this.root, { recursive: true, force: true });
  }
}

/**
 * Makes the keys of the closed services beforehand, whichever program will run them, so that clients can be given
 * theirs.
 */
async function authorize(root: string, clients: readonly string[]): Promise<void> {
  for (const service of clients) {
    const folder = join(root, `${service}-closed`);
    const { address } = await loadOrCreateHsIdentity(diskStore(folder), '', osRandom);
    for (const client of clients) {
      const key = generateX25519(osRandom);
      await diskStore(folder).write(
        `authorized_clients/${client}.auth`,
        bytesOf(encodeAuthorizedClient(key.publicKey)),
      );
      await diskStore(join(root, `${client}-keys`)).write(
        `${service}.auth_private`,
        bytesOf(encodeClientAuthorization({ identity: parseOnionAddress(address), key })),
      );
    }
  }
}

// Requests

/** A stream through a SOCKS5 proxy with extended errors, and the proxy's reply code. */
export function socksConnect(
  proxy: NetAddress,
  host: string,
  port: number,
): Promise<{ socket: Socket; code: number }> {
  return new Promise((resolve, reject) => {
    const socket = connect(proxy.port, proxy.host);
    socket.setTimeout(120_000, () => socket.destroy(new Error(`no answer of the proxy for ${host}`)));
    socket.once('error', reject);
    let held = Buffer.alloc(0);
    let asked = false;
    socket.write(Buffer.from([5, 1, 0]));
    const take = (chunk: Buffer) => {
      held = Buffer.concat([held, chunk]);
      if (!asked && held.length >= 2) {
        held = held.subarray(2);
        asked = true;
        const name = Buffer.from(host, 'latin1');
        const head = Buffer.from([5, 1, 0, 3, name.length]);
        socket.write(Buffer.concat([head, name, Buffer.from([port >> 8, port & 255])]));
      }
      if (!asked || held.length < 10) return;
      socket.off('data', take);
      socket.off('error', reject);
      socket.pause();
      if (held.length > 10) socket.unshift(held.subarray(10));
      resolve({ socket, code: held[1]! });
    };
    socket.on('data', take);
  });
}

async function exchangeHttp(
  proxy: NetAddress,
  host: string,
  method: 'GET' | 'POST',
  path: string,
  body?: Buffer,
): Promise<Buffer> {
  const { socket, code } = await socksConnect(proxy, host, 80);
  if (code !== 0) {
    socket.destroy();
    throw new Error(`${host}: the proxy answered 0x${code.toString(16)}`);
  }
  return new Promise((resolve, reject) => {
    const req = request({
      method,
      path,
      host,
      createConnection: () => socket,
      headers: { connection: 'close' },
    });
    req.on('error', reject);
    req.on('response', (res) => {
      const chunks: Buffer[] = [];
      res.on('data', (chunk: Buffer) => chunks.push(chunk));
      res.on('end', () => resolve(Buffer.concat(chunks)));
      res.on('error', reject);
    });
    req.end(body);
    socket.resume();
  });
}

async function get(proxy: NetAddress, host: string, size: number): Promise<void> {
  const got = sha256(await exchangeHttp(proxy, host, 'GET', `/bytes/${size}`));
  if (got !== sha256(pattern(size, 7))) throw new Error('the download was changed on its way');
}

async function post(proxy: NetAddress, host: string, size: number): Promise<void> {
  const body = pattern(size, 11);
  const answer = (await exchangeHttp(proxy, host, 'POST', '/', body)).toString();
  if (answer !== sha256(body)) throw new Error('the upload was changed on its way');
}

/** A network of one program's relays and authorities, with a client of each program. */
export const membersOf = (kind: Kind, relays: number): Member[] => [
  ...[1, 2, 3].map((n): Member => ({ name: `auth${n}`, kind, role: 'authority' })),
  ...Array.from(
    { length: relays },
    (_, i): Member => ({ name: `relay${i + 1}`, kind, role: 'relay', guard: i < 3 }),
  ),
  { name: 'cepa', kind: 'cepa', role: 'client' },
  { name: 'tor', kind: 'tor', role: 'client' },
];
