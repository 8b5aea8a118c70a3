/**
 * Made-up relays for the tests of this folder.
 *
 * @module
 */

import { bytesOf, toHex } from '../shared/bytes/text.js';
import { sha256 } from '../shared/crypto/digest.js';
import { parsePolicyLines } from '../shared/netdoc/policy.js';
import { parseProtocols } from '../shared/netdoc/protover.js';
import type { ServerDescriptor } from '../shared/netdoc/types.js';
import type { RelayView } from './relay-view.js';

/** The time of the tests. */
export const NOW = Date.UTC(2026, 2, 1, 12);
export const HOUR = 3600 * 1000;

let made = 0;

/** A descriptor like any other, with its own identity. */
export function descriptorOf(over: Partial<ServerDescriptor> = {}): ServerDescriptor {
  const seed = sha256(bytesOf(`relay ${made++}`));
  const rsaId = over.rsaId ?? seed.slice(0, 20);
  return {
    nickname: `relay${made}`,
    address: `10.${made >> 8}.${made & 255}.1`,
    orPort: 9001,
    dirPort: 0,
    orAddresses: [],
    id: toHex(rsaId),
    rsaId,
    ed25519Id: seed,
    platform: 'Tor 0.4.9.11 on Linux',
    published: NOW - HOUR,
    bandwidth: { rate: 1_000_000, burst: 1_000_000, observed: 500_000 },
    uptime: 7200,
    hibernating: false,
    ntorOnionKey: seed,
    tapOnionKey: new Uint8Array(140),
    signingKey: new Uint8Array(140),
    exitPolicy: parsePolicyLines(['reject *:*']),
    ipv6Policy: undefined,
    family: [],
    familyIds: [],
    contact: undefined,
    protocols: parseProtocols('Link=4-5 Relay=2'),
    extraInfoDigest: undefined,
    wantsHsDir: true,
    tunnelledDirServer: true,
    cachesExtraInfo: false,
    overloadGeneral: undefined,
    digest: sha256(seed).slice(0, 20),
    text: 'router …',
    certsExpire: NOW + 30 * 24 * HOUR,
    ...over,
  };
}

/** A relay that is up, valid and unremarkable. */
export const viewOf = (
  over: Partial<Omit<RelayView, 'descriptor'>> & { descriptor?: Partial<ServerDescriptor> } = {},
): RelayView => ({
  authority: false,
  running: true,
  valid: true,
  badExit: false,
  middleOnly: false,
  stripGuard: false,
  stripHsDir: false,
  stripV2Dir: false,
  measured: undefined,
  uptime: 7200,
  mtbf: 7200,
  timeKnown: 7200,
  wfu: 1,
  ...over,
  descriptor: descriptorOf(over.descriptor),
});
