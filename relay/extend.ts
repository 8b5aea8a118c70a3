/**
 * EXTEND2 as a relay reads it, and everything it refuses (tor-spec 5.1.2, 5.6; C tor: `circuit_extend`,
 * `circuit_extend_lspec_valid_helper`, `check_extend_cell`).
 *
 * @module
 */
import { DecodeError } from '../shared/bytes/errors.js';
import { sameBytes, toHex } from '../shared/bytes/text.js';
import { DestroyReason, HandshakeType } from '../shared/cell/commands.js';
import { relayNamed } from '../shared/cell/link-specifiers.js';
import { EXTEND2 } from '../shared/cell/relay-cells.js';
import type { ChannelTarget, PeerIdentity } from '../shared/link/types.js';
import type { RelayId } from '../shared/netdoc/types.js';
import type { NetAddress } from '../shared/runtime/types.js';
import { isPrivate, isUnspecified } from './addresses.js';

/** What a relay will extend to. */
export interface ExtendRules {
  /** `ExtendAllowPrivateAddresses`. */
  readonly allowPrivate: boolean;
  /** Whether an IPv6 address may be dialled: only a relay that listens on one says it can (prop311). */
  readonly ipv6: boolean;
  /** The ed25519 identity the consensus knows for an RSA one: filled in when the client left it out. */
  ed25519Of(id: RelayId): Uint8Array | undefined;
}

/** What to do: dial and send CREATE2, or end the circuit with reason PROTOCOL. */
export type Extend =
  | { readonly target: ChannelTarget; readonly type: number; readonly data: Uint8Array }
  | { readonly refused: string };

/** Reads and checks the body of EXTEND2. `previous` is the hop it came from. */
export function parseExtend(body: Uint8Array, previous: PeerIdentity, rules: ExtendRules): Extend {
  try {
    return checkExtend(body, previous, rules);
  } catch (error) {
    if (error instanceof DecodeError) return { refused: error.message };
    throw error;
  }
}

const isZero = (bytes: Uint8Array) => bytes.every((byte) => byte === 0);

function checkExtend(body: Uint8Array, previous: PeerIdentity, rules: ExtendRules): Extend {
  const { specifiers, type, data } = EXTEND2.decode(body);
  if (type === HandshakeType.TAP || type === HandshakeType.FAST)
    return { refused: `EXTEND2 with handshake type ${type}` };
  const named = relayNamed(specifiers);
  if (!named.rsaId || isZero(named.rsaId)) return { refused: 'EXTEND2 without an RSA identity' };
  const given = named.ed25519Id && !isZero(named.ed25519Id) ? named.ed25519Id : undefined;
  const ed25519Id = given ?? rules.ed25519Of(toHex(named.rsaId));
  // A circuit that goes back where it came from has no use but to make long paths of few relays.
  if (previous.rsaId && sameBytes(named.rsaId, previous.rsaId))
    return { refused: 'EXTEND2 back to the previous hop' };
  if (ed25519Id && previous.ed25519Id && sameBytes(ed25519Id, previous.ed25519Id))
    return { refused: 'EXTEND2 back to the previous hop, by its ed25519 identity' };
  const usable = [named.ipv4, named.ipv6].filter((address) => address && mayDial(address, rules));
  if (usable.length === 0) return { refused: 'EXTEND2 to no address that may be dialled' };
  const addresses = (usable as NetAddress[]).filter((address) => rules.ipv6 || !address.host.includes(':'));
  const target = ed25519Id ? { addresses, rsaId: named.rsaId, ed25519Id } : { addresses, rsaId: named.rsaId };
  return { target, type, data: Uint8Array.from(data) };
}

function mayDial(address: NetAddress, rules: ExtendRules): boolean {
  if (address.port === 0 || isUnspecified(address.host)) return false;
  return rules.allowPrivate || !isPrivate(address.host);
}

/** The DESTROY reason for a link that could not be made (tor-spec 5.4). */
export function dialFailureReason(error: unknown): number {
  const code = (error as { code?: unknown } | undefined)?.code;
  return code === 'identity' ? DestroyReason.OR_IDENTITY : DestroyReason.CONNECTFAILED;
}
