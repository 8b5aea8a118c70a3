/**
 * Ports for a network on 127.0.0.0/8, out of a range, for as long as it runs.
 *
 * Looking whether a port is free is no promise: it is opened later, by another process, and two networks that start at
 * the same moment may have looked at the same. So the base port is taken at 127.0.0.1, where no node lives, and kept:
 * only one network of a machine can.
 *
 * @module
 */
import { createSocket } from 'node:dgram';
import { connect, createServer, type Server } from 'node:net';
import type { NetAddress } from '../shared/runtime/types.js';
import type { Closable } from './demo-site.js';
import { endpointsOf, type NetworkPlan } from './plan.js';

/** Where networks of one kind have their ports, `step` for each. */
export interface PortRange {
  readonly from: number;
  readonly to: number;
  readonly step: number;
}

/** A network's ports, which no other network gets before they are given back. */
export interface HeldPorts extends Closable {
  readonly plan: NetworkPlan;
}

/** Networks that are tried before giving up. */
const TRIES = 50;

const closed = (server: Server) => new Promise<void>((resolve) => server.close(() => resolve()));

function tryListen({ host, port }: NetAddress): Promise<Server | undefined> {
  return new Promise((resolve) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', () => resolve(undefined));
    server.listen({ host, port, exclusive: true }, () => resolve(server));
  });
}

/** Whether nobody listens there. */
export async function isFree(at: NetAddress): Promise<boolean> {
  const server = await tryListen(at);
  if (!server) return false;
  await closed(server);
  return true;
}

/** The same for UDP. */
function isFreeUdp({ host, port }: NetAddress): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4');
    socket.once('error', () => socket.close(() => resolve(false)));
    socket.bind({ address: host, port, exclusive: true }, () => socket.close(() => resolve(true)));
  });
}

/** Whether somebody listens there. Unlike `isFree` it does not have the port meanwhile, which who opens it may need. */
export function isOpen({ host, port }: NetAddress): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    socket.once('error', () => resolve(false));
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
  });
}

/** A port that one network of a machine has at a time; not the port itself is taken, but a mark where no node lives. */
export async function markPort(port: number): Promise<Closable | undefined> {
  const mark = await tryListen({ host: '127.0.0.2', port });
  mark?.unref();
  return mark && { close: () => closed(mark) };
}

/** Takes the ports of a plan; undefined where another network has them, or anybody one of them. */
export async function holdPorts(plan: NetworkPlan): Promise<HeldPorts | undefined> {
  const mark = await tryListen({ host: '127.0.0.1', port: plan.basePort });
  if (!mark) return undefined;
  mark.unref();
  const { address: host, dnsPort } = plan.demo;
  const free = await Promise.all([...endpointsOf(plan).map(isFree), isFreeUdp({ host, port: dnsPort })]);
  if (free.every(Boolean)) return { plan, close: () => closed(mark) };
  await closed(mark);
  return undefined;
}

/** Takes ports of a range for a network that can be planned with any base port; undefined where none are free. */
export async function findPorts(
  range: PortRange,
  planAt: (basePort: number) => NetworkPlan,
): Promise<HeldPorts | undefined> {
  const slots = Math.floor((range.to - range.from) / range.step);
  for (let tries = 0; tries < TRIES; tries++) {
    const basePort = range.from + range.step * Math.floor(Math.random() * slots);
    const held = await holdPorts(planAt(basePort));
    if (held) return held;
  }
  return undefined;
}
