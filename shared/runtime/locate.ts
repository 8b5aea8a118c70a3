/**
 * Where a host of the configuration is now: an authority, a fallback directory, a server behind an onion service.
 *
 * @module
 */
import { isIP } from 'node:net';
import { ResolveError } from './resolve-error.js';
import type { NetAddress, Resolver } from './types.js';

/**
 * The address of a literal or a name, IPv4 first. A name is looked up anew at each call: where names stand for
 * containers, a host that comes back comes back at another address, and one that is not there yet soon is. Rejects
 * with a ResolveError.
 */
export async function locate(resolver: Resolver, host: string, port: number): Promise<NetAddress> {
  if (isIP(host) !== 0) return { host, port };
  const found = await (resolver.resolveNow?.(host) ?? resolver.resolve(host));
  const best = found.find((record) => record.family === 4) ?? found[0];
  if (!best) throw new ResolveError('notfound', `${host} has no address`);
  return { host: best.address, port };
}
