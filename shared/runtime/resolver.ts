/**
 * Name resolution for exits and for names in the configuration: the system's servers and hosts file, or those of a
 * resolv.conf file (`ServerDNSResolvConfFile`), with a cache, a time limit per query, and a bound on what is under
 * way, so that a slow server costs a bounded amount of memory.
 *
 * @module
 */
import { Resolver as DnsResolver } from 'node:dns/promises';
import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { ResolveError } from './resolve-error.js';
import type { Clock, ResolvedAddress, Resolver } from './types.js';

/** Milliseconds for one try, tries, and for the whole of a query. */
const TRY_TIMEOUT = 5_000;
const TRIES = 2;
const QUERY_TIMEOUT = 15_000;
/** Queries under way at once. */
const MAX_PENDING = 1024;
/** Names remembered; the oldest goes first. */
const MAX_CACHED = 10_000;
/** Bounds of what is believed of a TTL, seconds; failures are remembered for the lower one. */
const MIN_TTL = 60;
const MAX_TTL = 3600;
/** The TTL of what a hosts file says, seconds. */
const HOSTS_TTL = 60;
/** Answers kept of one name. */
const MAX_ANSWERS = 16;

/** What the cache needs of a resolver: no limits, no memory. */
export type Lookup = Pick<Resolver, 'resolve' | 'reverse'>;

const clampTtl = (ttl: number) => Math.min(Math.max(ttl, MIN_TTL), MAX_TTL);

/** Node's (c-ares') error codes, as kinds. */
function resolveError(name: string, error: unknown): ResolveError {
  const code = (error as { code?: string }).code ?? '';
  if (code === 'ENOTFOUND' || code === 'ENODATA' || code === 'EBADNAME')
    return new ResolveError('notfound', `${name} does not exist`, { cause: error });
  if (code === 'ETIMEOUT' || code === 'ECANCELLED')
    return new ResolveError('timeout', `no name server answered for ${name}`, { cause: error });
  return new ResolveError('failed', `name servers failed for ${name} (${code})`, { cause: error });
}

/** `nameserver` lines of a resolv.conf: an address, with `:port` or `[v6]:port` where it is not 53. */
export function nameserversOf(text: string): string[] {
  const servers: string[] = [];
  for (const line of text.split('\n')) {
    const [keyword, server] = line.split(/[\s#;]+/);
    if (keyword === 'nameserver' && server) servers.push(server);
  }
  return servers;
}

/** Lines of a hosts file: name, in lower case, to addresses. */
export function hostsOf(text: string): Map<string, ResolvedAddress[]> {
  const hosts = new Map<string, ResolvedAddress[]>();
  for (const line of text.split('\n')) {
    const [address = '', ...names] = line.replace(/#.*/, '').trim().split(/\s+/);
    const family = isIP(address);
    if (family === 0) continue;
    for (const name of names) {
      const known = hosts.get(name.toLowerCase()) ?? [];
      known.push({ address, family: family as 4 | 6, ttl: HOSTS_TTL });
      hosts.set(name.toLowerCase(), known);
    }
  }
  return hosts;
}

function dnsLookup(servers: string[] | undefined, hosts: ReadonlyMap<string, ResolvedAddress[]>): Lookup {
  const dns = new DnsResolver({ timeout: TRY_TIMEOUT, tries: TRIES });
  if (servers) dns.setServers(servers);
  const addresses = async (name: string, family: 4 | 6): Promise<ResolvedAddress[]> => {
    const records =
      family === 4 ? await dns.resolve4(name, { ttl: true }) : await dns.resolve6(name, { ttl: true });
    return records.slice(0, MAX_ANSWERS).map((record) => ({ ...record, family }));
  };
  return {
    async resolve(name) {
      const local = hosts.get(name.toLowerCase());
      if (local) return local;
      const [v4, v6] = await Promise.allSettled([addresses(name, 4), addresses(name, 6)]);
      const found = [v4, v6].flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []));
      if (found.length > 0) return found;
      const failures = [v4, v6].map((answer) => resolveError(name, (answer as PromiseRejectedResult).reason));
      throw failures.find((failure) => failure.kind !== 'notfound') ?? failures[0]!;
    },
    async reverse(address) {
      try {
        const names = await dns.reverse(address);
        return names.slice(0, MAX_ANSWERS).map((name) => ({ name, ttl: MIN_TTL }));
      } catch (error) {
        throw resolveError(address, error);
      }
    },
  };
}

interface Cached<T> {
  readonly until: number;
  readonly answer: T | ResolveError;
}

/** Adds memory and limits to a lookup. Concurrent queries for one name are one query. */
export function cachedResolver(lookup: Lookup, clock: Clock): Resolver {
  const memory = new Map<string, Cached<unknown>>();
  const pending = new Map<string, Promise<unknown>>();

  const remember = (key: string, answer: unknown, ttl: number) => {
    if (memory.size >= MAX_CACHED) memory.delete(memory.keys().next().value!);
    memory.set(key, { until: clock.monotonic() + ttl * 1000, answer });
  };

  const limited = <T>(name: string, work: () => Promise<T>): Promise<T> =>
    new Promise((resolve, reject) => {
      const timer = clock.setTimer(QUERY_TIMEOUT, () =>
        reject(new ResolveError('timeout', `no answer for ${name} within ${QUERY_TIMEOUT} ms`)),
      );
      work()
        .then(resolve, reject)
        .finally(() => timer.cancel());
    });

  const ask = <T extends { ttl: number }>(
    key: string,
    name: string,
    work: () => Promise<T[]>,
    fresh = false,
  ): Promise<T[]> => {
    const known = fresh ? undefined : memory.get(key);
    if (known && known.until > clock.monotonic()) {
      return known.answer instanceof ResolveError
        ? Promise.reject(known.answer)
        : Promise.resolve(known.answer as T[]);
    }
    memory.delete(key);
    const running = pending.get(key);
    if (running) return running as Promise<T[]>;
    if (pending.size >= MAX_PENDING)
      return Promise.reject(new ResolveError('busy', `${MAX_PENDING} name queries are under way`));
    const query = limited(name, work)
      .then(
        (answer) => {
          remember(key, answer, clampTtl(Math.min(...answer.map((entry) => entry.ttl))));
          return answer;
        },
        (error: unknown) => {
          const failure = error instanceof ResolveError ? error : resolveError(name, error);
          if (failure.kind === 'notfound') remember(key, failure, MIN_TTL);
          throw failure;
        },
      )
      .finally(() => pending.delete(key));
    pending.set(key, query);
    return query;
  };

  const addresses = (name: string, fresh: boolean): Promise<ResolvedAddress[]> => {
    const family = isIP(name);
    if (family !== 0) return Promise.resolve([{ address: name, family: family as 4 | 6, ttl: MAX_TTL }]);
    return ask(`a ${name.toLowerCase()}`, name, () => lookup.resolve(name), fresh);
  };

  return {
    resolve: (name) => addresses(name, false),
    resolveNow: (name) => addresses(name, true),
    reverse: (address) => ask(`p ${address}`, address, () => lookup.reverse(address)),
  };
}

/** The system's name servers and hosts file. */
export async function systemResolver(clock: Clock): Promise<Resolver> {
  const hosts = await readFile('/etc/hosts', 'utf8').catch(() => '');
  return cachedResolver(dnsLookup(undefined, hostsOf(hosts)), clock);
}

/** The name servers of a resolv.conf file. Rejects when it cannot be read or names none. */
export async function resolvConfResolver(file: string, clock: Clock): Promise<Resolver> {
  const servers = nameserversOf(await readFile(file, 'utf8'));
  if (servers.length === 0) throw new ResolveError('failed', `${file} names no nameserver`);
  return cachedResolver(dnsLookup(servers, new Map()), clock);
}
