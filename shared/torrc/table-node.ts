/**
 * Options of every role.
 *
 * @module
 */
import {
  authorities,
  bool,
  directory,
  fallbacks,
  lines,
  logs,
  nickname,
  oneLine,
  path,
  ports,
  time,
  words,
} from './kinds.js';
import type { Options } from './options.js';
import { ROLES as all, type Rows } from './table-types.js';

type NodeOptions =
  | 'DataDirectory'
  | 'Nickname'
  | 'ContactInfo'
  | 'DirAuthority'
  | 'FallbackDir'
  | 'TestingTorNetwork'
  | 'EnforceDistinctSubnets'
  | 'SafeLogging'
  | 'Log'
  | 'PidFile'
  | 'MetricsPort'
  | 'MetricsPortPolicy'
  | 'HeartbeatPeriod'
  | 'DisableNetwork'
  | 'ClientUseIPv6';

export const nodeRows: Rows<NodeOptions & keyof Options> = {
  DataDirectory: {
    kind: directory,
    default: '~/.cepa',
    roles: all,
    help: 'Where keys, documents and state are kept. One process at a time.',
  },
  Nickname: {
    kind: nickname,
    default: 'Unnamed',
    roles: ['authority', 'relay'],
    help: 'The name in the descriptor. It identifies nothing; the fingerprint does.',
  },
  ContactInfo: {
    kind: oneLine,
    roles: ['authority', 'relay'],
    help: 'How to reach the operator. Published in the descriptor.',
  },
  DirAuthority: {
    kind: authorities,
    roles: all,
    help: 'A directory authority of the network, once for each. Cepa has no network built in.',
  },
  FallbackDir: {
    kind: fallbacks,
    roles: ['client'],
    help: 'A directory cache to ask before an authority when there is no consensus yet.',
  },
  TestingTorNetwork: {
    kind: bool,
    default: '0',
    roles: all,
    help: 'Defaults for private networks: private addresses, short intervals, no waits. Never on a public network.',
  },
  EnforceDistinctSubnets: {
    kind: bool,
    default: '1',
    testing: '0',
    roles: ['client'],
    help: 'Never use two relays of one /16 (IPv6: /32) in a circuit.',
  },
  SafeLogging: {
    kind: words({ '0': false, '1': true, relay: true }),
    default: '1',
    roles: all,
    help: 'Write [scrubbed] for addresses of clients and destinations.',
  },
  Log: {
    kind: logs,
    default: 'notice stdout',
    roles: all,
    help: 'What to log where; several lines add up. Severities: debug, info, notice, warn, err.',
  },
  PidFile: {
    kind: path,
    roles: all,
    help: 'Write the process id here, and remove the file at a clean exit.',
  },
  MetricsPort: {
    kind: ports(['prometheus']),
    default: '0',
    roles: all,
    help: 'Serve Prometheus metrics, /healthz and /readyz over HTTP here. Keep it on a private address.',
  },
  MetricsPortPolicy: {
    kind: lines('accept|reject ADDR[/MASK],…'),
    roles: all,
    help: 'Who may read MetricsPort; the first match decides, others are refused. Default: this machine only.',
  },
  HeartbeatPeriod: {
    kind: time,
    default: '6 hours',
    roles: ['authority', 'relay'],
    help: 'How often to sum up in the log what the relay has done, at most every 30 minutes. 0: never.',
  },
  DisableNetwork: {
    kind: bool,
    default: '0',
    roles: ['relay', 'client'],
    help: 'Open no port and make no connection.',
  },
  ClientUseIPv6: {
    kind: bool,
    default: '1',
    roles: ['client'],
    help: 'Connect to relays over IPv6 too.',
  },
};
