/**
 * What a relay says of itself: its server descriptor and extra-info document (dir-spec 2.1.1, 2.1.2).
 *
 * @module
 */
import { toHex } from '../shared/bytes/text.js';
import type { Ed25519Signer } from '../shared/crypto/ed25519.js';
import type { RelayKeys } from '../shared/crypto/relay-keys.js';
import { limitsOf } from '../shared/limits/bandwidth-limit.js';
import { buildExtraInfo, parseExtraInfo } from '../shared/netdoc/extra-info.js';
import type { ExitPolicy } from '../shared/netdoc/policy.js';
import { parseProtocols } from '../shared/netdoc/protover.js';
import { buildServerDescriptor, parseServerDescriptor } from '../shared/netdoc/server-descriptor.js';
import type { ExtraInfo, ServerDescriptor } from '../shared/netdoc/types.js';
import type { Options } from '../shared/torrc/options.js';
import { canRunOut } from './accounting.js';
import { type BandwidthHistory, PERIOD } from './bandwidth.js';
import { accountingSettings } from './hibernation.js';
import type { SelfAddress } from './self.js';

/** Not `Tor …`: authorities would hold it against C tor's version numbers. */
const PLATFORM = 'Cepa 0.1.0 on Linux';

/**
 * Subprotocols that work here. Clients act on each number (spec-wise a promise): ntor-v3 and congestion control come
 * with Relay=4 and FlowCtrl=2, IPv6 extends with Relay=3, the DoS parameters of introduction points with HSIntro=5.
 */
const LINK_PROTOCOLS =
  'Cons=2 Desc=2 FlowCtrl=1-2 HSIntro=4-5 HSRend=1-2 Link=4-5 LinkAuth=3 Microdesc=2 Relay=2-4';
const DIRECTORY_PROTOCOLS = 'DirCache=2';
const HSDIR_PROTOCOLS = 'HSDir=2';

/** Both documents, with their parsed forms. */
export interface BuiltDocuments {
  readonly descriptor: string;
  readonly extraInfo: string;
  readonly parsed: { readonly descriptor: ServerDescriptor; readonly extraInfo: ExtraInfo };
}

/** What goes into them. */
export interface SelfDescription {
  readonly options: Options;
  readonly keys: RelayKeys;
  readonly address: SelfAddress;
  readonly policy: ExitPolicy;
  readonly history: BandwidthHistory;
  /** Wall clock, milliseconds. */
  readonly now: number;
  /** Seconds. */
  readonly uptime: number;
  readonly hibernating: boolean;
  /** Family keys that certify this relay. */
  readonly familyKeys: readonly Ed25519Signer[];
  /** Whether BEGIN_DIR is served. */
  readonly isDirectory: boolean;
  /** An authority says so in any case. */
  readonly isAuthority: boolean;
  /** Whether descriptors of onion services are kept. */
  readonly isHsDir?: boolean;
}

/** Makes both; undefined while no IPv4 OR address is known. */
export function buildOwnDocuments(self: SelfDescription): BuiltDocuments | undefined {
  const { options, keys, address, isDirectory, isHsDir = false, now } = self;
  const ipv4 = address.orAddress(4);
  if (!ipv4) return undefined;
  const ipv6 = address.orAddress(6);
  const published = Math.floor(now / 1000) * 1000;
  const nickname = options.Nickname;
  const extra = buildExtraInfo({ nickname, published, lines: historyLines(self.history) }, keys);
  const descriptor = buildServerDescriptor(
    {
      nickname,
      address: ipv4.host,
      orPort: ipv4.port,
      dirPort: address.dirPort,
      orAddresses: ipv6 ? [ipv6] : [],
      platform: PLATFORM,
      protocols: protocolsOf(isDirectory, isHsDir),
      published,
      uptime: self.uptime,
      bandwidth: bandwidthOf(options, self.hibernating ? 0 : self.history.observed()),
      extraInfoDigest: extra,
      cachesExtraInfo: isDirectory,
      family: familyOf(options, keys),
      familyKeys: self.familyKeys,
      hibernating: self.hibernating,
      ...(options.ContactInfo !== undefined && { contact: options.ContactInfo }),
      exitPolicy: self.policy,
      tunnelledDirServer: isDirectory && (self.isAuthority || offersDirectory(options, now)),
      hiddenServiceDir: isHsDir,
    },
    keys,
  );
  const parsed = { descriptor: parseServerDescriptor(descriptor), extraInfo: parseExtraInfo(extra.text) };
  return { descriptor, extraInfo: extra.text, parsed };
}

const protocolsOf = (isDirectory: boolean, isHsDir: boolean) =>
  parseProtocols(
    [isDirectory && DIRECTORY_PROTOCOLS, isHsDir && HSDIR_PROTOCOLS, LINK_PROTOCOLS]
      .filter(Boolean)
      .join(' '),
  );

/**
 * A relay that would have to hibernate does not spend its bytes on directory requests, unless only those that come in
 * count (C tor: `router_should_be_dirserver`). Authorities make no guard of it then, and no HSDir.
 */
function offersDirectory(options: Options, now: number): boolean {
  const settings = accountingSettings(options);
  if (!settings || settings.rule === 'in') return true;
  return !canRunOut(settings, bandwidthOf(options, 0).rate, now);
}

/** More is not read (C tor: ROUTER_MAX_DECLARED_BANDWIDTH). */
const MAX_DECLARED_BANDWIDTH = 2 ** 31 - 1;

/** The least of the limits in force (C tor: `relay_get_effective_bwrate`, `relay_get_effective_bwburst`). */
function bandwidthOf(options: Options, observed: number) {
  const { all, relayed } = limitsOf(options);
  const least = (...limits: number[]) =>
    Math.min(MAX_DECLARED_BANDWIDTH, ...limits.filter((limit) => limit > 0));
  return {
    rate: least(all.rate, relayed.rate, options.MaxAdvertisedBandwidth),
    burst: least(all.burst, relayed.burst),
    observed: Math.min(MAX_DECLARED_BANDWIDTH, observed),
  };
}

/** MyFamily without this relay itself, fingerprints with a dollar sign. */
function familyOf(options: Options, keys: RelayKeys): string[] {
  const self = `$${toHex(keys.rsaId)}`;
  const members = options.MyFamily.map((member) =>
    /^[0-9a-fA-F]{40}$/.test(member) ? `$${member.toUpperCase()}` : member,
  );
  return [...new Set(members)].filter((member) => !member.toUpperCase().startsWith(self));
}

/** `write-history` and `read-history`: bytes of each finished day, rounded down to a kilobyte. */
function historyLines(history: BandwidthHistory): string[] {
  const { end, read, written } = history.history();
  if (read.length === 0) return [];
  const time = new Date(end).toISOString().slice(0, 19).replace('T', ' ');
  const values = (bytes: readonly number[]) => bytes.map((sum) => Math.floor(sum / 1024) * 1024).join();
  const line = (name: string, bytes: readonly number[]) =>
    `${name} ${time} (${PERIOD / 1000} s) ${values(bytes)}`;
  return [line('write-history', written), line('read-history', read)];
}
