/**
 * The networks that `private` stands for in policies, in C tor's order (`private_nets` of policies.c).
 *
 * @module
 */
import { parseIp } from './address.js';

/** A network: its address and the length of its prefix. */
export interface Network {
  readonly address: Uint8Array;
  readonly bits: number;
}

const LIST: readonly (readonly [string, number])[] = [
  ['0.0.0.0', 8],
  ['169.254.0.0', 16],
  ['127.0.0.0', 8],
  ['192.168.0.0', 16],
  ['10.0.0.0', 8],
  ['172.16.0.0', 12],
  ['::', 8],
  ['fc00::', 7],
  ['fe80::', 10],
  ['fec0::', 10],
  ['ff00::', 8],
  ['::', 127],
];

/** What `private` expands to. */
export const PRIVATE_NETS: readonly Network[] = LIST.map(([text, bits]) => ({
  address: parseIp(text) ?? new Uint8Array(0),
  bits,
}));
