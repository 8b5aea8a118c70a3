/**
 * Who is in a network, and where each listens: a pure function of the counts and a base port.
 *
 * Every node has an address 127.N.0.1 of its own, and so a /16 of its own: the path rules stay on. All nodes use the
 * same ports at their addresses, so that two networks on one machine differ in one number.
 *
 * @module
 */
import { CepaError } from '../shared/bytes/errors.js';
import type { Role } from '../shared/torrc/table-types.js';

/** How large a network is to be. */
export interface NetworkSize {
  readonly authorities: number;
  readonly relays: number;
  /** How many of the relays are exits. */
  readonly exits: number;
}

/** One node. */
export interface NodePlan {
  /** Nickname, and name of its directory. */
  readonly name: string;
  readonly role: Role;
  readonly exit: boolean;
  readonly guard: boolean;
  readonly address: string;
  readonly orPort: number;
  /** Authorities only; 0 elsewhere. */
  readonly dirPort: number;
}

/** A whole network. */
export interface NetworkPlan {
  readonly size: NetworkSize;
  readonly basePort: number;
  readonly nodes: readonly NodePlan[];
  /** The demo web site and the name server that knows it. */
  readonly demo: {
    readonly host: string;
    readonly address: string;
    readonly port: number;
    readonly dnsPort: number;
  };
}

/** Counts that make no network. */
export class PlanError extends CepaError {
  constructor(message: string) {
    super('testnet-plan', message);
  }
}

/** Known to the exits' name server and to nobody else (RFC 2606 keeps .test out of the public DNS). */
export const DEMO_HOST = 'demo.cepa.test';

/** 127.1 to 127.250: enough for an address each. */
const MAX_NODES = 240;
/** Authorities a voting test network can have in C tor's and Cepa's tests of majority. */
const MAX_AUTHORITIES = 21;
/** Least relays for a path: guard, middle, exit. */
const LEAST_RELAYS = 3;

function checkSize({ authorities, relays, exits }: NetworkSize): void {
  if (authorities < 1 || authorities > MAX_AUTHORITIES)
    throw new PlanError(`--authorities must be 1 to ${MAX_AUTHORITIES}, not ${authorities}`);
  if (relays < LEAST_RELAYS) throw new PlanError(`--relays must be ${LEAST_RELAYS} or more, not ${relays}`);
  if (exits < 1 || exits > relays - 2)
    throw new PlanError(`--exits must be 1 to ${relays - 2} for ${relays} relays, not ${exits}`);
  if (authorities + relays + 2 > MAX_NODES)
    throw new PlanError(
      `${authorities + relays} nodes are more than fit into 127.0.0.0/8 this way (${MAX_NODES - 2})`,
    );
}

/**
 * Lays out a network. Ports at each address: `basePort` OR, +1 directory, +2 demo site, +3 its name server.
 * Relays that are no exits are guards.
 */
export function planNetwork(size: NetworkSize, basePort: number): NetworkPlan {
  checkSize(size);
  const nodes: NodePlan[] = [];
  const add = (name: string, role: Role, exit: boolean, guard: boolean) => {
    const address = `127.${nodes.length + 1}.0.1`;
    const dirPort = role === 'authority' ? basePort + 1 : 0;
    nodes.push({ name, role, exit, guard, address, orPort: role === 'client' ? 0 : basePort, dirPort });
  };
  for (let i = 1; i <= size.authorities; i++) add(`auth${i}`, 'authority', false, false);
  for (let i = 1; i <= size.relays - size.exits; i++) add(`relay${i}`, 'relay', false, true);
  for (let i = 1; i <= size.exits; i++) add(`exit${i}`, 'relay', true, false);
  add('client', 'client', false, false);
  const address = `127.${nodes.length + 1}.0.1`;
  return {
    size,
    basePort,
    nodes,
    demo: { host: DEMO_HOST, address, port: basePort + 2, dnsPort: basePort + 3 },
  };
}

/** Every TCP endpoint of the plan. */
export function endpointsOf(plan: NetworkPlan): { host: string; port: number }[] {
  const endpoints = plan.nodes.flatMap((node) =>
    [node.orPort, node.dirPort].filter((port) => port > 0).map((port) => ({ host: node.address, port })),
  );
  return [...endpoints, { host: plan.demo.address, port: plan.demo.port }];
}
