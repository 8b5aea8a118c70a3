/**
 * Lines up what each vote says about each router, by the pair of identities first and by the RSA identity where no
 * pair has a majority (dir-spec 3.8.0.1; C tor `dircollator_collate_by_ed25519`).
 *
 * @module
 */
import { toBase64Bare } from '../shared/bytes/text.js';
import type { RelayId, RouterStatus, Vote } from '../shared/netdoc/types.js';
import { compareText } from './order.js';

/** One router with its entry in each vote. */
export interface CollatedRouter {
  readonly id: RelayId;
  /** By vote; undefined where the vote does not list it, or lists it with another ed25519 identity. */
  readonly entries: readonly (RouterStatus | undefined)[];
  /** How many votes list exactly the <RSA, ed25519> pair that a majority of authorities lists; 0 if there is none. */
  readonly edConsensus: number;
}

type Entries = (RouterStatus | undefined)[];

const listed = (entries: Entries): number => entries.reduce((n, entry) => (entry ? n + 1 : n), 0);

/** `none` is an identity of its own: a vote that says so takes part in the count of pairs. */
const edKey = (router: RouterStatus): string | undefined =>
  router.ed25519Id === undefined
    ? undefined
    : router.ed25519Id === 'none'
      ? 'none'
      : toBase64Bare(router.ed25519Id);

/** Routers that more than half of `authorities` (the configured ones, not those that voted) list, by RSA identity. */
export function collate(votes: readonly Vote[], authorities: number): CollatedRouter[] {
  const byRsa = new Map<RelayId, Entries>();
  const byPair = new Map<string, { id: RelayId; entries: Entries }>();
  votes.forEach((vote, voter) => {
    for (const router of vote.routers) {
      let entries = byRsa.get(router.id);
      if (!entries) {
        entries = new Array(votes.length).fill(undefined) as Entries;
        byRsa.set(router.id, entries);
      }
      entries[voter] = router;
      const ed = edKey(router);
      if (ed === undefined) continue;
      const key = `${router.id} ${ed}`;
      let pair = byPair.get(key);
      if (!pair) {
        pair = { id: router.id, entries: new Array(votes.length).fill(undefined) as Entries };
        byPair.set(key, pair);
      }
      pair.entries[voter] = router;
    }
  });

  const out = new Map<RelayId, CollatedRouter>();
  for (const { id, entries } of byPair.values()) {
    const edConsensus = listed(entries);
    if (edConsensus <= Math.floor(authorities / 2)) continue;
    const all = byRsa.get(id)!;
    // Votes that give no ed25519 identity at all do not contradict the pair.
    const filled = entries.map((entry, i) => entry ?? (all[i]?.ed25519Id === undefined ? all[i] : undefined));
    out.set(id, { id, entries: filled, edConsensus });
  }
  for (const [id, entries] of byRsa) {
    if (out.has(id) || listed(entries) <= Math.floor(authorities / 2)) continue;
    out.set(id, { id, entries, edConsensus: 0 });
  }
  return [...out.values()].sort((a, b) => compareText(a.id, b.id));
}
