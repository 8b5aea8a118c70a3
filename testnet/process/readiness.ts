/**
 * Whether a node can do what it is there for, and if not, what is missing: an authority has a consensus, a relay is in
 * it, a client builds circuits, an onion service can be found.
 *
 * @module
 */
import type { ClientStatus } from '../../client/client-node.js';
import type { AuthorityStatus } from '../../directory/node.js';
import type { RelayStatus } from '../../relay/node.js';

/** What is missing; undefined when nothing is. */
export type Missing = string | undefined;

function consensusMissing(validUntil: number | undefined, now: number): Missing {
  if (validUntil === undefined) return 'there is no consensus yet';
  return validUntil < now ? 'the consensus has expired' : undefined;
}

/** What an authority lacks. */
export const authorityMissing = ({ consensus }: Pick<AuthorityStatus, 'consensus'>, now: number): Missing =>
  consensusMissing(consensus?.validUntil, now);

/** What a relay lacks. */
export function relayMissing(
  status: Pick<RelayStatus, 'consensusValidUntil' | 'listed'>,
  now: number,
): Missing {
  const missing = consensusMissing(status.consensusValidUntil, now);
  if (missing !== undefined) return missing;
  return status.listed ? undefined : 'the consensus does not list this relay as Running';
}

/** What a client lacks. */
export function clientMissing(status: Pick<ClientStatus, 'bootstrap' | 'ready' | 'onionServices'>): Missing {
  const { percent, tag } = status.bootstrap;
  if (percent < 100) return `bootstrapped ${percent}% (${tag})`;
  if (!status.ready) return 'too little is known of the network to build circuits';
  const hidden = status.onionServices.find(
    ({ descriptors }) => !descriptors.some(({ heldBy }) => heldBy > 0),
  );
  return hidden && 'an onion service has no descriptor at any HSDir yet';
}
