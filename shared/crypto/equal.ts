/**
 * Comparisons that take the same time wherever the bytes differ, for MACs and whatever else an attacker may guess at.
 *
 * @module
 */
import { timingSafeEqual } from 'node:crypto';

/** Whether both are the same bytes; only the lengths may leak. */
export const constantTimeEqual = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && timingSafeEqual(a, b);

/** Whether every byte is zero, in time that depends on the length only. */
export function isAllZero(bytes: Uint8Array): boolean {
  let seen = 0;
  for (const byte of bytes) seen |= byte;
  return seen === 0;
}
