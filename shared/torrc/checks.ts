/**
 * Rules that concern more than one option, or the role a process plays (C tor: options_validate_cb,
 * options_validate_dirauth_schedule, options_validate_dirauth_testing, options_validate_relay_bandwidth).
 *
 * @module
 */
import type { Options } from './options.js';
import type { OptionName } from './table.js';
import type { Role } from './table-types.js';

const second = 1000;
const minute = 60 * second;
const day = 24 * 60 * minute;

/** Least bandwidth of a relay (C tor: RELAY_REQUIRED_MIN_BANDWIDTH). */
const LEAST_BANDWIDTH = 75 * 1024;

/** What a rule looks at. */
export interface Checked {
  readonly options: Options;
  readonly given: ReadonlySet<string>;
  readonly role: Role | undefined;
}

/** A rule. `about` tells which lines a complaint points at: the first of them that was given. */
export interface Rule {
  readonly about: readonly OptionName[];
  readonly severity: 'error' | 'warning';
  /** The complaint, or undefined. */
  check(checked: Checked): string | undefined;
}

const error = (about: OptionName[], check: (checked: Checked) => string | false | undefined): Rule => ({
  about,
  severity: 'error',
  check: (checked) => check(checked) || undefined,
});

const warning = (about: OptionName[], check: (checked: Checked) => string | false | undefined): Rule => ({
  ...error(about, check),
  severity: 'warning',
});

const relays = ({ role }: Checked) => role === 'relay' || role === 'authority';
const votes = ({ role, options }: Checked) => role === 'authority' || options.V3AuthoritativeDirectory;
const isLoopback = (host: string | undefined) =>
  host === undefined || host === '::1' || host === 'localhost' || host.startsWith('127.');

const roleRules: Rule[] = [
  error(
    ['DirAuthority'],
    ({ options, role }) =>
      role !== undefined &&
      options.DirAuthority.length === 0 &&
      'no DirAuthority line: a network has at least one directory authority, and Cepa has none built in',
  ),
  error(
    ['ORPort'],
    (checked) =>
      relays(checked) &&
      checked.options.ORPort.length === 0 &&
      `${checked.role === 'relay' ? 'a relay' : 'an authority'} needs an ORPort`,
  ),
  error(
    ['DirPort'],
    ({ options, role }) =>
      role === 'authority' &&
      options.DirPort.length === 0 &&
      'an authority needs a DirPort: relays upload and authorities vote there',
  ),
  error(['AuthoritativeDirectory', 'V3AuthoritativeDirectory'], ({ options, given, role }) => {
    const refused =
      (given.has('AuthoritativeDirectory') && !options.AuthoritativeDirectory) ||
      (given.has('V3AuthoritativeDirectory') && !options.V3AuthoritativeDirectory);
    if (role === 'authority' && refused) return '`cepa authority` cannot run with this at 0';
    const wanted = options.AuthoritativeDirectory || options.V3AuthoritativeDirectory;
    return role !== undefined && role !== 'authority' && wanted && 'start an authority with `cepa authority`';
  }),
  error(
    ['ContactInfo'],
    ({ options, role }) =>
      role === 'authority' &&
      options.ContactInfo === undefined &&
      !options.TestingTorNetwork &&
      'an authority must set ContactInfo',
  ),
  error(
    ['DisableNetwork'],
    ({ options, role }) =>
      role === 'authority' && options.DisableNetwork && 'an authority cannot do without the network',
  ),
  error(
    ['ClientOnly'],
    (checked) => relays(checked) && checked.options.ClientOnly && `a ${checked.role} cannot be ClientOnly`,
  ),
  warning(
    ['ContactInfo'],
    ({ options, role }) =>
      role === 'relay' &&
      options.ContactInfo === undefined &&
      !options.TestingTorNetwork &&
      'no ContactInfo: nobody can tell the operator when something is wrong with this relay',
  ),
];

/** The limits by their options. Of the second, one that is not given (0) is what the other is. */
const LIMITS = [
  ['BandwidthRate', 'BandwidthBurst', (limit: number) => limit],
  ['RelayBandwidthRate', 'RelayBandwidthBurst', (limit: number, other: number) => limit || other],
] as const;

const bandwidthRules: Rule[] = [
  ...LIMITS.flatMap(([rate, burst, limitOf]) => [
    error([burst, rate], ({ options }) => {
      const low = limitOf(options[burst], options[rate]) < limitOf(options[rate], options[burst]);
      return low && `${burst} must be at least ${rate}`;
    }),
    error([rate, burst], (checked) => {
      const value = limitOf(checked.options[rate], checked.options[burst]);
      const unlimited = value === 0 && rate === 'RelayBandwidthRate';
      return (
        relays(checked) &&
        !unlimited &&
        value < LEAST_BANDWIDTH &&
        `${rate} must be at least 75 KBytes on a relay`
      );
    }),
  ]),
  error(['MaxAdvertisedBandwidth'], (checked) => {
    const low = checked.options.MaxAdvertisedBandwidth < LEAST_BANDWIDTH / 2;
    return relays(checked) && low && 'MaxAdvertisedBandwidth must be at least 37.5 KBytes on a relay';
  }),
];

/** Least DoS period (C tor: DOS_CONN_CONNECT_DEFENSE_TIME_PERIOD_MIN). */
const LEAST_DOS_PERIOD = 10 * second;
const MEGABYTE = 1024 ** 2;
/** Least MaxMemInQueues that leaves room to work (C tor: 256 MB on a 64-bit machine). */
const LEAST_MEMORY = 256 * MEGABYTE;

const relayRules: Rule[] = [
  error(['AssumeReachableIPv6', 'AssumeReachable'], ({ options }) => {
    const odd = options.AssumeReachable && options.AssumeReachableIPv6 === false;
    return odd && 'AssumeReachable 1 and AssumeReachableIPv6 0 contradict each other';
  }),
  error(['FamilyId'], ({ options }) => {
    const bad = options.FamilyId.find((id) => id !== '*' && !/^(ed25519:)?[A-Za-z0-9+/]{43}$/.test(id));
    return bad !== undefined && `FamilyId "${bad}" is neither * nor a key of 43 characters of base64`;
  }),
  error(['MyFamily'], ({ options }) => {
    const bad = options.MyFamily.find(
      (member) => !/^(\$?[0-9A-Fa-f]{40}([=~][A-Za-z0-9]{1,19})?|[A-Za-z0-9]{1,19})$/.test(member),
    );
    return bad !== undefined && `MyFamily: "${bad}" is not a fingerprint of 40 hex digits`;
  }),
  error(['DoSConnectionConnectDefenseTimePeriod'], ({ options }) => {
    const period = options.DoSConnectionConnectDefenseTimePeriod;
    return (
      period > 0 &&
      period < LEAST_DOS_PERIOD &&
      'DoSConnectionConnectDefenseTimePeriod must be 10 seconds or more'
    );
  }),
  error(['SigningKeyLifetime'], ({ options, role }) => {
    const short = options.SigningKeyLifetime < 2 * day;
    return role !== 'client' && short && 'SigningKeyLifetime must be 2 days or more';
  }),
  warning(['MaxMemInQueues'], (checked) => {
    const bytes = checked.options.MaxMemInQueues;
    const low = relays(checked) && bytes > 0 && bytes < LEAST_MEMORY && !checked.options.TestingTorNetwork;
    return low && 'MaxMemInQueues below 256 MBytes makes a busy relay kill circuits it could have served';
  }),
  warning(['AccountingMax'], (checked) => {
    const { AccountingMax, DirPort } = checked.options;
    return (
      checked.role === 'authority' &&
      AccountingMax > 0 &&
      DirPort.length > 0 &&
      'an authority that hibernates does not vote: AccountingMax should be 0'
    );
  }),
];

/** Rules of the voting schedule, C tor's to the second, so that mixed authorities can follow one. */
const scheduleRules: Rule[] = [
  error(['V3AuthVoteDelay', 'V3AuthDistDelay', 'V3AuthVotingInterval'], (checked) => {
    const { V3AuthVoteDelay, V3AuthDistDelay, V3AuthVotingInterval } = checked.options;
    return (
      votes(checked) &&
      V3AuthVoteDelay + V3AuthDistDelay >= V3AuthVotingInterval / 2 &&
      'V3AuthVoteDelay plus V3AuthDistDelay must be less than half of V3AuthVotingInterval'
    );
  }),
  ...(['V3AuthVoteDelay', 'V3AuthDistDelay'] as const).map((name) =>
    error(
      [name],
      (checked) =>
        votes(checked) && checked.options[name] < 2 * second && `${name} must be 2 seconds or more`,
    ),
  ),
  error(['V3AuthVotingInterval'], (checked) => {
    const { V3AuthVotingInterval: interval, TestingTorNetwork } = checked.options;
    const least = TestingTorNetwork ? 10 * second : 5 * minute;
    if (!votes(checked)) return undefined;
    if (interval < least) return `V3AuthVotingInterval must be ${least / second} seconds or more`;
    return interval > day && 'V3AuthVotingInterval must be a day or less';
  }),
  warning(['V3AuthVotingInterval'], (checked) => {
    const interval = checked.options.V3AuthVotingInterval;
    return (
      votes(checked) && interval > 0 && day % interval !== 0 && 'V3AuthVotingInterval does not divide a day'
    );
  }),
  error(['TestingV3AuthInitialVotingInterval'], (checked) => {
    const interval = checked.options.TestingV3AuthInitialVotingInterval;
    if (!votes(checked)) return undefined;
    if (interval < 5 * second) return 'TestingV3AuthInitialVotingInterval must be 5 seconds or more';
    return (30 * minute) % interval !== 0 && 'TestingV3AuthInitialVotingInterval must divide 30 minutes';
  }),
  ...(['TestingV3AuthInitialVoteDelay', 'TestingV3AuthInitialDistDelay'] as const).map((name) =>
    error(
      [name],
      (checked) =>
        votes(checked) && checked.options[name] < 2 * second && `${name} must be 2 seconds or more`,
    ),
  ),
  error(['TestingV3AuthInitialVoteDelay', 'TestingV3AuthInitialDistDelay'], (checked) => {
    const o = checked.options;
    const sum = o.TestingV3AuthInitialVoteDelay + o.TestingV3AuthInitialDistDelay;
    return (
      votes(checked) &&
      sum >= o.TestingV3AuthInitialVotingInterval &&
      'TestingV3AuthInitialVoteDelay plus TestingV3AuthInitialDistDelay must be less than TestingV3AuthInitialVotingInterval'
    );
  }),
  error(['TestingV3AuthVotingStartOffset'], (checked) => {
    const o = checked.options;
    const most = Math.min(o.TestingV3AuthInitialVotingInterval, o.V3AuthVotingInterval);
    return (
      votes(checked) &&
      o.TestingV3AuthVotingStartOffset > most &&
      'TestingV3AuthVotingStartOffset must be less than the voting interval'
    );
  }),
];

const clientRules: Rule[] = (['SocksPort', 'HTTPTunnelPort'] as const).map((name) =>
  warning([name], ({ options, role }) => {
    const open = options[name].find((port) => !isLoopback(port.host));
    if (role !== 'client' || !open || options.SocksPolicy.length > 0) return undefined;
    return `${name} on ${open.host} lets everybody who can connect there use this client; see SocksPolicy`;
  }),
);

/** C tor: config_validate_service, hs_config_service_all. */
const serviceRules: Rule[] = [
  error(
    ['HiddenServiceDir'],
    ({ options }) =>
      options.HiddenServiceDir[0]?.directory === '' &&
      'lines of an onion service come before its HiddenServiceDir',
  ),
  error(['HiddenServiceDir'], ({ options }) => {
    const bare = options.HiddenServiceDir.find(
      ({ directory, ports }) => directory !== '' && ports.length === 0,
    );
    return bare && `the onion service in ${bare.directory} has no HiddenServicePort`;
  }),
  error(['HiddenServiceDir'], ({ options }) => {
    const all = options.HiddenServiceDir.map(({ directory }) => directory);
    const twice = all.find((directory, i) => all.indexOf(directory) < i);
    return twice !== undefined && `two onion services are in ${twice}`;
  }),
  error(['HiddenServiceDir'], ({ options }) => {
    const wrong = options.HiddenServiceDir.find(
      ({ introDosRate = 25, introDosBurst = 200 }) => introDosBurst < introDosRate,
    );
    return (
      wrong &&
      `HiddenServiceEnableIntroDoSBurstPerSec must be at least HiddenServiceEnableIntroDoSRatePerSec (${wrong.directory})`
    );
  }),
];

/** A range of times, milliseconds. */
interface Range {
  readonly name: OptionName &
    (
      | 'CircuitsAvailableTimeout'
      | 'MaxCircuitDirtiness'
      | 'CircuitStreamTimeout'
      | 'GuardLifetime'
      | 'HeartbeatPeriod'
    );
  readonly least: number;
  readonly most: number;
  /** Whether 0 stands for something else. */
  readonly zero: boolean;
  /** Whether a test network may leave it. */
  readonly testing?: boolean;
}

/** Times that are pulled into a range, rather than refused (C tor: options_validate_cb, and tor(1) for GuardLifetime). */
export const RANGES: readonly Range[] = [
  { name: 'MaxCircuitDirtiness', least: 10 * second, most: 30 * day, zero: false },
  { name: 'CircuitsAvailableTimeout', least: 0, most: day, zero: true },
  { name: 'CircuitStreamTimeout', least: 10 * second, most: Number.POSITIVE_INFINITY, zero: true },
  { name: 'GuardLifetime', least: 2_629_728 * second, most: 5 * 365 * day, zero: true },
  // More often, it would fill the log (MIN_HEARTBEAT_PERIOD).
  { name: 'HeartbeatPeriod', least: 30 * minute, most: Number.POSITIVE_INFINITY, zero: true, testing: true },
];

/** Every rule. */
export const RULES: readonly Rule[] = [
  ...roleRules,
  ...bandwidthRules,
  ...relayRules,
  ...scheduleRules,
  ...clientRules,
  ...serviceRules,
];
