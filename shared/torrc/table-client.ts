/**
 * Options of clients.
 *
 * @module
 */
import { autoBool, bool, integer, itemList, lines, portList, ports, time } from './kinds.js';
import type { Options } from './options.js';
import type { Role, Rows } from './table-types.js';

type ClientOptions =
  | 'SocksPort'
  | 'HTTPTunnelPort'
  | 'SocksPolicy'
  | 'SocksTimeout'
  | 'TestSocks'
  | 'WarnUnsafeSocks'
  | 'SafeSocks'
  | 'ExcludeNodes'
  | 'ExcludeExitNodes'
  | 'EntryNodes'
  | 'ExitNodes'
  | 'MiddleNodes'
  | 'NodeFamily'
  | 'StrictNodes'
  | 'AllowInvalidNodes'
  | 'UseEntryGuards'
  | 'NumEntryGuards'
  | 'NumDirectoryGuards'
  | 'GuardLifetime'
  | 'MaxCircuitDirtiness'
  | 'NewCircuitPeriod'
  | 'CircuitsAvailableTimeout'
  | 'ConnectionPadding'
  | 'ReducedConnectionPadding'
  | 'CircuitBuildTimeout'
  | 'LearnCircuitBuildTimeout'
  | 'CircuitStreamTimeout'
  | 'MaxClientCircuitsPending'
  | 'LongLivedPorts'
  | 'WarnPlaintextPorts'
  | 'RejectPlaintextPorts'
  | 'ClientOnly';

const roles: readonly Role[] = ['client'];
const NODES = 'FINGERPRINT|nickname|ADDR[/MASK],…';

/** What a SOCKS or HTTP port takes; `No` before one switches it off. */
const ISOLATION = [
  'isolateclientaddr',
  'isolatesocksauth',
  'isolateclientprotocol',
  'isolatedestport',
  'isolatedestaddr',
  'keepaliveisolatesocksauth',
  'sessiongroup=',
  'ipv4traffic',
  'ipv6traffic',
  'preferipv6',
  'dnsrequest',
  'oniontraffic',
  'oniontrafficonly',
  'extendederrors',
  'prefersocksnoauth',
  // Nothing changes with these: answers are not kept, and names not mapped to addresses.
  'cachedns',
  'cacheipv4dns',
  'cacheipv6dns',
  'usednscache',
  'useipv4cache',
  'useipv6cache',
  'preferipv6automap',
];

export const clientRows: Rows<ClientOptions & keyof Options> = {
  SocksPort: {
    kind: ports(ISOLATION),
    default: '9050',
    roles,
    help: 'Where programs connect by SOCKS4a or SOCKS5. Flags: IsolateDestAddr, IsolateDestPort, NoIsolateSOCKSAuth, ….',
  },
  HTTPTunnelPort: {
    kind: ports(ISOLATION),
    default: '0',
    roles,
    help: 'Where programs connect by HTTP CONNECT. Flags as for SocksPort.',
  },
  SocksPolicy: {
    kind: lines('accept|reject ADDR[/MASK],…'),
    roles,
    help: 'Who may connect to SocksPort; the first match decides.',
  },
  SocksTimeout: {
    kind: time,
    default: '2 minutes',
    roles,
    help: 'How long a program may take over its request, and the request waits for a circuit that can serve it.',
  },
  TestSocks: {
    kind: bool,
    default: '0',
    roles,
    help: 'Log for each SOCKS connection whether its request is safe.',
  },
  WarnUnsafeSocks: {
    kind: bool,
    default: '1',
    roles,
    help: 'Warn when a program gives an address instead of a name: it may have resolved it outside the network.',
  },
  SafeSocks: { kind: bool, default: '0', roles, help: 'Refuse such requests.' },
  ExcludeNodes: { kind: itemList(NODES), roles, help: 'Relays to avoid in every position.' },
  ExcludeExitNodes: { kind: itemList(NODES), roles, help: 'Relays to avoid as exits.' },
  EntryNodes: { kind: itemList(NODES), roles, help: 'Choose the first hop among these.' },
  ExitNodes: { kind: itemList(NODES), roles, help: 'Choose the exit among these.' },
  MiddleNodes: { kind: itemList(NODES), roles, help: 'Choose the middle hop among these.' },
  NodeFamily: {
    kind: lines(NODES),
    roles,
    help: 'Never two of these in one path; each line is a family.',
  },
  StrictNodes: {
    kind: bool,
    default: '0',
    roles,
    help: 'Keep to ExcludeNodes even when something then cannot work.',
  },
  AllowInvalidNodes: {
    kind: itemList('entry|exit|middle|introduction|rendezvous,…'),
    default: 'middle,rendezvous',
    roles,
    help: 'Positions in which relays without the Valid flag may stand.',
  },
  UseEntryGuards: { kind: bool, default: '1', roles, help: 'Keep to a few first hops for months.' },
  NumEntryGuards: {
    kind: integer(0, 100),
    default: '0',
    roles,
    help: 'Guards for circuits. 0: as the consensus says.',
  },
  NumDirectoryGuards: {
    kind: integer(0, 100),
    default: '0',
    roles,
    help: 'Guards for directory requests. 0: as the consensus says.',
  },
  GuardLifetime: {
    kind: time,
    default: '0',
    roles,
    help: 'How long to keep a guard, 1 month to 5 years. 0: as the consensus says.',
  },
  MaxCircuitDirtiness: {
    kind: time,
    default: '10 minutes',
    roles,
    help: 'A circuit takes new streams for so long after its first, 10 seconds to 30 days.',
  },
  NewCircuitPeriod: {
    kind: time,
    default: '30 seconds',
    roles,
    help: 'How often to look whether to build circuits ahead.',
  },
  CircuitsAvailableTimeout: {
    kind: time,
    default: '0',
    roles,
    help: 'How long circuits are kept ready after the last request, at least. 0: what the consensus says (30 minutes).',
  },
  ConnectionPadding: {
    kind: autoBool,
    default: 'auto',
    roles,
    help: 'Send padding on idle links: never (0), to relays that do so too (auto), or to all (1).',
  },
  ReducedConnectionPadding: {
    kind: bool,
    default: '0',
    roles,
    help: 'Pad links less, and keep unused ones and circuits for half as long: for mobile devices.',
  },
  CircuitBuildTimeout: {
    kind: time,
    default: '0',
    roles,
    help: 'Give up on a circuit that takes longer to build, until a time is learned, or always without learning. 0: as the consensus says.',
  },
  LearnCircuitBuildTimeout: {
    kind: bool,
    default: '1',
    roles,
    help: 'Learn the timeout from circuits built.',
  },
  CircuitStreamTimeout: {
    kind: time,
    default: '0',
    roles,
    help: 'Try a stream on another circuit after so long, 10 seconds or more. 0: a schedule of its own.',
  },
  MaxClientCircuitsPending: {
    kind: integer(1, 1024),
    default: '32',
    roles,
    help: 'Circuits being built at a time.',
  },
  LongLivedPorts: {
    kind: portList,
    default: '21,22,706,1863,5050,5190,5222,5223,6523,6667,6697,8300',
    roles,
    help: 'Ports whose streams last long: their circuits use only Stable relays.',
  },
  WarnPlaintextPorts: {
    kind: portList,
    default: '23,109,110,143',
    roles,
    help: 'Warn when a program connects to one of these: what it sends there is readable by the exit, and on.',
  },
  RejectPlaintextPorts: { kind: portList, default: '', roles, help: 'Refuse such connections to these.' },
  ClientOnly: { kind: bool, default: '0', roles, help: 'Never relay for others. `cepa client` never does.' },
};
