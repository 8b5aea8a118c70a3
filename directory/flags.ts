/**
 * Which flags an authority votes for a relay (dir-spec 3.4.2; C tor `dirauth_set_routerstatus_from_routerinfo`).
 *
 * @module
 */
import type { RelaySet } from './relay-set.js';
import { claimedUptime, isActive, type RelayView, servesDirectory } from './relay-view.js';
import { credibleBandwidth, isExit, type Thresholds } from './thresholds.js';

/** Flags every authority votes on. */
const UNIVERSAL_FLAGS = [
  'Authority',
  'Exit',
  'Fast',
  'Guard',
  'HSDir',
  'Stable',
  'StaleDesc',
  'Sybil',
  'V2Dir',
  'Valid',
] as const;

/** Flags some vote on. */
const OPTIONAL_FLAGS = ['BadExit', 'MiddleOnly', 'Running'] as const;

/** Any flag of ours. */
export type Flag = (typeof UNIVERSAL_FLAGS)[number] | (typeof OPTIONAL_FLAGS)[number];

/** Which of the optional flags are voted on. */
export interface FlagChoice {
  readonly badExit: boolean;
  readonly middleOnly: boolean;
  /** False while the authority has not been up for long enough to tell who is. */
  readonly running: boolean;
}

/** The `known-flags` of our vote, sorted. */
export function knownFlags(choice: FlagChoice): Flag[] {
  const flags: Flag[] = [...UNIVERSAL_FLAGS];
  if (choice.badExit) flags.push('BadExit');
  if (choice.middleOnly) flags.push('MiddleOnly');
  if (choice.running) flags.push('Running');
  return flags.sort();
}

/** A descriptor older than this should have been replaced, milliseconds. */
const STALE_AGE = 18 * 3600 * 1000;

/** What the flags depend on besides the relay. */
export interface FlagInput {
  readonly thresholds: Thresholds;
  readonly choice: FlagChoice;
  /** Milliseconds. */
  readonly now: number;
  /** Seconds this authority has been up: its own view of uptimes counts only once it is long enough. */
  readonly ownUptime: number;
  /** `MinUptimeHidServDirectoryV2`, seconds. */
  readonly hsDirUptime: number;
  readonly allowPrivate: boolean;
  /** Relays that get a flag whatever they are, in a testing network. */
  readonly forced:
    | { readonly exit: RelaySet; readonly guard: RelaySet; readonly hsDir: RelaySet }
    | undefined;
}

const isStable = (relay: RelayView, { thresholds, now }: FlagInput): boolean => {
  const { guarantees } = thresholds;
  if (thresholds.enoughMtbf) return relay.mtbf >= Math.min(thresholds.stableMtbf, guarantees.stableMtbf);
  const uptime = claimedUptime(relay.descriptor, now);
  return uptime >= Math.min(thresholds.stableUptime, guarantees.stableUptime);
};

function isHsDir(relay: RelayView, input: FlagInput): boolean {
  const { descriptor } = relay;
  const claimed = claimedUptime(descriptor, input.now);
  const uptime = input.ownUptime > input.hsDirUptime * 1.1 ? Math.min(relay.uptime, claimed) : claimed;
  return (
    descriptor.wantsHsDir &&
    servesDirectory(descriptor) &&
    uptime >= input.hsDirUptime &&
    isActive(relay, input.now)
  );
}

function isGuard(relay: RelayView, { thresholds }: FlagInput): boolean {
  if (!servesDirectory(relay.descriptor)) return false;
  const bandwidth = credibleBandwidth(relay, thresholds.ignoreClaims);
  const { guardBandwidthWithExits, guardBandwidthWithoutExits, guarantees } = thresholds;
  const bar = Math.min(guardBandwidthWithExits, guardBandwidthWithoutExits, guarantees.guardBandwidth);
  if (bandwidth < bar) return false;
  return relay.wfu >= thresholds.guardWfu && relay.timeKnown >= thresholds.guardTimeKnown;
}

/** Sets or clears a flag. */
const put = (flags: Set<Flag>, flag: Flag, on: boolean): void => {
  if (on) flags.add(flag);
  else flags.delete(flag);
};

/** A Sybil keeps only what is said against it. */
const asSybil = (flags: ReadonlySet<Flag>): Set<Flag> =>
  new Set<Flag>([
    'Sybil',
    ...[...flags].filter((f) => f === 'BadExit' || f === 'MiddleOnly' || f === 'StaleDesc'),
  ]);

/** The flags of one relay, sorted as votes have them. */
export function flagsOf(relay: RelayView, sybil: boolean, input: FlagInput): ReadonlySet<Flag> {
  const { descriptor } = relay;
  const { thresholds, choice, forced } = input;
  const flags = new Set<Flag>();
  const stable = isStable(relay, input);
  const fast = credibleBandwidth(relay, thresholds.ignoreClaims) >= thresholds.fast;
  put(flags, 'Authority', relay.authority);
  put(flags, 'Valid', relay.valid);
  put(flags, 'Running', relay.running);
  put(flags, 'Stable', stable);
  put(flags, 'Fast', fast);
  put(flags, 'Exit', isExit(relay, input.allowPrivate));
  put(flags, 'V2Dir', servesDirectory(descriptor));
  put(flags, 'HSDir', stable && fast && isHsDir(relay, input));
  put(flags, 'Guard', stable && fast && isGuard(relay, input));
  put(flags, 'BadExit', choice.badExit && relay.badExit);
  if (choice.middleOnly && relay.middleOnly) {
    put(flags, 'MiddleOnly', true);
    put(flags, 'BadExit', choice.badExit);
    for (const flag of ['Exit', 'Guard', 'HSDir', 'V2Dir'] as const) flags.delete(flag);
  }
  if (relay.stripGuard) flags.delete('Guard');
  if (relay.stripHsDir) flags.delete('HSDir');
  if (relay.stripV2Dir) flags.delete('V2Dir');
  put(flags, 'StaleDesc', descriptor.published + STALE_AGE < input.now);
  if (forced?.exit(descriptor)) flags.add('Exit');
  if (forced?.guard(descriptor)) flags.add('Guard');
  if (forced?.hsDir(descriptor)) flags.add('HSDir');

  const result = sybil ? asSybil(flags) : flags;
  if (!choice.running) result.delete('Running');
  return new Set([...result].sort());
}
