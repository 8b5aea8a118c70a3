/**
 * The flags Named and Unnamed, which no authority of today gives but which the tally must still treat as C tor does:
 * a nickname belongs to the one relay that every naming authority names; others who use it are Unnamed
 * (C tor `networkstatus_compute_consensus`, "Named and Unnamed get treated specially").
 *
 * @module
 */
import type { RelayId, RouterStatus, Vote } from '../shared/netdoc/types.js';

/** To whom a nickname belongs: a relay, nobody that is known, or it is disputed. */
type Owner = RelayId | 'unknown' | 'conflict';

/** What is known of nicknames after all votes. */
export class Naming {
  private readonly owners = new Map<string, Owner>();

  constructor(votes: readonly Vote[]) {
    for (const vote of votes) {
      if (vote.knownFlags.includes('Named')) this.each(vote, 'Named', (router) => this.named(router));
    }
    for (const vote of votes) {
      if (vote.knownFlags.includes('Unnamed')) this.each(vote, 'Unnamed', (router) => this.unnamed(router));
    }
  }

  /** Which of the two flags a relay gets under this nickname. */
  flagOf(nickname: string, id: RelayId): 'Named' | 'Unnamed' | undefined {
    const owner = this.owners.get(nickname.toLowerCase());
    if (owner === undefined) return undefined;
    return owner === id ? 'Named' : 'Unnamed';
  }

  private each(vote: Vote, flag: string, note: (router: RouterStatus) => void): void {
    for (const router of vote.routers) if (router.flags.has(flag)) note(router);
  }

  private named(router: RouterStatus): void {
    const name = router.nickname.toLowerCase();
    const owner = this.owners.get(name);
    if (owner === undefined) this.owners.set(name, router.id);
    else if (owner !== 'conflict' && owner !== router.id) this.owners.set(name, 'conflict');
  }

  private unnamed(router: RouterStatus): void {
    const name = router.nickname.toLowerCase();
    const owner = this.owners.get(name);
    if (owner === 'conflict' || owner === 'unknown') return;
    if (owner === undefined) this.owners.set(name, 'unknown');
    else if (owner === router.id) this.owners.set(name, 'conflict');
  }
}
