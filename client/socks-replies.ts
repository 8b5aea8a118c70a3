/**
 * Answers to applications on the proxy port.
 *
 * @module
 */
import { bytesOf } from '../shared/bytes/text.js';
import { Writer } from '../shared/bytes/writer.js';
import { ipBytes } from './address.js';
import { type FailureKind, HTTP_STATUS, SOCKS5_CODE } from './failure.js';
import { httpReply } from './http-connect.js';
import type { ProxyProtocol, ProxyRequest } from './proxy-request.js';

/** SOCKS4: NUL, code, port (2), address (4). 90 granted, 91 refused. */
const socks4 = (code: number, address: Uint8Array = new Uint8Array(4)): Uint8Array =>
  new Writer(8).u8(0).u8(code).u16(0).bytes(address).finish();

/** SOCKS5: 5, code, 0, type, address, port (2). */
function socks5(code: number, type: number, address: Uint8Array): Uint8Array {
  return new Writer(22).u8(5).u8(code).u8(0).u8(type).bytes(address).u16(0).finish();
}

const NO_ADDRESS = new Uint8Array(4);

/** "Connected". The bound address is all zeros: the application is not told which address the exit reached. */
export function connectedReply(request: ProxyRequest): Uint8Array {
  switch (request.protocol) {
    case 'http':
      return httpReply('200 OK');
    case 'socks5':
      return socks5(0, 1, NO_ADDRESS);
    default:
      return socks4(90);
  }
}

/** A failure; onion-service causes become "general" (or the nearest RFC 1928 code) unless ExtendedErrors is on. */
export function failureReply(protocol: ProxyProtocol, kind: FailureKind, extended: boolean): Uint8Array {
  if (protocol === 'http') return httpReply(HTTP_STATUS[kind]);
  if (protocol !== 'socks5') return socks4(91);
  const code = SOCKS5_CODE[kind];
  return socks5(code >= 0xf0 && !extended ? SOCKS5_CODE['host-unreachable'] : code, 1, NO_ADDRESS);
}

/** The answer to RESOLVE: an IP literal; or to RESOLVE_PTR: a name of at most 255 bytes. */
export function resolvedReply(request: ProxyRequest, answer: string): Uint8Array {
  const address = ipBytes(answer);
  if (request.protocol !== 'socks5') return address?.length === 4 ? socks4(90, address) : socks4(91);
  if (address) return socks5(0, address.length === 4 ? 1 : 4, address);
  const name = bytesOf(answer).subarray(0, 255);
  return socks5(0, 3, new Writer(256).u8(name.length).bytes(name).finish());
}
