/**
 * The keys of a service in one time period.
 *
 * @module
 */
import {
  blindingParam,
  blindKey,
  blindPublicKey,
  subcredential,
  type TimePeriod,
} from '../crypto/blinding.js';
import type { Ed25519ExpandedKey } from '../crypto/ed25519.js';

/** What a client knows of a service in a period. */
export interface PeriodNames {
  readonly period: TimePeriod;
  readonly blindedKey: Uint8Array;
  readonly subcredential: Uint8Array;
}

/** The names of a service, by its identity key. Throws DecodeError when that is no point of the main group. */
export function periodNames(identity: Uint8Array, period: TimePeriod): PeriodNames {
  const blindedKey = blindPublicKey(identity, blindingParam(identity, period));
  return { period, blindedKey, subcredential: subcredential(identity, blindedKey) };
}

/** What the service itself has in a period. */
export interface PeriodKeys extends PeriodNames {
  readonly blinded: Ed25519ExpandedKey;
}

/** The keys of a period. */
export function periodKeys(identity: Ed25519ExpandedKey, period: TimePeriod): PeriodKeys {
  const blinded = blindKey(identity, blindingParam(identity.publicKey, period));
  return {
    period,
    blinded,
    blindedKey: blinded.publicKey,
    subcredential: subcredential(identity.publicKey, blinded.publicKey),
  };
}
