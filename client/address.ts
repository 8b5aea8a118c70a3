/**
 * What applications and documents call an address: IP literals and host names, checked once and kept in one form.
 *
 * @module
 */
import ipaddr from 'ipaddr.js';

/** A destination as an application names it: an IP literal in canonical form, or a host name in lower case. */
export type Host =
  | { readonly kind: 'ipv4'; readonly text: string }
  | { readonly kind: 'ipv6'; readonly text: string }
  | { readonly kind: 'name'; readonly text: string };

/** Longest host name a relay accepts (RFC 1035). */
const MAX_NAME = 255;

/** Address bytes: 4, 16, or undefined when `text` is no IP literal. No brackets, no zone, no octal or short IPv4. */
export function ipBytes(text: string): Uint8Array | undefined {
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) return Uint8Array.from(ipaddr.IPv4.parse(text).toByteArray());
  if (text.includes(':') && !text.includes('%') && ipaddr.IPv6.isValid(text))
    return Uint8Array.from(ipaddr.IPv6.parse(text).toByteArray());
  return undefined;
}

/** Canonical text of 4 or 16 address bytes; IPv6 in RFC 5952 form. */
export function ipText(bytes: Uint8Array): string {
  return bytes.length === 4
    ? bytes.join('.')
    : (ipaddr.fromByteArray([...bytes]) as ipaddr.IPv6).toRFC5952String();
}

/** Whether C tor would send this name to an exit (C tor: `string_is_valid_nonrfc_hostname`): no RFC 953 pedantry. */
export function isHostName(text: string): boolean {
  if (text.length === 0 || text.length > MAX_NAME) return false;
  const labels = (text.endsWith('.') ? text.slice(0, -1) : text).split('.');
  return labels.every((label) => /^[A-Za-z0-9_][A-Za-z0-9_-]*$/.test(label) && label.length <= 63);
}

/** Reads a destination; IPv6 with or without brackets. Undefined when it is neither an address nor a host name. */
export function parseHost(text: string): Host | undefined {
  const bare = text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1) : text;
  const bytes = ipBytes(bare);
  if (bytes) return { kind: bytes.length === 4 ? 'ipv4' : 'ipv6', text: ipText(bytes) };
  if (bare !== text || !isHostName(text)) return undefined;
  return { kind: 'name', text: text.toLowerCase() };
}

/** The name a PTR query asks for (RFC 1035 3.5, RFC 3596 2.5). */
export function reverseName(address: Uint8Array): string {
  if (address.length === 4) return `${[...address].reverse().join('.')}.in-addr.arpa`;
  const nibbles = Buffer.from(address).toString('hex').split('').reverse();
  return `${nibbles.join('.')}.ip6.arpa`;
}

/** The /16 of an IPv4 or the /32 of an IPv6 literal: relays that share it are not used in one path. */
export function subnetOf(text: string): string | undefined {
  const bytes = ipBytes(text);
  if (!bytes) return undefined;
  return bytes.length === 4
    ? `4:${bytes[0]}.${bytes[1]}`
    : `6:${Buffer.from(bytes.subarray(0, 4)).toString('hex')}`;
}
