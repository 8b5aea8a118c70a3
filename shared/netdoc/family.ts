/**
 * Family members as relays declare them, and as microdescriptors list them (dir-spec 2.1.1 item `family`, 3.3).
 *
 * @module
 */
import { isNickname } from './values.js';

const MEMBER = /^\$([0-9A-Fa-f]{40})([=~][A-Za-z0-9]{1,19})?$/;
const FINGERPRINT = /^\$?([0-9A-Fa-f]{40})([=~][A-Za-z0-9]{1,19})?$/;

/** What a descriptor's `family` line may name: a nickname, or `$` and a fingerprint, perhaps with a nickname. */
export const isFamilyMember = (member: string): boolean => isNickname(member) || MEMBER.test(member);

function canonicalMember(member: string): string {
  if (isNickname(member)) return member.toLowerCase();
  const fingerprint = FINGERPRINT.exec(member)?.[1];
  return fingerprint === undefined ? member : `$${fingerprint.toUpperCase()}`;
}

/**
 * The family line of a microdescriptor: fingerprints in capitals and without nicknames, nicknames in lower case, the
 * relay itself added, sorted bytewise, each once [nodefamily_canonicalize].
 */
export const canonicalFamily = (members: readonly string[], self: string): string[] =>
  [...new Set([...members.map(canonicalMember), `$${self}`])].sort();
