/**
 * Relays that could not be reached just now, so that circuits which are to go there do not have them dialled again and
 * again (C tor: `or_connect_failure_t`, `should_connect_to_relay`).
 *
 * @module
 */
import { toHex } from '../bytes/text.js';
import { canonicalHost } from '../cell/addresses.js';
import type { NetAddress } from '../runtime/types.js';
import type { ChannelTarget } from './types.js';

/** How long a failure counts, milliseconds (C tor: OR_CONNECT_FAILURE_LIFETIME). */
const LIFETIME = 60_000;
/** Failures remembered at a time; the oldest is forgotten for one more. */
const MAX_FAILURES = 16_384;

/** By identity and address: who names a wrong address for a relay says nothing of the right one. */
const keyOf = ({ rsaId, ed25519Id }: ChannelTarget, { host, port }: NetAddress): string =>
  `${toHex(rsaId ?? ed25519Id ?? new Uint8Array(0))} ${canonicalHost(host)} ${port}`;

/** Times are monotonic milliseconds. */
export class DialFailures {
  /** When it was, the oldest first. */
  private readonly at = new Map<string, number>();

  note(target: ChannelTarget, address: NetAddress, now: number): void {
    const key = keyOf(target, address);
    this.at.delete(key);
    this.at.set(key, now);
    if (this.at.size > MAX_FAILURES) this.at.delete(this.at.keys().next().value!);
  }

  isRecent(target: ChannelTarget, address: NetAddress, now: number): boolean {
    for (const [key, since] of this.at) {
      if (now - since < LIFETIME) break;
      this.at.delete(key);
    }
    return this.at.has(keyOf(target, address));
  }
}
