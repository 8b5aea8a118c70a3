/**
 * Addresses that mean nothing to an exit, or mean its own network: C tor's `tor_addr_is_internal`.
 *
 * @module
 */
import ipaddr from 'ipaddr.js';

const PUBLIC_RANGES = new Set([
  'unicast',
  'multicast',
  '6to4',
  'teredo',
  'rfc6145',
  'rfc6052',
  'as112',
  'amt',
]);

/** Whether an IP literal is loopback, private, link-local, unspecified or reserved. */
export function isInternal(address: string): boolean {
  if (!ipaddr.isValid(address)) return false;
  return !PUBLIC_RANGES.has(ipaddr.process(address).range());
}
