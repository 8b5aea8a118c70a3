/**
 * Questions about IP literals that a relay asks: whether one is private, what family it has.
 *
 * @module
 */
import ipaddr from 'ipaddr.js';
import { ipv4Bytes } from '../shared/cell/addresses.js';

/** Versions of IP. */
export type Family = 4 | 6;

/** 4, 6, or undefined when the text is not an IP literal (no brackets, no zone). */
export function familyOf(host: string): Family | undefined {
  if (ipv4Bytes(host)) return 4;
  if (host.includes(':') && !host.includes('%') && ipaddr.IPv6.isValid(host)) return 6;
  return undefined;
}

const PRIVATE_V4: readonly [string, number][] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
];
const PRIVATE_V6: readonly [string, number][] = [
  ['::', 127],
  ['fc00::', 7],
  ['fe80::', 10],
  ['fec0::', 10],
];
const nets4 = PRIVATE_V4.map(([net, bits]) => [ipaddr.IPv4.parse(net), bits] as [ipaddr.IPv4, number]);
const nets6 = PRIVATE_V6.map(([net, bits]) => [ipaddr.IPv6.parse(net), bits] as [ipaddr.IPv6, number]);

/** Whether an IP literal is not reachable from the internet at large (C tor: `tor_addr_is_internal`). */
export function isPrivate(host: string): boolean {
  const address = ipaddr.process(host);
  if (address.kind() === 'ipv4') return nets4.some((net) => (address as ipaddr.IPv4).match(net));
  return nets6.some((net) => (address as ipaddr.IPv6).match(net));
}

/** Whether an IP literal is in 127/8 or is ::1. */
export function isLoopback(host: string): boolean {
  return ipaddr.process(host).range() === 'loopback';
}

/** Whether an IP literal is the unspecified address, 0.0.0.0 or ::. */
export function isUnspecified(host: string): boolean {
  const four = ipv4Bytes(host);
  if (four) return four.every((byte) => byte === 0);
  return ipaddr.parse(host).range() === 'unspecified';
}

/**
 * The IP literal a reverse name asks about: `4.3.2.1.in-addr.arpa` or 32 nibbles under `ip6.arpa`. `bad` when it ends
 * like one and is none; undefined when it is another name (C tor: `tor_addr_parse_PTR_name`).
 */
export function addressOfReverseName(name: string): string | 'bad' | undefined {
  const lower = name.toLowerCase();
  if (lower.endsWith('.in-addr.arpa')) {
    const host = lower.slice(0, -'.in-addr.arpa'.length).split('.').reverse().join('.');
    return familyOf(host) === 4 ? host : 'bad';
  }
  if (!lower.endsWith('.ip6.arpa')) return undefined;
  const nibbles = lower.slice(0, -'.ip6.arpa'.length).split('.');
  if (nibbles.length !== 32 || !nibbles.every((n) => /^[0-9a-f]$/.test(n))) return 'bad';
  const hex = nibbles.reverse().join('');
  return ipaddr.IPv6.parse(hex.match(/.{4}/g)!.join(':')).toString();
}
