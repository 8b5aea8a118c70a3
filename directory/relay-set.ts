/**
 * Which relays an option names: fingerprints, nicknames, addresses and networks, or `*` for all (the router sets of
 * tor(1), e.g. TestingDirAuthVoteExit).
 *
 * @module
 */
import { parsePolicyLines } from '../shared/netdoc/policy.js';
import type { RelayId } from '../shared/netdoc/types.js';

/** A test whether a relay is named. */
export type RelaySet = (relay: {
  readonly id: RelayId;
  readonly nickname: string;
  readonly address: string;
  readonly orPort: number;
}) => boolean;

const FINGERPRINT = /^\$?([0-9A-F]{40})(?:[=~].*)?$/i;
const NICKNAME = /^[A-Za-z0-9]{1,19}$/;

/**
 * Reads the items of an option, each possibly several with commas between.
 *
 * @throws DecodeError for an item that is neither fingerprint, nickname nor address pattern.
 */
export function relaySet(items: readonly string[]): RelaySet {
  const ids = new Set<RelayId>();
  const nicknames = new Set<string>();
  const patterns: string[] = [];
  for (const item of items.flatMap((line) => line.split(',')).map((text) => text.trim())) {
    if (item === '') continue;
    const fingerprint = FINGERPRINT.exec(item);
    if (fingerprint) ids.add(fingerprint[1]!.toUpperCase());
    else if (NICKNAME.test(item)) nicknames.add(item.toLowerCase());
    else patterns.push(item);
  }
  const networks = parsePolicyLines(patterns, { assume: 'reject' });
  return ({ id, nickname, address, orPort }) =>
    ids.has(id) || nicknames.has(nickname.toLowerCase()) || !networks.allows(address, orPort);
}
