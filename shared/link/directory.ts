/**
 * The channels a node has, by who is at the other end.
 *
 * @module
 */
import { sameBytes, toHex } from '../bytes/text.js';
import { canonicalHost } from '../cell/addresses.js';
import type { NetAddress } from '../runtime/types.js';
import type { LinkChannel } from './channel.js';
import type { ChannelTarget } from './types.js';

/** A channel older than this gets no new circuits, so that it can end (C tor: TIME_BEFORE_OR_CONN_IS_TOO_OLD). */
const TOO_OLD = 7 * 24 * 3_600_000;

/**
 * What names a target; concurrent dials to one name are one dial. The addresses are part of it: they are what somebody
 * says, and who names a wrong one must not keep those waiting who name the right one.
 */
export function targetKey({ rsaId, ed25519Id, addresses }: ChannelTarget): string {
  const at = addresses.map(({ host, port }) => `${host} ${port}`).join(',');
  return `${rsaId ? toHex(rsaId) : ''}/${ed25519Id ? toHex(ed25519Id) : ''}/${at}`;
}

function provesTo({ peer, remote, initiator }: LinkChannel, target: ChannelTarget): boolean {
  const { rsaId, ed25519Id, addresses } = target;
  if (rsaId && !(peer.rsaId && sameBytes(peer.rsaId, rsaId))) return false;
  if (ed25519Id && !(peer.ed25519Id && sameBytes(peer.ed25519Id, ed25519Id))) return false;
  if (rsaId || ed25519Id) return true;
  // Nobody in particular is wanted: whoever answers at the address.
  return initiator && addresses.some(({ host, port }) => host === remote.host && port === remote.port);
}

/** All channels of a node, and those to relays by RSA identity. */
export class ChannelDirectory {
  readonly all = new Set<LinkChannel>();
  private readonly byRsa = new Map<string, Set<LinkChannel>>();

  add(channel: LinkChannel): void {
    this.all.add(channel);
    if (!channel.peer.rsaId) return;
    const key = toHex(channel.peer.rsaId);
    const known = this.byRsa.get(key);
    if (known) known.add(channel);
    else this.byRsa.set(key, new Set([channel]));
  }

  remove(channel: LinkChannel): void {
    this.all.delete(channel);
    if (!channel.peer.rsaId) return;
    const key = toHex(channel.peer.rsaId);
    const known = this.byRsa.get(key);
    known?.delete(channel);
    if (known?.size === 0) this.byRsa.delete(key);
  }

  /**
   * The best channel to a target, as C tor chooses (channel_get_for_extend): proven to be the target; canonical, or at
   * an address that is asked for; of those the canonical, then those that are so to the peer, which it prefers; then
   * the oldest, so that nobody is switched over to a link made for that; then the one with most circuits.
   */
  find(target: ChannelTarget, now: number): LinkChannel | undefined {
    const { rsaId, addresses } = target;
    const candidates = rsaId ? this.byRsa.get(toHex(rsaId)) : this.all;
    let best: LinkChannel | undefined;
    for (const channel of candidates ?? []) {
      if (!channel.open || !channel.authenticated || now - channel.openedAt > TOO_OLD) continue;
      if (!provesTo(channel, target)) continue;
      if (!channel.canonical && !leadsTo(channel, addresses)) continue;
      if (!best || isBetter(channel, best)) best = channel;
    }
    return best;
  }
}

function leadsTo({ remote }: LinkChannel, addresses: readonly NetAddress[]): boolean {
  const there = canonicalHost(remote.host);
  return addresses.some(({ host }) => canonicalHost(host) === there);
}

function isBetter(a: LinkChannel, b: LinkChannel): boolean {
  if (a.canonical !== b.canonical) return a.canonical;
  if (a.canonicalToPeer !== b.canonicalToPeer) return a.canonicalToPeer;
  return a.openedAt === b.openedAt ? a.circuits > b.circuits : a.openedAt < b.openedAt;
}
