/**
 * The torrc of a node in a container, and what all of the network share.
 *
 * @module
 */
import { join } from 'node:path';
import type { Role } from '../../shared/torrc/table-types.js';
import type { NodePlan } from '../plan.js';
import {
  type AuthorityIdentity,
  LOCAL_FLOW,
  REFUSED_PORT,
  sharedLines,
  type VotingTimes,
} from '../torrc-of.js';
import { DIR_PORT, METRICS_PORT, OR_PORT } from './ports.js';

/** What authorities are called by all: names that lead to the address they advertise. */
const AUTHORITY_DOMAIN = 'cepa.test';

/**
 * Nobody knows when which container starts, and whoever misses a vote waits for the next: so they come as often as C
 * tor lets them (MIN_VOTE_INTERVAL_TESTING), with its least delays.
 */
const VOTING: VotingTimes = { first: 10, firstDelay: 2, offset: 0, interval: 10, delay: 2 };

/** What a container can be. */
export type ContainerRole = 'authority' | 'relay' | 'exit' | 'client' | 'service';

/** The role its process plays. */
export const processRole = (role: ContainerRole): Role =>
  role === 'exit' ? 'relay' : role === 'service' ? 'client' : role;

/** A node in a container. */
export interface ContainerNode {
  readonly role: ContainerRole;
  /** Nickname, and name of its directory. */
  readonly name: string;
  /** Where what is kept is kept: on a volume. */
  readonly data: string;
  /** The torrc that all share. */
  readonly network: string;
  /** What it advertises; relays only. */
  readonly address?: string;
  /** Address and port of a client's SOCKS proxy. */
  readonly socks?: string;
  /** Host and port of the server behind an onion service. */
  readonly site?: string;
}

/** An authority as all know it. */
export const authorityPlan = (name: string): NodePlan => ({
  name,
  role: 'authority',
  exit: false,
  guard: false,
  address: `${name}.${AUTHORITY_DOMAIN}`,
  orPort: OR_PORT,
  dirPort: DIR_PORT,
});

/** The torrc that all share. */
export function networkTorrc(authorities: ReadonlyMap<string, AuthorityIdentity>): string {
  const nodes = [...authorities.keys()].map(authorityPlan);
  return [
    '# What every member of this private network says. Made by the container that makes the keys.',
    ...sharedLines({ plan: { nodes }, authorities, voting: VOTING }),
    '',
  ].join('\n');
}

function relayLines({ role, name, address }: ContainerNode): string[] {
  const relay = [`Nickname ${name}`, `Address ${address}`, `ORPort ${OR_PORT}`, 'ShutdownWaitLength 0'];
  switch (role) {
    case 'authority':
      return [
        ...relay,
        'AuthoritativeDirectory 1',
        'V3AuthoritativeDirectory 1',
        `DirPort ${DIR_PORT}`,
        'ContactInfo containers@invalid',
        LOCAL_FLOW,
        // A machine that is busy misses a vote or two.
        'V3AuthNIntervalsValid 6',
        // Nothing is old or fast enough yet to earn these.
        'TestingDirAuthVoteGuard *',
        'TestingDirAuthVoteHSDir *',
        'ExitPolicy reject *:*',
      ];
    case 'exit':
      return [...relay, 'ExitRelay 1', `ExitPolicy reject *:${REFUSED_PORT}`, 'ExitPolicy accept *:*'];
    default:
      return [...relay, 'ExitRelay 0', 'ExitPolicy reject *:*'];
  }
}

function clientLines(node: ContainerNode): string[] {
  if (node.role === 'client') return [`SocksPort ${node.socks}`];
  return [
    'SocksPort 0',
    `HiddenServiceDir ${join(node.data, node.name, 'onion')}`,
    `HiddenServicePort 80 ${node.site}`,
  ];
}

/** The torrc of one node. */
export function containerTorrc(node: ContainerNode): string {
  return [
    `# ${node.name}; written anew whenever its container starts.`,
    `%include ${node.network}`,
    `DataDirectory ${join(node.data, node.name)}`,
    'Log notice stdout',
    `MetricsPort 127.0.0.1:${METRICS_PORT}`,
    ...(processRole(node.role) === 'client' ? clientLines(node) : relayLines(node)),
    '',
  ].join('\n');
}
