/**
 * IP addresses in cells: 4 or 16 bytes on the wire, literals (no brackets) in the code.
 *
 * @module
 */
import ipaddr from 'ipaddr.js';
import { DecodeError } from '../bytes/errors.js';

const [DOT, ZERO] = [46, 48];

/**
 * The bytes of an IPv4 literal: four numbers up to 255 without leading zeros; undefined for anything else. Asked of
 * several addresses for each circuit, so without a regular expression or a list.
 */
export function ipv4Bytes(host: string): Uint8Array | undefined {
  if (host.length > 15) return undefined;
  const bytes = new Uint8Array(4);
  let [part, value, digits] = [0, 0, 0];
  for (let i = 0; i < host.length; i++) {
    const code = host.charCodeAt(i);
    if (code === DOT && digits > 0 && part < 3) {
      bytes[part++] = value;
      value = 0;
      digits = 0;
      continue;
    }
    const digit = code - ZERO;
    if (digit < 0 || digit > 9 || (digits > 0 && value === 0)) return undefined;
    value = value * 10 + digit;
    digits++;
    if (value > 255) return undefined;
  }
  if (part < 3 || digits === 0) return undefined;
  bytes[3] = value;
  return bytes;
}

/** The bytes of an IP literal: 4 or 16. Throws DecodeError for anything else. */
export function hostToBytes(host: string, field = 'address'): Uint8Array {
  const four = ipv4Bytes(host);
  if (four) return four;
  // A zone (`%eth0`) means nothing to another machine.
  if (host.includes(':') && !host.includes('%') && ipaddr.IPv6.isValid(host))
    return Uint8Array.from(ipaddr.IPv6.parse(host).toByteArray());
  throw new DecodeError(field, 'not an IP address');
}

/** The literal for 4 or 16 bytes. Throws DecodeError for another length. */
export function bytesToHost(bytes: Uint8Array, field = 'address'): string {
  if (bytes.length === 4) return bytes.join('.');
  if (bytes.length === 16) return new ipaddr.IPv6([...bytes]).toString();
  throw new DecodeError(field, `an address has 4 or 16 bytes, not ${bytes.length}`);
}

/** Whether a literal is an IPv6 one. */
export const isIpv6 = (host: string): boolean => host.includes(':');

/** The same spelling for the same address, so that literals can be compared. Not an address: unchanged. */
export function canonicalHost(host: string): string {
  try {
    const bytes = hostToBytes(host);
    const mapped =
      bytes.length === 16 && bytes.subarray(0, 12).every((byte, i) => byte === (i < 10 ? 0 : 255));
    return bytesToHost(mapped ? bytes.subarray(12) : bytes);
  } catch {
    return host;
  }
}
