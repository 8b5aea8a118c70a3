/** What clients and onion services may use: MaxMemInQueues and BandwidthRate. */
import test from 'ava';
import type { Conn } from '../shared/runtime/types.js';
import { exchange, OnionNetwork } from './testing/sim-onion.js';

const START = Date.UTC(2026, 2, 1, 0, 10, 3);
const SIZE = { authorities: 3, relays: 9 };
const SECOND = 1000;
/** Of the first and the second client that a network starts. */
const [HOST, CLIENT] = ['127.200.0.1', '127.201.0.1'];
const TUNNEL = { host: CLIENT, port: 8118 };
/** Servers behind the service: one that writes for ever, one that never reads. */
const [FOUNTAIN, DEAF] = [81, 82];
const PORTS = [FOUNTAIN, DEAF].map((port) => `HiddenServicePort ${port} ${HOST}:80${port}`);

const IDLE = { data() {}, end() {}, drain() {}, close() {} };

function fountain(conn: Conn): void {
  const fill = () => {
    while (conn.write(Buffer.alloc(50_000)));
  };
  conn.start({ ...IDLE, drain: fill });
  fill();
}

function deaf(conn: Conn): void {
  conn.start(IDLE);
  conn.pause();
}

/** A network, a service with both servers and a client. */
async function start(seed: string, lines: { service?: readonly string[]; client?: readonly string[] }) {
  const net = await OnionNetwork.start(seed, START, SIZE);
  const { site, address } = await net.service('service', [...PORTS, ...(lines.service ?? [])]);
  const { transport } = site.host;
  await transport.listenTcp({ host: HOST, port: 8000 + FOUNTAIN }, fountain);
  await transport.listenTcp({ host: HOST, port: 8000 + DEAF }, deaf);
  await net.published(site, 6);
  const client = await net.client('client', lines.client);
  await net.ready(client);
  return { net, site, address, client };
}

/** An application that asks for a connection by HTTP CONNECT, and takes what comes or, from the answer on, nothing. */
async function application(net: OnionNetwork, target: string, reads: boolean) {
  const conn = await net.world.until(net.world.host('127.99.0.1').transport.dialTcp(TUNNEL));
  const seen = { bytes: 0, closed: false };
  conn.start({
    ...IDLE,
    data(bytes) {
      seen.bytes += bytes.length;
      if (!reads) conn.pause();
    },
    close() {
      seen.closed = true;
    },
  });
  conn.write(Buffer.from(`CONNECT ${target} HTTP/1.1\r\n\r\n`));
  return seen;
}

test.serial('applications that do not read are cut off when memory runs out, and others go on', async (t) => {
  const { net, address, client } = await start('greedy applications', {
    client: ['MaxMemInQueues 1 MBytes', `HTTPTunnelPort ${TUNNEL.host}:${TUNNEL.port}`],
  });
  const target = `${address}:${FOUNTAIN}`;
  const reader = await application(net, target, true);
  const stuck = [];
  for (let i = 0; i < 12; i++) stuck.push(await application(net, target, false));
  await net.world.advance(20 * SECOND);
  t.regex(client.log.text(), /MaxMemInQueues was reached/);
  const left = stuck.filter(({ closed }) => !closed);
  t.true(left.length < 8, `${left.length} of 12 are left`);

  const before = reader.bytes;
  await net.world.advance(5 * SECOND);
  t.false(reader.closed);
  t.true(reader.bytes - before > 100_000, `${reader.bytes - before}`);
  await net.stop();
});

test.serial(
  'what servers behind an onion service do not take ends the circuit that brought it',
  async (t) => {
    const { net, site, address, client } = await start('a deaf server', {
      service: ['MaxMemInQueues 1 MBytes'],
    });
    let ended = 0;
    for (let i = 0; i < 12; i++) {
      const stream = await net.world.until(client.node.connect(address, DEAF));
      stream.handlers = { ...IDLE, end: () => void ended++ };
      stream.write(Buffer.alloc(400_000));
    }
    await net.world.advance(20 * SECOND);
    t.regex(site.log.text(), /MaxMemInQueues was reached/);
    t.is(ended, 12);
    t.is(await net.echo(client, address, 'still here'), 'still here');
    await net.stop();
  },
);

test.serial('a client keeps to BandwidthRate, and to another one after a reload', async (t) => {
  const limit = ['BandwidthRate 100 KBytes', 'BandwidthBurst 100 KBytes'];
  const { net, address, client } = await start('a slow client', { client: limit });
  const bytes = Buffer.alloc(1_000_000, 'slowly');
  const secondsFor = async () => {
    const stream = await net.world.until(client.node.connect(address, 80));
    const began = net.world.now;
    t.true((await net.world.until(exchange(stream, bytes))).equals(bytes));
    return (net.world.now - began) / SECOND;
  };
  const slow = await secondsFor();
  t.true(slow > 9 && slow < 16, `${slow} s`);
  await net.reload(client, ['BandwidthRate 1 MBytes', 'BandwidthBurst 1 MBytes']);
  const quick = await secondsFor();
  t.true(quick < slow / 3, `${quick} s`);
  await net.stop();
});
