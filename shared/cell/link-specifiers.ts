/**
 * Link specifiers: how EXTEND2, introduction points and rendezvous requests name a relay (tor-spec 5.1.2).
 *
 * Wire form of one: type (1), length (1), value. Type 0 IPv4 address (4) and port (2); 1 IPv6 address (16) and port
 * (2); 2 SHA-1 of the RSA identity (20); 3 ed25519 identity (32). Others are kept as they are.
 *
 * @module
 */
import { DecodeError } from '../bytes/errors.js';
import { Reader } from '../bytes/reader.js';
import { Writer } from '../bytes/writer.js';
import type { NetAddress } from '../runtime/types.js';
import { bytesToHost, hostToBytes, isIpv6 } from './addresses.js';
import { type Codec, type Field, list, message, u8 } from './codec.js';

/** One way to name or reach a relay. */
export type LinkSpecifier =
  | { readonly type: 'ipv4' | 'ipv6'; readonly address: NetAddress }
  | { readonly type: 'rsa' | 'ed25519'; readonly id: Uint8Array }
  | { readonly type: 'unknown'; readonly code: number; readonly value: Uint8Array };

/** What a set of link specifiers says about one relay. */
export interface RelayName {
  readonly ipv4?: NetAddress;
  readonly ipv6?: NetAddress;
  readonly rsaId?: Uint8Array;
  readonly ed25519Id?: Uint8Array;
}

const KINDS = [
  { type: 'ipv4', size: 6 },
  { type: 'ipv6', size: 18 },
  { type: 'rsa', size: 20 },
  { type: 'ed25519', size: 32 },
] as const;

function readAddress(value: Uint8Array): NetAddress {
  const split = value.length - 2;
  return { host: bytesToHost(value.subarray(0, split)), port: new Reader(value.subarray(split)).u16('port') };
}

function encoded(specifier: LinkSpecifier): { code: number; value: Uint8Array } {
  if (specifier.type === 'unknown') return { code: specifier.code, value: specifier.value };
  const code = KINDS.findIndex((kind) => kind.type === specifier.type);
  if ('id' in specifier) return { code, value: specifier.id };
  const { host, port } = specifier.address;
  return { code, value: new Writer(18).bytes(hostToBytes(host)).u16(port).finish() };
}

/** One specifier, as a field of other messages. */
export const linkSpecifier: Field<LinkSpecifier> = {
  read(from, name) {
    const code = from.u8(`${name}.type`);
    const value = from.slice(from.u8(`${name}.length`), name);
    const kind = KINDS[code];
    if (!kind) return { type: 'unknown', code, value };
    if (value.length !== kind.size)
      throw new DecodeError(name, `${kind.type} wants ${kind.size} bytes, got ${value.length}`);
    return kind.type === 'ipv4' || kind.type === 'ipv6'
      ? { type: kind.type, address: readAddress(value) }
      : { type: kind.type, id: value };
  },
  write(to, specifier, name) {
    const { code, value } = encoded(specifier);
    const kind = KINDS[code];
    if (kind && value.length !== kind.size)
      throw new RangeError(`${name}: ${kind.type} wants ${kind.size} bytes`);
    u8.write(to, code, `${name}.type`);
    u8.write(to, value.length, `${name}.length`);
    to.bytes(value);
  },
};

/** A count (1) and so many specifiers. */
export const LINK_SPECIFIERS: Codec<LinkSpecifier[]> = message('LINK_SPECIFIERS', list(u8, linkSpecifier));

/** The specifiers of a relay in C tor's order: IPv4, RSA id, ed25519 id, IPv6. */
export function specifiersOf(relay: RelayName): LinkSpecifier[] {
  const specifiers: LinkSpecifier[] = [];
  if (relay.ipv4) specifiers.push({ type: 'ipv4', address: relay.ipv4 });
  if (relay.rsaId) specifiers.push({ type: 'rsa', id: relay.rsaId });
  if (relay.ed25519Id) specifiers.push({ type: 'ed25519', id: relay.ed25519Id });
  if (relay.ipv6) specifiers.push({ type: 'ipv6', address: relay.ipv6 });
  return specifiers;
}

/**
 * What specifiers say. The first address of a family counts; a second identity of a kind is refused, as C tor does
 * (extend_cell_from_extend2_cell_body). Identities are copies.
 */
export function relayNamed(specifiers: readonly LinkSpecifier[]): RelayName {
  const name: { -readonly [K in keyof RelayName]: RelayName[K] } = {};
  for (const specifier of specifiers) {
    switch (specifier.type) {
      case 'ipv4':
        name.ipv4 ??= specifier.address;
        break;
      case 'ipv6':
        name.ipv6 ??= specifier.address;
        break;
      case 'rsa':
        if (name.rsaId) throw new DecodeError('LINK_SPECIFIERS', 'two RSA identities');
        name.rsaId = Uint8Array.from(specifier.id);
        break;
      case 'ed25519':
        if (name.ed25519Id) throw new DecodeError('LINK_SPECIFIERS', 'two ed25519 identities');
        name.ed25519Id = Uint8Array.from(specifier.id);
        break;
      case 'unknown':
        break;
      default:
        specifier satisfies never;
    }
  }
  return name;
}

/** The addresses specifiers give, IPv4 first, for dialling. */
export const addressesOf = (relay: RelayName): NetAddress[] =>
  [relay.ipv4, relay.ipv6].filter((address) => address !== undefined);

/** The specifiers for an address literal of either family. */
export const addressSpecifier = (address: NetAddress): LinkSpecifier => ({
  type: isIpv6(address.host) ? 'ipv6' : 'ipv4',
  address,
});
