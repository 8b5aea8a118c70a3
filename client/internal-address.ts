/**
 * Addresses that mean nothing to an exit, or mean its own network (C tor: `tor_addr_is_internal`).
 *
 * @module
 */
import ipaddr from 'ipaddr.js';
import type { Host } from './address.js';

const INTERNAL = new Set([
  'unspecified',
  'loopback',
  'private',
  'linkLocal',
  'carrierGradeNat',
  'uniqueLocal',
  'deprecatedSiteLocal',
  'broadcast',
]);

/** Whether an IP literal is unspecified, loopback, link-local, or of a private network; IPv4-mapped ones as their IPv4. */
export function isInternal(address: string): boolean {
  return ipaddr.isValid(address) && INTERNAL.has(ipaddr.process(address).range());
}

/** Names of this machine and its neighbours, which no exit knows (C tor: `tor_addr_hostname_is_local`). */
const LOCAL_NAME = /^(localhost|(.*\.)?local)\.?$/i;

/** Whether a destination is such an address, or a name for one. */
export const isInternalHost = ({ kind, text }: Host): boolean =>
  kind === 'name' ? LOCAL_NAME.test(text) : isInternal(text);
