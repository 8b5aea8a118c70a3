/**
 * Options of relays (and of authorities, which are relays too).
 *
 * @module
 */
import { accountingRule, accountingStart } from './accounting.js';
import {
  autoBool,
  bool,
  briefTime,
  integer,
  itemLines,
  lines,
  path,
  ports,
  size,
  time,
  words,
} from './kinds.js';
import type { Options } from './options.js';
import type { Role, Rows } from './table-types.js';

type RelayOptions =
  | 'ORPort'
  | 'DirPort'
  | 'Address'
  | 'OutboundBindAddress'
  | 'OutboundBindAddressOR'
  | 'OutboundBindAddressExit'
  | 'ExitRelay'
  | 'ExitPolicy'
  | 'ReducedExitPolicy'
  | 'ExitPolicyRejectPrivate'
  | 'IPv6Exit'
  | 'MyFamily'
  | 'FamilyId'
  | 'FamilyKeyDirectory'
  | 'OfflineMasterKey'
  | 'SigningKeyLifetime'
  | 'BandwidthRate'
  | 'BandwidthBurst'
  | 'RelayBandwidthRate'
  | 'RelayBandwidthBurst'
  | 'MaxAdvertisedBandwidth'
  | 'AccountingMax'
  | 'AccountingStart'
  | 'AccountingRule'
  | 'DirCache'
  | 'AssumeReachable'
  | 'AssumeReachableIPv6'
  | 'PublishServerDescriptor'
  | 'ServerDNSResolvConfFile'
  | 'ServerDNSAllowNonRFC953Hostnames'
  | 'ExtendAllowPrivateAddresses'
  | 'ClientRejectInternalAddresses'
  | 'RefuseUnknownExits'
  | 'ShutdownWaitLength'
  | 'NumCPUs'
  | 'MaxMemInQueues'
  | 'MaxOnionQueueDelay'
  | 'DirPortFrontPage';

const relays: readonly Role[] = ['authority', 'relay'];
const all: readonly Role[] = ['authority', 'relay', 'client'];
const ADVERTISING = ['noadvertise', 'nolisten', 'ipv4only', 'ipv6only'];

export const relayRows: Rows<RelayOptions & keyof Options> = {
  ORPort: {
    kind: ports(ADVERTISING),
    default: '0',
    roles: relays,
    help: 'Where other relays and clients connect. Flags: NoAdvertise, NoListen, IPv4Only, IPv6Only.',
  },
  DirPort: {
    kind: ports(ADVERTISING),
    default: '0',
    roles: relays,
    help: 'Plain HTTP for directory documents. Only authorities need it; relays serve over the ORPort.',
  },
  Address: {
    kind: lines('ADDRESS'),
    roles: relays,
    help: 'The public address, or a name for it; once for IPv4 and once for IPv6. Found out when not given.',
  },
  OutboundBindAddress: {
    kind: lines('ADDRESS'),
    roles: all,
    help: 'Source address of outgoing connections; once for each IP version.',
  },
  OutboundBindAddressOR: {
    kind: lines('ADDRESS'),
    roles: all,
    help: 'The same for links and directory connections alone.',
  },
  OutboundBindAddressExit: {
    kind: lines('ADDRESS'),
    roles: relays,
    help: 'The same for what streams leave by: others see it as the address of who sits behind them.',
  },
  ExitRelay: {
    kind: autoBool,
    default: 'auto',
    roles: relays,
    help: 'Let streams leave for destinations outside. auto: only with an ExitPolicy, ReducedExitPolicy 1 or IPv6Exit 1.',
  },
  ExitPolicy: {
    kind: lines('accept|reject[6] ADDR[/MASK]:PORT[-PORT],…'),
    roles: relays,
    help: 'Destinations an exit serves; the first match decides. "private" and "*" stand for addresses.',
  },
  ReducedExitPolicy: {
    kind: bool,
    default: '0',
    roles: relays,
    help: 'Behind the ExitPolicy lines, let through some eighty ports of common services instead of most.',
  },
  ExitPolicyRejectPrivate: {
    kind: bool,
    default: '1',
    testing: '0',
    roles: relays,
    help: 'Refuse private networks, and this relay itself, before the ExitPolicy is looked at.',
  },
  IPv6Exit: { kind: bool, default: '0', roles: relays, help: 'Let streams leave over IPv6.' },
  MyFamily: {
    kind: itemLines('FINGERPRINT,…'),
    roles: relays,
    help: 'Other relays of the same operator; clients use one of a family per circuit. Every one lists the others.',
  },
  FamilyId: {
    kind: lines('[ed25519:]BASE64|*'),
    roles: relays,
    help: 'The family of this relay by its family key (see `cepa keygen family`). *: every key that is there.',
  },
  FamilyKeyDirectory: {
    kind: path,
    roles: relays,
    help: 'Where secret family keys (*.secret_family_key) are. Default: keys/ in the DataDirectory.',
  },
  OfflineMasterKey: {
    kind: bool,
    default: '0',
    roles: relays,
    help: 'Never read or make the Ed25519 master key: it is kept elsewhere. See `cepa keygen relay`.',
  },
  SigningKeyLifetime: {
    kind: time,
    default: '30 days',
    roles: relays,
    help: 'How long a new Ed25519 signing key lasts.',
  },
  BandwidthRate: {
    kind: size,
    default: '1 GB',
    roles: all,
    help: 'Bytes a second, each way, in the long run.',
  },
  BandwidthBurst: {
    kind: size,
    default: '1 GB',
    roles: all,
    help: 'Bytes that may go at once after a quiet time.',
  },
  RelayBandwidthRate: {
    kind: size,
    default: '0',
    roles: relays,
    help: 'As BandwidthRate, for what is relayed for others. 0: no limit of its own.',
  },
  RelayBandwidthBurst: {
    kind: size,
    default: '0',
    roles: relays,
    help: 'As BandwidthBurst, for what is relayed for others. 0: no limit of its own.',
  },
  MaxAdvertisedBandwidth: {
    kind: size,
    default: '1 GB',
    roles: relays,
    help: 'The most bandwidth the descriptor claims, to draw fewer clients.',
  },
  AccountingMax: {
    kind: size,
    default: '0',
    roles: relays,
    help: 'The most to transfer in one accounting period; then sleep until the next. 0: no limit.',
  },
  AccountingStart: {
    kind: accountingStart,
    default: 'month 1 00:00',
    roles: relays,
    help: 'When an accounting period begins, in UTC. Week days count from 1, Monday.',
  },
  AccountingRule: {
    kind: accountingRule,
    default: 'max',
    roles: relays,
    help: 'What counts: the larger of both directions, their sum, or one of them.',
  },
  DirCache: { kind: bool, default: '1', roles: relays, help: 'Keep and serve directory documents.' },
  AssumeReachable: {
    kind: bool,
    default: '0',
    roles: relays,
    testing: '1',
    help: 'Publish without testing the ORPort from outside first. With TestingTorNetwork the default is 1.',
  },
  AssumeReachableIPv6: {
    kind: autoBool,
    default: 'auto',
    roles: relays,
    help: 'The same for the IPv6 ORPort. auto: as AssumeReachable, or as the consensus says.',
  },
  PublishServerDescriptor: {
    kind: words(
      { '0': false, '1': true, v3: true },
      { bridge: 'is not served: Cepa has no bridge authority to publish to' },
    ),
    default: '1',
    roles: relays,
    help: 'Upload the descriptor to the authorities.',
  },
  ServerDNSResolvConfFile: {
    kind: path,
    roles: relays,
    help: 'Nameservers for exit streams, in resolv.conf format; "nameserver ADDRESS[:PORT]". Default: the system resolver.',
  },
  ServerDNSAllowNonRFC953Hostnames: {
    kind: bool,
    default: '0',
    roles: relays,
    help: 'Resolve names with characters that host names do not have.',
  },
  ExtendAllowPrivateAddresses: {
    kind: bool,
    default: '0',
    testing: '1',
    roles: all,
    help: 'Extend circuits to relays at private addresses.',
  },
  ClientRejectInternalAddresses: {
    kind: bool,
    default: '1',
    testing: '0',
    roles: ['client'],
    help: 'Refuse to ask exits for private addresses.',
  },
  RefuseUnknownExits: {
    kind: autoBool,
    default: 'auto',
    roles: relays,
    help: 'Refuse exit streams of clients that use this relay as their only hop. auto: as the consensus says.',
  },
  ShutdownWaitLength: {
    kind: time,
    default: '30 seconds',
    roles: relays,
    help: 'After the first SIGTERM or SIGINT, finish what runs for so long.',
  },
  NumCPUs: {
    kind: integer(0, 128),
    default: '0',
    roles: all,
    help: 'Cores to use. From 2 on, links have a thread of their own; 0 is 1, which costs the least CPU time.',
  },
  MaxMemInQueues: {
    kind: size,
    default: '0',
    roles: all,
    help: 'Memory for queues; past it whoever holds the oldest data ends first. 0: from the memory there is.',
  },
  MaxOnionQueueDelay: {
    kind: briefTime,
    default: '0',
    roles: relays,
    help: 'New circuits wait for as many others as are answered in this time; beyond it the oldest are dropped. 0: what the consensus says (1750 msec).',
  },
  DirPortFrontPage: {
    kind: path,
    roles: relays,
    help: 'An HTML file that the directory port shows to whoever asks for /.',
  },
};
