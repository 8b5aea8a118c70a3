/**
 * What an authority sends to and fetches from the others, over their DirPorts: votes, signatures, and the documents it
 * missed (C tor `directory_post_to_dirservers`, `directory_get_from_all_authorities`).
 *
 * @module
 */

import type { Authorities } from '../relay/authorities.js';
import type { DirCache } from '../shared/dir/cache.js';
import { isLive, type MissingCertificate, verifyConsensus } from '../shared/dir/verify.js';
import type { Log } from '../shared/log/types.js';
import { parseAuthorityCertificates } from '../shared/netdoc/authority-cert.js';
import { parseConsensus } from '../shared/netdoc/consensus.js';
import type { Consensus, RelayId } from '../shared/netdoc/types.js';
import type { Clock } from '../shared/runtime/types.js';
import type { DirAuthorityOption } from '../shared/torrc/options.js';

/** Bytes of an answer. */
const MAX_VOTES = 64 * 1024 * 1024;
const MAX_SIGNATURES = 1024 * 1024;
const MAX_CONSENSUS = 32 * 1024 * 1024;
const MAX_DOCUMENTS = 8 * 1024 * 1024;
/** Descriptors in one request: names of 40 digits, within any limit on a request line. */
const BATCH = 90;

/** What talking to the others needs. */
export interface PeersConfig {
  readonly authorities: Authorities;
  /** Fingerprint of our own relay. */
  readonly self: RelayId;
  readonly log: Log;
  readonly clock: Clock;
  readonly cache: DirCache;
}

/** The other authorities. */
export class Peers {
  private readonly config: PeersConfig;
  readonly authorities: Authorities;
  readonly others: readonly DirAuthorityOption[];

  constructor(config: PeersConfig) {
    this.config = config;
    this.authorities = config.authorities;
    this.others = config.authorities.all.filter(
      ({ fingerprint, v3Ident }) => fingerprint !== config.self && v3Ident !== undefined,
    );
  }

  /** Sends a document to all of them; each failure is logged, none is thrown. */
  async post(path: string, body: string, what: string): Promise<void> {
    const bytes = Buffer.from(body, 'utf8');
    await Promise.all(this.others.map((peer) => this.postTo(peer, path, bytes, what)));
  }

  private async postTo(
    peer: DirAuthorityOption,
    path: string,
    body: Uint8Array,
    what: string,
  ): Promise<void> {
    const { authorities, log } = this.config;
    try {
      const response = await authorities.ask(peer, { method: 'POST', path, body });
      if (response.status === 200) log.info(`Sent our ${what} to ${peer.nickname}`);
      else log.warn(`Authority ${peer.nickname} refused our ${what}: ${response.status} ${response.reason}`);
    } catch (error) {
      log.warn(`Cannot send our ${what} to authority ${peer.nickname}: ${(error as Error).message}`);
    }
  }

  /** Asks all of them for a document; `take` gets each that is there, with the name of who gave it. */
  async getFromAll(
    path: string,
    kind: 'votes' | 'signatures',
    take: (text: string, from: string) => void,
  ): Promise<void> {
    const limit = kind === 'votes' ? MAX_VOTES : MAX_SIGNATURES;
    await Promise.all(
      this.others.map(async (peer) => {
        const text = await this.get(peer, path, limit);
        if (text !== undefined) take(text, peer.nickname);
      }),
    );
  }

  /** One document from one of them; undefined, and a line in the log, if it cannot be had. */
  private async get(peer: DirAuthorityOption, path: string, limit: number): Promise<string | undefined> {
    const { authorities, log } = this.config;
    try {
      const response = await authorities.ask(peer, { method: 'GET', path: `${path}.z` }, limit);
      if (response.status === 200) return Buffer.from(response.body).toString('utf8');
      log.info(`Authority ${peer.nickname} has no ${path}`, { status: response.status });
    } catch (error) {
      log.info(`Cannot ask authority ${peer.nickname} for ${path}: ${(error as Error).message}`);
    }
    return undefined;
  }

  /** Whether a consensus has enough good signatures, by the certificates there are. */
  verify(consensus: Consensus, now: number) {
    const { authorities, cache } = this.config;
    const { certificates } = cache;
    return verifyConsensus(
      consensus,
      { identities: authorities.identities, certificate: (id, key) => certificates.get(id, key) },
      now,
    );
  }

  /** A current consensus of both flavours from whoever has one: for an authority that missed the vote. */
  async fetchConsensus(): Promise<Consensus[]> {
    const found: Consensus[] = [];
    for (const [flavor, name] of [
      ['ns', 'consensus'],
      ['microdesc', 'consensus-microdesc'],
    ] as const) {
      for (const peer of this.others) {
        const consensus = await this.consensusFrom(peer, `/tor/status-vote/current/${name}`);
        if (consensus?.flavor !== flavor) continue;
        found.push(consensus);
        break;
      }
    }
    return found;
  }

  private async consensusFrom(peer: DirAuthorityOption, path: string): Promise<Consensus | undefined> {
    const { clock, log } = this.config;
    const text = await this.get(peer, path, MAX_CONSENSUS);
    if (text === undefined) return undefined;
    try {
      const consensus = parseConsensus(text);
      if (!isLive(consensus, clock.now())) return undefined;
      await this.fetchCertificates(peer, this.verify(consensus, clock.now()).missing);
      const verdict = this.verify(consensus, clock.now());
      if (verdict.ok) return consensus;
      log.warn(`Authority ${peer.nickname} gave a consensus that is not to be believed: ${verdict.reason}`);
    } catch (error) {
      log.warn(`Authority ${peer.nickname} gave a malformed consensus: ${(error as Error).message}`);
    }
    return undefined;
  }

  private async fetchCertificates(
    peer: DirAuthorityOption,
    missing: readonly MissingCertificate[],
  ): Promise<void> {
    if (missing.length === 0) return;
    const { authorities, cache } = this.config;
    const names = missing.map(({ identity, signingKeyDigest }) => `${identity}-${signingKeyDigest}`);
    const text = await this.get(peer, `/tor/keys/fp-sk/${names.join('+')}`, MAX_SIGNATURES);
    const trusted = new Set(authorities.identities);
    for (const certificate of parseAuthorityCertificates(text ?? '').documents)
      if (trusted.has(certificate.identity)) cache.certificates.add(certificate);
  }

  /** Server descriptors and the extra-infos they name, by digest; `take` gets the texts. */
  async fetchDescriptors(
    nickname: string,
    kind: 'server' | 'extra',
    digests: readonly string[],
    take: (text: string) => void,
  ): Promise<void> {
    const peer = this.others.find((other) => other.nickname === nickname) ?? this.others[0];
    if (!peer) return;
    for (let from = 0; from < digests.length; from += BATCH) {
      const names = digests.slice(from, from + BATCH).join('+');
      const text = await this.get(peer, `/tor/${kind}/d/${names}`, MAX_DOCUMENTS);
      if (text !== undefined) take(text);
    }
  }
}
