/**
 * The torrc of every node of a testnet, and the fragment with which other programs join it.
 *
 * @module
 */
import { join } from 'node:path';
import type { NetworkPlan, NodePlan } from './plan.js';

/** Who an authority is, as DirAuthority lines say it. */
export interface AuthorityIdentity {
  /** SHA-1 of the RSA relay identity, upper-case hex. */
  readonly fingerprint: string;
  /** SHA-1 of the authority identity key, upper-case hex. */
  readonly v3ident: string;
}

/** What every member of a network has to know of it. */
export interface SharedContext {
  readonly plan: Pick<NetworkPlan, 'nodes'>;
  /** By the authority's name. */
  readonly authorities: ReadonlyMap<string, AuthorityIdentity>;
  readonly voting: VotingTimes;
}

/** What the lines need besides the plan. */
export interface TorrcContext extends SharedContext {
  readonly plan: NetworkPlan;
  readonly directory: string;
  readonly socks: string;
  /** Lines of a node's own, on top. */
  readonly more?: (node: NodePlan) => readonly string[];
}

/** A voting schedule, in whole seconds. */
export interface VotingTimes {
  /** Interval and delays until the first consensus. */
  readonly first: number;
  readonly firstDelay: number;
  /** Moves the intervals, which start at multiples of themselves from midnight. */
  readonly offset: number;
  /** Interval and delays after it. */
  readonly interval: number;
  readonly delay: number;
}

/** Refused on every exit, so that a refusal can be seen. */
export const REFUSED_PORT = 25;

/**
 * What authorities of a network on one machine vote for congestion control. A round trip there is mostly waiting for a
 * processor, and a node that gets one pays for waking up whatever it finds: by C tor's defaults a circuit keeps 186 to
 * 248 cells waiting somewhere, some 20 KB a process. With twice that, each byte needs a tenth less CPU time
 * (docs/performance.md). `cc_sendme_inc` stays as it is: both ends must agree on it, also while one of them has no
 * consensus yet.
 */
export const LOCAL_FLOW = `ConsensusParams ${[
  'cc_vegas_alpha_exit=400',
  'cc_vegas_beta_exit=533',
  'cc_vegas_gamma_exit=400',
  'cc_vegas_delta_exit=800',
  'cc_vegas_alpha_onion=600',
  'cc_vegas_beta_onion=1000',
  'cc_vegas_gamma_onion=800',
  'cc_vegas_delta_onion=1400',
].join(' ')}`;

function dirAuthorityLines({ plan, authorities }: SharedContext): string[] {
  return plan.nodes
    .filter((node) => node.role === 'authority')
    .map((node) => {
      const id = authorities.get(node.name);
      if (!id) throw new Error(`no identity of ${node.name}`);
      return `DirAuthority ${node.name} orport=${node.orPort} no-v2 v3ident=${id.v3ident} ${node.address}:${node.dirPort} ${id.fingerprint}`;
    });
}

/** What every member of the network says, Cepa or C tor. */
export function sharedLines(context: SharedContext): string[] {
  return [
    'TestingTorNetwork 1',
    ...dirAuthorityLines(context),
    // TestingTorNetwork takes this rule away; every node here has a /16 of its own, so it can stay.
    'EnforceDistinctSubnets 1',
    'AssumeReachable 1',
    `TestingV3AuthInitialVotingInterval ${context.voting.first} seconds`,
    `TestingV3AuthInitialVoteDelay ${context.voting.firstDelay} seconds`,
    `TestingV3AuthInitialDistDelay ${context.voting.firstDelay} seconds`,
    `TestingV3AuthVotingStartOffset ${context.voting.offset} seconds`,
    `V3AuthVotingInterval ${context.voting.interval} seconds`,
    `V3AuthVoteDelay ${context.voting.delay} seconds`,
    `V3AuthDistDelay ${context.voting.delay} seconds`,
  ];
}

/** The fragment other programs include: CEPA_TORRC. */
export function joinTorrc(context: TorrcContext): string {
  return [
    '# Joins this private network. Include it in the torrc of any Tor program, Cepa or C tor.',
    ...sharedLines(context),
    '',
  ].join('\n');
}

function roleLines(node: NodePlan, { plan, directory, socks }: TorrcContext): string[] {
  if (node.role === 'client') return [`SocksPort ${socks}`];
  const relay = [
    `Nickname ${node.name}`,
    `Address ${node.address}`,
    `ORPort ${node.address}:${node.orPort}`,
    'SocksPort 0',
    'ShutdownWaitLength 0',
  ];
  if (node.role === 'authority') {
    const guards = plan.nodes.filter((other) => other.guard).map((other) => other.address);
    return [
      ...relay,
      'AuthoritativeDirectory 1',
      'V3AuthoritativeDirectory 1',
      `DirPort ${node.address}:${node.dirPort}`,
      'ContactInfo testnet@invalid',
      LOCAL_FLOW,
      // Nothing is old or fast enough yet to earn these.
      `TestingDirAuthVoteGuard ${guards.join(',')}`,
      'TestingDirAuthVoteHSDir *',
      'ExitPolicy reject *:*',
    ];
  }
  if (!node.exit) return [...relay, 'ExitRelay 0', 'ExitPolicy reject *:*'];
  return [
    ...relay,
    'ExitRelay 1',
    `ExitPolicy reject *:${REFUSED_PORT}`,
    'ExitPolicy accept *:*',
    pathLine('ServerDNSResolvConfFile', join(directory, 'resolv.conf')),
  ];
}

/** A line with a path in its value, in quotes where the path has what a torrc takes for something else. */
export const pathLine = (name: string, value: string): string =>
  /[#"\\]/.test(value) ? `${name} "${value.replace(/["\\]/g, '\\$&')}"` : `${name} ${value}`;

/** A node's directory. */
export const nodeDirectory = (directory: string, node: Pick<NodePlan, 'name'>): string =>
  join(directory, 'nodes', node.name);

/** The whole torrc of a node. */
export function nodeTorrc(node: NodePlan, context: TorrcContext): string {
  const home = nodeDirectory(context.directory, node);
  return [
    `# ${node.name} of the testnet in ${context.directory}; written anew at each start.`,
    pathLine('DataDirectory', home),
    pathLine('Log', `notice file ${join(home, 'notice.log')}`),
    `OutboundBindAddress ${node.address}`,
    ...roleLines(node, context),
    ...sharedLines(context),
    ...(context.more?.(node) ?? []),
    '',
  ].join('\n');
}

/** The exits' resolv.conf: the name server that knows the demo site. */
export const resolvConf = ({ demo }: NetworkPlan): string => `nameserver ${demo.address}:${demo.dnsPort}\n`;
