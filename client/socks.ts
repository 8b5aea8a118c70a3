/**
 * What an application says to the client's proxy port, as a state machine over bytes: SOCKS4, SOCKS4a, SOCKS5 with
 * or without user name and password, Tor's RESOLVE and RESOLVE_PTR commands (socks-extensions.txt), HTTP CONNECT.
 * Bounded: an unfinished greeting may hold `MAX_HANDSHAKE` bytes (`MAX_HTTP_HEAD` for HTTP). What follows a request
 * in the same read is kept for the stream.
 *
 * @module
 */
import { DecodeError } from '../shared/bytes/errors.js';
import { Reader } from '../shared/bytes/reader.js';
import { concat } from '../shared/bytes/text.js';
import { ipText, parseHost } from './address.js';
import type { FailureKind } from './failure.js';
import { looksLikeHttp, NOT_A_WEB_PROXY, parseHttpConnect } from './http-connect.js';
import type { ProxyProtocol, ProxyRequest } from './proxy-request.js';
import { failureReply } from './socks-replies.js';

/** Most bytes of an unfinished SOCKS greeting or request: 2 + 255 methods, 3 + 255 + 255, 7 + 255 all fit. */
export const MAX_HANDSHAKE = 1024;
/** Most bytes of an HTTP CONNECT head. */
export const MAX_HTTP_HEAD = 8192;

/** What one `push` led to: bytes to send first, then at most one of a request and an error. */
export interface ProxyStep {
  readonly send?: Uint8Array;
  readonly request?: ProxyRequest;
  /** The connection is closed after `send`. */
  readonly error?: DecodeError;
}

const SOCKS5_COMMANDS = new Map<number, ProxyRequest['command']>([
  [0x01, 'connect'],
  [0xf0, 'resolve'],
  [0xf1, 'resolve-ptr'],
]);

/** A refusal in the middle of a parse, carrying what to answer. */
class Refusal extends DecodeError {
  readonly send: Uint8Array;
  constructor(field: string, message: string, send: Uint8Array = new Uint8Array(0)) {
    super(field, message);
    this.send = send;
  }
}

const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');

/** What a port says about how it is spoken to. */
export interface ProxyManners {
  /** SOCKS5: takes "no authentication" where user name and password are offered as well (PreferSOCKSNoAuth). */
  readonly preferNoAuth: boolean;
  /** An HTTPTunnelPort: answers what is not CONNECT as a tunnel rather than as a SOCKS port. */
  readonly tunnel: boolean;
}

/** One application connection until its request is known. After a request or an error `push` must not be called. */
export class ProxyParser {
  private readonly manners: ProxyManners;
  private buffer: Uint8Array = new Uint8Array(0);
  private state: 'start' | 'auth' | 'request' | 'done' = 'start';
  /** SOCKS5: whether a user-name message may still come (C tor allows it even where no method was agreed). */
  private authPending = true;
  private username = '';
  private password = '';

  constructor(manners: ProxyManners = { preferNoAuth: false, tunnel: false }) {
    this.manners = manners;
  }

  /** Bytes after the request, in the order they came. */
  rest(): Uint8Array {
    const rest = this.buffer;
    this.buffer = new Uint8Array(0);
    return rest;
  }

  push(chunk: Uint8Array): ProxyStep {
    if (this.state === 'done') throw new Error('push after the request was parsed');
    this.buffer = this.buffer.length === 0 ? chunk.slice() : concat(this.buffer, chunk);
    const replies: Uint8Array[] = [];
    try {
      for (;;) {
        const step = this.step();
        if (!step) break;
        if (step.send) replies.push(step.send);
        if (!step.request) continue;
        this.state = 'done';
        return { ...joined(replies), request: step.request };
      }
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      this.state = 'done';
      if (error instanceof Refusal && error.send.length > 0) replies.push(error.send);
      return { ...joined(replies), error };
    }
    return joined(replies);
  }

  /** Takes one message off the buffer; undefined while it is incomplete. */
  private step(): ProxyStep | undefined {
    const first = this.buffer[0];
    if (first === undefined) return undefined;
    if (this.state === 'start' && looksLikeHttp(first)) return this.http();
    const parse = this.parserFor(first);
    const reader = new Reader(this.buffer);
    try {
      const step = parse(reader);
      this.buffer = this.buffer.slice(reader.offset);
      return step;
    } catch (error) {
      if (error instanceof Refusal || !(error instanceof DecodeError)) throw error;
      if (this.buffer.length > MAX_HANDSHAKE)
        throw new Refusal('SOCKS request', `longer than ${MAX_HANDSHAKE} bytes`);
      return undefined;
    }
  }

  private parserFor(first: number): (reader: Reader) => ProxyStep {
    if (this.state === 'start' && first === 4) return (reader) => this.socks4(reader);
    if (this.state === 'start' && first === 5) return (reader) => this.methods(reader);
    if (this.authPending && (this.state === 'auth' || (this.state === 'request' && first === 1)))
      return (reader) => this.userPassword(reader);
    if (this.state === 'request' && first === 5) return (reader) => this.socks5(reader);
    throw new Refusal('SOCKS version', `${first} is neither 4 nor 5`);
  }

  /** version(1)=4 command(1) port(2) address(4) user NUL, and for 4a (address 0.0.0.x) host NUL. */
  private socks4(reader: Reader): ProxyStep {
    reader.u8('SOCKS4.version');
    const code = reader.u8('SOCKS4.command');
    const port = reader.u16('SOCKS4.port');
    const address = reader.copy(4, 'SOCKS4.address');
    const username = latin1(reader.until(0, 'SOCKS4.user'));
    const is4a = address[0] === 0 && address[1] === 0 && address[2] === 0 && address[3] !== 0;
    const protocol = is4a ? 'socks4a' : 'socks4';
    const name = is4a ? latin1(reader.until(0, 'SOCKS4a.host')) : ipText(address);
    const command = code === 0x01 ? 'connect' : code === 0xf0 ? 'resolve' : undefined;
    if (!command) throw refusal(protocol, 'SOCKS4.command', `${code} is not CONNECT or RESOLVE`);
    const host = parseHost(name);
    if (!host || (!is4a && address.every((byte) => byte === 0)))
      throw refusal(protocol, 'SOCKS4.address', 'malformed destination');
    if (command === 'connect' && port === 0) throw refusal(protocol, 'SOCKS4.port', 'port 0');
    return {
      request: {
        protocol,
        command,
        host,
        port: command === 'connect' ? port : 0,
        username,
        password: '',
        resolvedByApplication: !is4a,
      },
    };
  }

  /** version(1)=5 count(1) methods(count). User name and password win, since they isolate, unless told otherwise. */
  private methods(reader: Reader): ProxyStep {
    reader.u8('SOCKS5.version');
    const methods = reader.slice(reader.u8('SOCKS5.nmethods'), 'SOCKS5.methods');
    if (methods.includes(2) && !(this.manners.preferNoAuth && methods.includes(0))) {
      this.state = 'auth';
      return { send: Uint8Array.of(5, 2) };
    }
    if (!methods.includes(0))
      throw new Refusal(
        'SOCKS5.methods',
        'neither "no authentication" nor "user name and password"',
        Uint8Array.of(5, 0xff),
      );
    this.state = 'request';
    return { send: Uint8Array.of(5, 0) };
  }

  /** version(1)=1 length(1) user length(1) password (RFC 1929); both may be empty. */
  private userPassword(reader: Reader): ProxyStep {
    const version = reader.u8('RFC1929.version');
    if (version !== 1) throw new Refusal('RFC1929.version', `${version} is not 1`, Uint8Array.of(1, 1));
    const username = latin1(reader.slice(reader.u8('RFC1929.ulen'), 'RFC1929.uname'));
    const password = latin1(reader.slice(reader.u8('RFC1929.plen'), 'RFC1929.passwd'));
    // Names reserved for extended parameters: only version 0 is known (C tor: parse_socks5_userpass_auth).
    if (username.startsWith('<torS0X>') && username !== '<torS0X>0')
      throw new Refusal('RFC1929.uname', 'unknown extended-parameter format', Uint8Array.of(1, 1));
    this.username = username;
    this.password = password;
    this.authPending = false;
    this.state = 'request';
    return { send: Uint8Array.of(1, 0) };
  }

  /** version(1)=5 command(1) reserved(1) type(1) address port(2); type 1: 4 bytes, 3: length(1) name, 4: 16 bytes. */
  private socks5(reader: Reader): ProxyStep {
    reader.u8('SOCKS5.version');
    const code = reader.u8('SOCKS5.command');
    reader.u8('SOCKS5.reserved');
    const type = reader.u8('SOCKS5.atyp');
    const name = this.socks5Address(reader, type);
    const port = reader.u16('SOCKS5.port');
    const command = SOCKS5_COMMANDS.get(code);
    if (!command)
      throw refusal(
        'socks5',
        'SOCKS5.command',
        `0x${code.toString(16)} is not supported`,
        'command-unsupported',
      );
    const host = parseHost(name);
    if (!host) throw refusal('socks5', 'SOCKS5.address', 'malformed destination');
    if (command === 'resolve-ptr' && host.kind === 'name')
      throw refusal('socks5', 'SOCKS5.address', 'RESOLVE_PTR wants an address', 'address-unsupported');
    if (command === 'connect' && port === 0) throw refusal('socks5', 'SOCKS5.port', 'port 0');
    return {
      request: {
        protocol: 'socks5',
        command,
        host,
        port: command === 'connect' ? port : 0,
        username: this.username,
        password: this.password,
        resolvedByApplication: type !== 3 && command !== 'resolve-ptr',
      },
    };
  }

  private socks5Address(reader: Reader, type: number): string {
    if (type === 1) return ipText(reader.copy(4, 'SOCKS5.ipv4'));
    if (type === 4) return ipText(reader.copy(16, 'SOCKS5.ipv6'));
    if (type === 3) return latin1(reader.slice(reader.u8('SOCKS5.hostlen'), 'SOCKS5.host'));
    throw refusal('socks5', 'SOCKS5.atyp', `unknown address type ${type}`, 'address-unsupported');
  }

  private http(): ProxyStep | undefined {
    const end = Buffer.from(this.buffer.buffer, this.buffer.byteOffset, this.buffer.length).indexOf(
      '\r\n\r\n',
    );
    if (end < 0 || end > MAX_HTTP_HEAD) {
      if (end >= 0 || this.buffer.length > MAX_HTTP_HEAD)
        throw new Refusal(
          'HTTP head',
          `longer than ${MAX_HTTP_HEAD} bytes`,
          this.manners.tunnel ? undefined : NOT_A_WEB_PROXY,
        );
      return undefined;
    }
    const parsed = parseHttpConnect(latin1(this.buffer.subarray(0, end)), this.manners.tunnel);
    if ('refuse' in parsed) throw new Refusal(parsed.field, parsed.refuse, parsed.send);
    this.buffer = this.buffer.slice(end + 4);
    return { request: { protocol: 'http', command: 'connect', resolvedByApplication: false, ...parsed } };
  }
}

const joined = (replies: Uint8Array[]): ProxyStep => (replies.length > 0 ? { send: concat(...replies) } : {});

const refusal = (
  protocol: ProxyProtocol,
  field: string,
  message: string,
  kind: FailureKind = 'general',
): Refusal => new Refusal(field, message, failureReply(protocol, kind, false));
