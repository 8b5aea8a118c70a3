import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';
import test from 'ava';
import { planNetwork } from './plan.js';
import { findPorts, holdPorts, isFree, isOpen } from './ports.js';

/** Where no other test looks for ports. */
const RANGE = { from: 9_000, to: 9_900, step: 4 };
const planAt = (basePort: number) => planNetwork({ authorities: 1, relays: 3, exits: 1 }, basePort);

test('the ports of a network are nobody else’s until it gives them back', async (t) => {
  const held = (await findPorts(RANGE, planAt))!;
  t.is((held.plan.basePort - RANGE.from) % RANGE.step, 0);
  // A network of another size has them at other addresses, too.
  const other = planNetwork({ authorities: 3, relays: 9, exits: 3 }, held.plan.basePort);
  t.is(await holdPorts(held.plan), undefined);
  t.is(await holdPorts(other), undefined);
  await held.close();
  const again = await holdPorts(other);
  t.is(again?.plan, other);
  await again?.close();
});

test('a port that somebody has is not handed out, and what was taken with it is given back', async (t) => {
  const held = (await findPorts(RANGE, planAt))!;
  await held.close();
  const [node] = held.plan.nodes;
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(node!.orPort, node!.address, resolve));
  t.is(await holdPorts(held.plan), undefined);
  t.true(await isFree({ host: '127.0.0.1', port: held.plan.basePort }));
  server.close();
});

test('a port of the name server that somebody has is not handed out', async (t) => {
  const held = (await findPorts(RANGE, planAt))!;
  await held.close();
  const { address, dnsPort } = held.plan.demo;
  const socket = createSocket('udp4');
  t.teardown(() => socket.close());
  await new Promise<void>((resolve) => socket.bind(dnsPort, address, resolve));
  t.is(await holdPorts(held.plan), undefined);
  t.true(await isFree({ host: '127.0.0.1', port: held.plan.basePort }));
});

test('looking whether a port is open yet does not take it from who is about to open it', async (t) => {
  const held = (await findPorts(RANGE, planAt))!;
  t.teardown(() => held.close());
  const at = { host: held.plan.nodes[0]!.address, port: held.plan.basePort };
  const look = isOpen(at);
  const server = createServer((socket) => socket.destroy());
  t.teardown(() => server.close());
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(at, resolve);
  });
  await look;
  t.true(await isOpen(at));
  t.false(await isOpen({ ...at, port: at.port + 1 }));
});

test('a range without a free port is an answer, no endless search', async (t) => {
  const held = (await findPorts(RANGE, planAt))!;
  const { basePort: from } = held.plan;
  t.is(await findPorts({ from, to: from + 4, step: 4 }, planAt), undefined);
  await held.close();
});
