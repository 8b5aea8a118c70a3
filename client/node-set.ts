/**
 * Lists of relays in options (`ExcludeNodes`, `EntryNodes`, …; C tor: routerset.c): fingerprints, nicknames and
 * address patterns. Country codes need a GeoIP database, which Cepa does not have: they are refused, never ignored,
 * since a rule that is not kept is worse than none.
 *
 * @module
 */
import ipaddr from 'ipaddr.js';
import { CepaError } from '../shared/bytes/errors.js';
import type { RouterStatus } from '../shared/netdoc/types.js';
import { ipBytes } from './address.js';

/** A list entry that cannot be honoured. Names the option and the entry. */
export class NodeSetError extends CepaError {
  constructor(option: string, entry: string, why: string) {
    super('client/node-set', `${option}: "${entry}": ${why}`);
  }
}

/** An address range and ports: `*`, `1.2.3.4`, `1.2.0.0/16`, `[2001:db8::]/32`, each with `:port` or `:from-to`. */
interface AddressPattern {
  readonly bytes: Uint8Array | undefined;
  readonly bits: number;
  readonly ports: readonly [number, number];
}

/** A set of relays named by an option. */
export interface NodeSet {
  readonly empty: boolean;
  has(relay: Pick<RouterStatus, 'id' | 'nickname' | 'address' | 'orPort' | 'ipv6'>): boolean;
}

const PORTS = /^(.*?)(?::(\d{1,5})(?:-(\d{1,5}))?|:\*)?$/;

function parsePattern(entry: string): AddressPattern | undefined {
  const bracketed = /^(\[[^\]]*\](?:\/\d+)?)(.*)$/.exec(entry);
  const [, address = '', from, to] = bracketed
    ? [undefined, bracketed[1], ...(PORTS.exec(bracketed[2]!)?.slice(2) ?? [])]
    : (PORTS.exec(entry) ?? []);
  const ports = [Number(from ?? 1), Number(to ?? from ?? 65535)] as const;
  if (ports[0] < 1 || ports[1] > 65535 || ports[0] > ports[1]) return undefined;
  if (address === '*') return { bytes: undefined, bits: 0, ports };
  const [host = '', mask] = address.split('/');
  const bytes = ipBytes(host.replace(/^\[|\]$/g, ''));
  if (!bytes) return undefined;
  const bits = maskBits(mask, bytes.length * 8);
  return bits === undefined ? undefined : { bytes, bits, ports };
}

/** `16` or `255.255.0.0`, as a number of leading ones. */
function maskBits(mask: string | undefined, all: number): number | undefined {
  if (mask === undefined) return all;
  if (/^\d{1,3}$/.test(mask)) return Number(mask) <= all ? Number(mask) : undefined;
  if (!ipaddr.IPv4.isValidFourPartDecimal(mask)) return undefined;
  return ipaddr.IPv4.parse(mask).prefixLengthFromSubnetMask() ?? undefined;
}

function prefixMatches(a: Uint8Array, b: Uint8Array, bits: number): boolean {
  for (let i = 0; i * 8 < bits; i++) {
    const shift = Math.max(0, 8 - (bits - i * 8));
    if ((a[i]! ^ b[i]!) >> shift !== 0) return false;
  }
  return true;
}

function patternMatches(pattern: AddressPattern, address: string, port: number): boolean {
  if (port < pattern.ports[0] || port > pattern.ports[1]) return false;
  if (!pattern.bytes) return true;
  const bytes = ipBytes(address);
  return bytes?.length === pattern.bytes.length && prefixMatches(bytes, pattern.bytes, pattern.bits);
}

/** `$HEX`, `HEX`, `$HEX=nick`, `$HEX~nick`: the nickname after a fingerprint says nothing more. */
const FINGERPRINT = /^\$?([0-9A-Fa-f]{40})(?:[=~][A-Za-z0-9]{1,19})?$/;
const NICKNAME = /^[A-Za-z0-9]{1,19}$/;

/** Reads the entries of one option; throws NodeSetError on the first that cannot be honoured. */
export function parseNodeSet(option: string, entries: readonly string[]): NodeSet {
  const ids = new Set<string>();
  const nicknames = new Set<string>();
  const patterns: AddressPattern[] = [];
  for (const entry of entries.flatMap((text) => text.split(',')).map((text) => text.trim())) {
    if (entry === '') continue;
    const fingerprint = FINGERPRINT.exec(entry);
    if (fingerprint) ids.add(fingerprint[1]!.toUpperCase());
    else if (NICKNAME.test(entry)) nicknames.add(entry.toLowerCase());
    else if (/^\{.*\}$/.test(entry))
      throw new NodeSetError(
        option,
        entry,
        'country codes need a GeoIP database, which Cepa does not have; name fingerprints or address ranges',
      );
    else {
      const pattern = parsePattern(entry);
      if (!pattern)
        throw new NodeSetError(option, entry, 'not a fingerprint, a nickname or an address pattern');
      patterns.push(pattern);
    }
  }
  return {
    empty: ids.size + nicknames.size + patterns.length === 0,
    has: (relay) =>
      ids.has(relay.id) ||
      (nicknames.size > 0 && nicknames.has(relay.nickname.toLowerCase())) ||
      patterns.some(
        (pattern) =>
          patternMatches(pattern, relay.address, relay.orPort) ||
          (relay.ipv6 !== undefined && patternMatches(pattern, relay.ipv6.host, relay.ipv6.port)),
      ),
  };
}
