/**
 * Whether an authority takes a server descriptor (dir-spec 3.2; C tor `dirserv_add_descriptor`,
 * `authdir_wants_to_reject_router`). Signatures and certificates were checked by the parser.
 *
 * @module
 */

import { isPrivate } from '../relay/addresses.js';
import { DecodeError } from '../shared/bytes/errors.js';
import { sameBytes } from '../shared/bytes/text.js';
import { parseIp } from '../shared/netdoc/address.js';
import { checkExtraInfo } from '../shared/netdoc/extra-info.js';
import type { ExtraInfo, ServerDescriptor } from '../shared/netdoc/types.js';
import type { KeyPins } from './key-pinning.js';
import type { RelayRules } from './relay-rules.js';
import { MAX_DESCRIPTOR_AGE } from './relay-view.js';
import { compareTorVersions, parseTorVersion, platformVersion } from './versions.js';

/** Bytes of a descriptor at most. */
export const MAX_DESCRIPTOR_SIZE = 20_000;

const HOUR = 3600 * 1000;
/** How far ahead of our clock a descriptor may be published (ROUTER_ALLOW_SKEW). */
const MAX_AHEAD = 12 * HOUR;
/** Descriptors that differ in nothing that matters are not replaced before this. */
const MAX_COSMETIC_AGE = 2 * HOUR;
/** Seconds by which an uptime may be off before it means a restart. */
const UPTIME_DRIFT = 6 * 3600;
/** MinimalAcceptedServerVersion of C tor 0.4.9. */
const OLDEST_TOR = parseTorVersion('0.4.8.0-alpha-dev')!;

/** What admission depends on. */
export interface AdmissionRules {
  readonly rules: RelayRules;
  readonly pins: KeyPins;
  /** `AuthDirPinKeys`. */
  readonly enforcePins: boolean;
  /** `DirAllowPrivateAddresses`. */
  readonly allowPrivate: boolean;
}

/** The outcome. `known`: nothing new, which is no fault of the relay's. */
export type Admission =
  | { readonly verdict: 'accepted' }
  | { readonly verdict: 'known'; readonly reason: string }
  | { readonly verdict: 'rejected'; readonly reason: string };

const rejected = (reason: string): Admission => ({ verdict: 'rejected', reason });

/** Whether an address is of no use on the internet. */
export const isPrivateAddress = (host: string): boolean => parseIp(host) === undefined || isPrivate(host);

const hasPrivateAddress = ({ address, orAddresses }: ServerDescriptor): boolean =>
  isPrivateAddress(address) || orAddresses.some(({ host }) => host.includes(':') && isPrivateAddress(host));

/** What is wrong with the software, by its platform line; software that does not call itself Tor is not judged. */
function platformFault(platform: string | undefined): string | undefined {
  if (platform === undefined) return undefined;
  const version = platformVersion(platform);
  if (version === 'malformed') return 'Malformed platform string.';
  if (version !== 'other' && compareTorVersions(version, OLDEST_TOR) < 0)
    return 'Tor version is insecure or unsupported. Please upgrade!';
  return undefined;
}

const KEYS_CHANGED =
  'Looks like your keypair has changed? This authority previously recorded a different RSA identity for this Ed25519 identity (or vice versa.) Did you replace or copy some of your key files, but not the others? You should either restore the expected keypair, or delete your keys and restart Tor to start your relay with a new identity.';

/**
 * Judges a descriptor; `old` is the one we have of that relay. Pins are only read: pin the keys of what is accepted.
 */
export function admit(
  descriptor: ServerDescriptor,
  old: ServerDescriptor | undefined,
  { rules, pins, enforcePins, allowPrivate }: AdmissionRules,
  now: number,
): Admission {
  if (descriptor.text.length > MAX_DESCRIPTOR_SIZE) return rejected('Router descriptor was too large.');
  if (!descriptor.tapOnionKey) return rejected('Missing TAP key in descriptor.');
  const fault = platformFault(descriptor.platform);
  if (fault !== undefined) return rejected(fault);
  const { reject } = rules.statusOf(descriptor);
  if (reject !== undefined) return rejected(reject);
  if (enforcePins && pins.check(descriptor.rsaId, descriptor.ed25519Id) === 'mismatch')
    return rejected(KEYS_CHANGED);
  if (descriptor.published > now + MAX_AHEAD)
    return rejected('Rejected: Your clock is set too far in the future, or your timezone is not correct.');
  if (descriptor.published < now - MAX_DESCRIPTOR_AGE)
    return rejected(
      'Rejected: Server is expired, or your clock is too far in the past, or your timezone is not correct.',
    );
  if (descriptor.certsExpire < now) return rejected('Some certs on this router are expired.');
  if (!allowPrivate && hasPrivateAddress(descriptor))
    return rejected('Rejected: Address is a private address.');
  if (old && descriptor.published <= old.published)
    return { verdict: 'known', reason: 'Router descriptor was not new.' };
  if (old && isCosmetic(old, descriptor))
    return {
      verdict: 'known',
      reason:
        'Not replacing router descriptor; no information has changed since the last one with this identity.',
    };
  return { verdict: 'accepted' };
}

const sameText = (a: string | undefined, b: string | undefined): boolean =>
  a?.toLowerCase() === b?.toLowerCase();

const sameOptionalBytes = (a: Uint8Array | undefined, b: Uint8Array | undefined): boolean =>
  a === undefined || b === undefined ? a === b : sameBytes(a, b);

const ipv6Of = ({ orAddresses }: ServerDescriptor): string => {
  const found = orAddresses.find(({ host }) => host.includes(':'));
  return found ? `${found.host} ${found.port}` : '';
};

const sameList = (a: readonly string[], b: readonly string[]): boolean =>
  a.length === b.length && a.every((item, i) => sameText(item, b[i]));

/** Whether the relay seems to have restarted between two descriptors. */
function uptimeJumped(a: ServerDescriptor, b: ServerDescriptor): boolean {
  const expected = a.uptime + Math.floor((b.published - a.published) / 1000);
  const off = Math.abs(b.uptime - expected);
  return off > UPTIME_DRIFT && off > a.uptime * 0.05 && off > b.uptime * 0.05;
}

/** Whether the newer descriptor says nothing that anybody needs to know (C tor `router_differences_are_cosmetic`). */
export function isCosmetic(a: ServerDescriptor, b: ServerDescriptor): boolean {
  const sameKeys =
    sameOptionalBytes(a.tapOnionKey, b.tapOnionKey) &&
    sameBytes(a.ntorOnionKey, b.ntorOnionKey) &&
    sameBytes(a.ed25519Id, b.ed25519Id);
  const samePlace =
    a.address === b.address && a.orPort === b.orPort && a.dirPort === b.dirPort && ipv6Of(a) === ipv6Of(b);
  const sameWords =
    sameText(a.nickname, b.nickname) &&
    sameText(a.platform, b.platform) &&
    sameText(a.contact, b.contact) &&
    sameList(a.family, b.family) &&
    sameList(a.familyIds, b.familyIds);
  const sameOffer =
    a.hibernating === b.hibernating &&
    a.tunnelledDirServer === b.tunnelledDirServer &&
    sameList(a.exitPolicy.toLines('both'), b.exitPolicy.toLines('both')) &&
    a.bandwidth.rate === b.bandwidth.rate &&
    a.bandwidth.burst === b.bandwidth.burst &&
    a.bandwidth.observed >= b.bandwidth.observed / 2 &&
    b.bandwidth.observed >= a.bandwidth.observed / 2;
  const soon = b.published <= a.published + MAX_COSMETIC_AGE;
  return sameKeys && samePlace && sameWords && sameOffer && soon && !uptimeJumped(a, b);
}

/** Judges an extra-info against the relay's descriptor, which must name it by its digests. */
export function admitExtraInfo(extra: ExtraInfo, descriptor: ServerDescriptor | undefined): Admission {
  if (!descriptor) return rejected('No corresponding router descriptor for extra-info descriptor');
  try {
    checkExtraInfo(extra, descriptor);
    return { verdict: 'accepted' };
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    // That of a descriptor we have replaced, or did not want because it says nothing new: no fault of the relay's.
    if (extra.published !== descriptor.published)
      return { verdict: 'known', reason: 'Extrainfo published time did not match routerdesc' };
    return rejected(error.message);
  }
}
