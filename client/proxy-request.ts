/**
 * A request of an application, whatever proxy language it came in.
 *
 * @module
 */
import type { Host } from './address.js';

/** In which language the application speaks, and so in which it is answered. */
export type ProxyProtocol = 'socks4' | 'socks4a' | 'socks5' | 'http';

/** What an application asks for. */
export interface ProxyRequest {
  readonly protocol: ProxyProtocol;
  readonly command: 'connect' | 'resolve' | 'resolve-ptr';
  readonly host: Host;
  /** 0 for the resolve commands, whatever was sent. */
  readonly port: number;
  /** SOCKS4 user, SOCKS5 user name, HTTP `Tor-Stream-Isolation`: latin1, for isolation only. */
  readonly username: string;
  /** SOCKS5 password, HTTP `Proxy-Authorization`. */
  readonly password: string;
  /** Whether the application sent an address in a field made for addresses: it resolved the name itself. */
  readonly resolvedByApplication: boolean;
}
