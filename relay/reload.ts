/**
 * What of a relay's configuration can change while it runs (SIGHUP), without losing a circuit.
 *
 * @module
 */
import type { Log } from '../shared/log/types.js';
import type { Options } from '../shared/torrc/options.js';

type Name = keyof Options;

/** What the descriptor tells: a change makes a new one. */
const DESCRIBED: readonly Name[] = [
  'Nickname',
  'ContactInfo',
  'MyFamily',
  'FamilyId',
  'ExitRelay',
  'ExitPolicy',
  'ReducedExitPolicy',
  'ExitPolicyRejectPrivate',
  'IPv6Exit',
  'MaxAdvertisedBandwidth',
  'BandwidthRate',
  'BandwidthBurst',
  'RelayBandwidthRate',
  'RelayBandwidthBurst',
  'AccountingMax',
  'AccountingStart',
  'AccountingRule',
  'ORPort',
  'Address',
];

/** What is looked at anew at each use, or is told to whom it concerns. */
const OTHERS: readonly Name[] = [
  'DirPort',
  'DirPortFrontPage',
  'AssumeReachable',
  'AssumeReachableIPv6',
  'PublishServerDescriptor',
  'RefuseUnknownExits',
  'ServerDNSAllowNonRFC953Hostnames',
  'ShutdownWaitLength',
  'MaxMemInQueues',
  'MaxOnionQueueDelay',
  'HeartbeatPeriod',
  'DoSCircuitCreationEnabled',
  'DoSCircuitCreationMinConnections',
  'DoSCircuitCreationRate',
  'DoSCircuitCreationBurst',
  'DoSCircuitCreationDefenseType',
  'DoSCircuitCreationDefenseTimePeriod',
  'DoSConnectionEnabled',
  'DoSConnectionMaxConcurrentCount',
  'DoSConnectionDefenseType',
  'DoSConnectionConnectRate',
  'DoSConnectionConnectBurst',
  'DoSConnectionConnectDefenseTimePeriod',
  'DoSStreamCreationEnabled',
  'DoSStreamCreationRate',
  'DoSStreamCreationBurst',
  'DoSStreamCreationDefenseType',
  'DoSRefuseSingleHopClientRendezvous',
];

/** Everything a running relay takes over. */
export const RELOADABLE: readonly Name[] = [...DESCRIBED, ...OTHERS];

const plain = (_: string, value: unknown) => (value instanceof Set ? [...value] : value);
const text = (value: unknown) => JSON.stringify(value, plain);

/** What a reading of the configuration changed. */
export interface Changes {
  /** Options that have another value now. */
  readonly names: ReadonlySet<Name>;
  /** Whether the descriptor has to say it. */
  readonly described: boolean;
}

/** Puts what can change into `options`, in place, so that everybody who holds them sees it. */
export function takeOver(options: Options, next: Options): Changes {
  const names = new Set(RELOADABLE.filter((name) => text(options[name]) !== text(next[name])));
  for (const name of names) Object.assign(options, { [name]: next[name] });
  return { names, described: DESCRIBED.some((name) => names.has(name)) };
}

/** Steps of a reload: one that cannot be done is told, and keeps nothing else from being taken over. */
export const stepsOf =
  (log: Log) =>
  (problem: string, done: Promise<void>): Promise<void> =>
    done.catch((error: Error) => log.error(`${problem}: ${error.message}`));
