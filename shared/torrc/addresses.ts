/**
 * Options whose values are addresses: ports, directory authorities, fallback directories.
 *
 * @module
 */
import ipaddr from 'ipaddr.js';
import { ValueError } from './errors.js';
import type { DirAuthorityOption, FallbackDirOption, PortOption } from './options.js';

/** An address literal that means what it says: no octal, no shortened forms. */
export function isAddress(host: string): boolean {
  return ipaddr.IPv4.isValidFourPartDecimal(host) || (host.includes(':') && ipaddr.IPv6.isValid(host));
}

const HOST_NAME = /^[A-Za-z0-9_]([A-Za-z0-9_-]{0,62})(\.[A-Za-z0-9_-]{1,63})*\.?$/;

/** A name that a resolver can be asked for. */
export function isHostName(host: string): boolean {
  // All digits and dots is a mistyped address, never a name.
  return host.length <= 253 && HOST_NAME.test(host) && !/^[0-9.]+$/.test(host);
}

function portNumber(text: string, what: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 65536;
  if (port > 65535) throw new ValueError(`"${text}" is not a ${what}`);
  return port;
}

/** Splits `host:port` and `[v6]:port`. */
function splitHostPort(text: string): { host: string; port: string } | undefined {
  const found = /^(?:\[([^\]]+)\]|([^:[\]]+)):([^:]+)$/.exec(text);
  if (!found) return undefined;
  return { host: (found[1] ?? found[2]) as string, port: found[3] as string };
}

function host(text: string): string {
  if (isAddress(text) || isHostName(text)) return text;
  throw new ValueError(`"${text}" is neither an address nor a host name`);
}

/** Reads a port line; `known` are the flags the option takes, lower case. */
export function parsePort(value: string, known: readonly string[]): PortOption {
  if (value.startsWith('unix:')) throw new ValueError(`unix sockets are not served: "${value}"`);
  const [place = '', ...rest] = splitWords(value);
  const flags = new Set(rest.map((flag) => flagOf(flag.toLowerCase(), known)));
  if (flags.has('noadvertise') && flags.has('nolisten'))
    throw new ValueError('NoAdvertise and NoListen together leave nothing');
  if (flags.has('ipv4only') && flags.has('ipv6only'))
    throw new ValueError('IPv4Only and IPv6Only together leave nothing');

  if (place.toLowerCase() === 'auto') return { host: undefined, port: 'auto', flags };
  if (/^\d+$/.test(place)) return { host: undefined, port: portNumber(place, 'port'), flags };
  const pair = splitHostPort(place);
  if (!pair) throw new ValueError(`"${place}" is not [address:]port`);
  const where = host(pair.host);
  if (pair.port.toLowerCase() === 'auto') return { host: where, port: 'auto', flags };
  const port = portNumber(pair.port, 'port');
  if (port === 0) throw new ValueError(`"${place}" has an address but no port`);
  return { host: where, port, flags };
}

/** A flag without the plural that C tor takes; client flags may have a `No` before them. */
function flagOf(flag: string, known: readonly string[]): string {
  const isKnown = (form: string) =>
    [form, form.replace(/^no/, '')].some((name) => known.includes(name.replace(/=.*/, '=')));
  const singular = flag.replace(/s$/, '');
  if (isKnown(flag)) return flag;
  if (isKnown(singular)) return singular;
  const names = known.length > 0 ? `; the flags are ${known.join(', ')}` : '';
  throw new ValueError(`"${flag}" is not a flag of this port${names}`);
}

const splitWords = (value: string): string[] => value.split(/\s+/).filter((word) => word !== '');

function fingerprint(text: string, what: string): string {
  const bare = text.replace(/^\$/, '');
  if (!/^[0-9A-Fa-f]{40}$/.test(bare)) throw new ValueError(`${what} "${text}" is not 40 hex digits`);
  return bare.toUpperCase();
}

function v6Endpoint(text: string): { host: string; port: number } {
  const pair = splitHostPort(text);
  if (!pair || !ipaddr.IPv6.isValid(pair.host)) throw new ValueError(`"${text}" is not [address]:port`);
  return { host: pair.host, port: portNumber(pair.port, 'port') };
}

/** Words of DirAuthority lines that say nothing any more. */
const IDLE_FLAGS = new Set(['hs', 'no-hs', 'no-v2']);

/** C tor: parse_dir_authority_line; names are taken besides IPv4 literals. */
export function parseDirAuthority(value: string): DirAuthorityOption {
  const words = splitWords(value);
  const nickname = /^[A-Za-z0-9]{1,19}$/.test(words[0] ?? '') ? (words.shift() as string) : '';
  let orPort = 0;
  let v3Ident: string | undefined;
  let ipv6: DirAuthorityOption['ipv6'];
  for (; words.length > 0; words.shift()) {
    const [word = ''] = words;
    const [, key = '', argument = ''] = /^([a-z0-9-]+)=(.*)$/i.exec(word) ?? [];
    const name = key.toLowerCase();
    if (name === 'orport') orPort = portNumber(argument, 'orport');
    else if (name === 'v3ident') v3Ident = fingerprint(argument, 'v3ident');
    else if (name === 'ipv6') ipv6 = v6Endpoint(argument);
    else if (name === 'weight') continue;
    else if (IDLE_FLAGS.has(word.toLowerCase())) continue;
    else if (['upload', 'download', 'vote'].includes(name) || word.toLowerCase() === 'bridge')
      throw new ValueError(`"${word}" is a flag of C tor that Cepa does not serve`);
    else if (name !== '') throw new ValueError(`"${word}" is not a flag of an authority`);
    else break;
  }
  const pair = splitHostPort(words.shift() ?? '');
  if (!pair) throw new ValueError('no address:dirport');
  const dirPort = portNumber(pair.port, 'dirport');
  if (dirPort === 0) throw new ValueError('the dirport cannot be 0');
  if (words.length === 0) throw new ValueError('no fingerprint after address:dirport');
  const id = fingerprint(words.join(''), 'fingerprint');
  return { nickname, address: host(pair.host), dirPort, orPort, v3Ident, fingerprint: id, ipv6 };
}

/** C tor: parse_dir_fallback_line. */
export function parseFallbackDir(value: string): FallbackDirOption {
  let orPort = 0;
  let id: string | undefined;
  let address: string | undefined;
  for (const word of splitWords(value)) {
    const [, key = '', argument = ''] = /^([a-z0-9-]+)=(.*)$/i.exec(word) ?? [];
    const name = key.toLowerCase();
    if (name === 'orport') orPort = portNumber(argument, 'orport');
    else if (name === 'id') id = fingerprint(argument, 'id');
    else if (name === '') {
      const pair = splitHostPort(word);
      if (!pair || address !== undefined) throw new ValueError(`"${word}" is not address:dirport`);
      address = host(pair.host);
    } else if (name !== 'weight' && name !== 'ipv6')
      throw new ValueError(`"${word}" is not a flag of a fallback directory`);
  }
  if (address === undefined) throw new ValueError('no address:dirport');
  if (orPort === 0) throw new ValueError('no orport=');
  if (id === undefined) throw new ValueError('no id=');
  return { address, orPort, fingerprint: id };
}
