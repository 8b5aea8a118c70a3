/**
 * HTTP CONNECT (RFC 9110 9.3.6), as Tor's HTTPTunnelPort takes it: the request's head, and nothing of a web proxy.
 *
 * @module
 */
import { bytesOf } from '../shared/bytes/text.js';
import { type Host, parseHost } from './address.js';

/** Sent to who takes the port for a web proxy (socks-extensions.txt 4). */
export const NOT_A_WEB_PROXY: Uint8Array = bytesOf(
  'HTTP/1.0 501 This is a SOCKS proxy, not an HTTP proxy\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n' +
    'This port speaks SOCKS4, SOCKS4a, SOCKS5 and HTTP CONNECT. Configure it as a SOCKS5 proxy with remote names.\n',
);

/** In every answer to CONNECT, so that a program can tell that its proxy is Tor (proposal 365; C tor: HTTP_CONNECT_FIXED_HEADERS). */
const CONNECT_HEADERS = 'Tor-Capabilities: \r\nVia: tor/1.0 tor-network (cepa)\r\n';

/** An answer to CONNECT. */
export const httpReply = (status: string): Uint8Array =>
  bytesOf(`HTTP/1.0 ${status}\r\n${CONNECT_HEADERS}\r\n`);

const BAD_REQUEST = httpReply('400 Bad Request');
const NO_RPC = httpReply('501 Not implemented (No RPC Support)');
/** What C tor's HTTP tunnel answers to who asks for something else than a tunnel (connection_edge.c). */
const CAPABILITIES = 'Tor-Capabilities: \r\nServer: tor/1.0 (cepa)\r\n';
const OPTIONS = bytesOf(`HTTP/1.0 200 OK\r\nAllow: OPTIONS, CONNECT\r\n${CAPABILITIES}\r\n`);
const NOT_ALLOWED = bytesOf(
  `HTTP/1.0 405 Method Not Allowed\r\nContent-Type: text/plain\r\n${CAPABILITIES}\r\n` +
    'This is an HTTP CONNECT tunnel, not an HTTP proxy: use it for CONNECT only.\n',
);
const NOTHING = new Uint8Array(0);
/** Between the values of both isolation headers (C tor). */
const BOTH = '\x01\xff\x01\xff';

/** Whether a first byte begins an HTTP method rather than a SOCKS version: a capital letter. */
export const looksLikeHttp = (first: number): boolean => first >= 0x41 && first <= 0x5a;

/** A tunnel request, or why it is none and what to answer. */
export type HttpConnect =
  | { readonly host: Host; readonly port: number; readonly username: string; readonly password: string }
  | { readonly refuse: string; readonly field: string; readonly send: Uint8Array };

const bad = (field: string, refuse: string): HttpConnect => ({ refuse, field, send: BAD_REQUEST });

/** The value of a header, if it is there. */
function headerOf(lines: readonly string[], name: string): string | undefined {
  const line = lines.find((one) => one.toLowerCase().startsWith(`${name}:`));
  return line?.slice(name.length + 1).trim();
}

/** Whether a Host header means this machine. */
function isLocalHost(header: string | undefined): boolean {
  const name = /^(\[[^\]]*\]|[^:]*)(:\d{1,5})?$/.exec(header ?? '')?.[1];
  const host = name ? parseHost(name) : undefined;
  if (!host) return false;
  return host.kind === 'name' ? host.text === 'localhost' : /^127\.|^::1$/.test(host.text);
}

/**
 * Answers what is not CONNECT. A tunnel tells only who asks for this machine by name: a web page that had its own name
 * resolve to it gets nothing, not even that somebody is there (C tor: connection_ap_process_http_connect).
 */
function otherMethod(method: string | undefined, lines: readonly string[], tunnel: boolean): HttpConnect {
  const refuse = { refuse: 'not CONNECT', field: 'HTTP method' };
  if (!tunnel) return { ...refuse, send: NOT_A_WEB_PROXY };
  if (!isLocalHost(headerOf(lines, 'host'))) return { ...refuse, send: NOTHING };
  return { ...refuse, send: method === 'OPTIONS' ? OPTIONS : NOT_ALLOWED };
}

/**
 * Reads a head (latin1, without the empty line); `tunnel`: that came in at an HTTPTunnelPort. `Tor-Stream-Isolation` (proposal 365), its older name with `X-` and
 * `Proxy-Authorization` isolate, as they do for C tor (`connection_ap_process_http_connect`).
 */
export function parseHttpConnect(head: string, tunnel = false): HttpConnect {
  const [requestLine = '', ...lines] = head.split('\r\n');
  const [method, target, version, ...more] = requestLine.split(' ');
  if (method !== 'CONNECT') return otherMethod(method, lines, tunnel);
  if (!target || !version?.startsWith('HTTP/1.') || more.length > 0)
    return bad('HTTP request line', 'malformed');
  const authority = /^(\[[0-9A-Fa-f:.]+\]|[^:[\]@/]+):(\d{1,5})$/.exec(target);
  const host = authority && parseHost(authority[1]!);
  if (!authority || !host) return bad('HTTP authority', 'not host:port');
  const port = Number(authority[2]);
  if (port < 1 || port > 65535) return bad('HTTP authority', 'port out of range');
  let isolation: string | undefined;
  let username = '';
  let password = '';
  for (const line of lines) {
    const colon = line.indexOf(':');
    if (colon < 1) return bad('HTTP header', 'no colon');
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    if (name === 'tor-stream-isolation') isolation = value;
    if (name === 'x-tor-stream-isolation') username = value;
    if (name === 'proxy-authorization') password = value;
    if (name === 'tor-rpc-target') return { refuse: 'no RPC here', field: 'HTTP header', send: NO_RPC };
  }
  if (isolation !== undefined) username = `${isolation}${BOTH}${username}`;
  return { host, port, username, password };
}
