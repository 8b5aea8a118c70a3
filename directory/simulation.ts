/**
 * A simulated network of authorities and relays, for the tests of this folder.
 *
 * @module
 */
import { type RelayNode, startRelay } from '../relay/node.js';
import { toHex } from '../shared/bytes/text.js';
import { LINK_RSA_BITS } from '../shared/crypto/link-cert.js';
import { loadOrCreateRelayKeys } from '../shared/crypto/relay-keys.js';
import type { RsaKey } from '../shared/crypto/rsa.js';
import { seededRsa } from '../shared/crypto/rsa-seeded.js';
import { memoryLog } from '../shared/log/memory.js';
import type { NodeEvent } from '../shared/runtime/env.js';
import { seededRandom } from '../shared/runtime/sim/random.js';
import { type SimHost, SimWorld } from '../shared/runtime/sim/world.js';
import type { Random } from '../shared/runtime/types.js';
import { type MemoryStore, memoryStore } from '../shared/store/memory.js';
import { loadOptions } from '../shared/torrc/parse.js';
import { keygenAuthority } from './keys.js';
import { type AuthorityNode, startAuthority } from './node.js';

/** RSA bits of simulated authorities: small, since nobody attacks them. */
const BITS = 1024;
const OR_PORT = 9001;
const DIR_PORT = 9030;

/** A place in the network that outlives the node that runs there. */
export interface Site<Node> {
  readonly name: string;
  host: SimHost;
  readonly address: string;
  readonly store: MemoryStore;
  readonly log: ReturnType<typeof memoryLog>;
  readonly events: NodeEvent[];
  node: Node | undefined;
}

/** A network on virtual time. */
export class Network {
  readonly world: SimWorld;
  readonly authorities: Site<AuthorityNode>[] = [];
  readonly relays: Site<RelayNode>[] = [];
  /** Hears what every node tells. */
  heard: (name: string, event: NodeEvent) => void = () => {};
  private readonly torrc: string[];
  private readonly keyRandom: Random;
  private linkKey: RsaKey | undefined;
  private lines: string[] = [];

  constructor(seed: string, start: number, ...torrc: string[]) {
    this.world = new SimWorld(seed, start);
    this.keyRandom = seededRandom(seed, 'RSA keys');
    this.torrc = ['DataDirectory /nowhere', ...torrc];
  }

  /** The seed decides who is who; what TLS shows is one key for all, since RSA keys cost more than the rest of a link. */
  private readonly makeRsa = async (bits: number): Promise<RsaKey> => {
    if (bits === BITS) return seededRsa(bits, this.keyRandom);
    this.linkKey ??= seededRsa(bits, this.keyRandom);
    return this.linkKey;
  };

  private site<Node>(name: string, n: number): Site<Node> {
    const address = `127.${n}.0.1`;
    return {
      name,
      address,
      host: this.world.host(address),
      store: memoryStore(),
      log: memoryLog(),
      events: [],
      node: undefined,
    };
  }

  /** Makes the keys of `count` authorities and the lines that name them. */
  async makeAuthorities(count: number): Promise<void> {
    for (let i = 0; i < count; i++) {
      const site = this.site<AuthorityNode>(`auth${i}`, 10 + i);
      const env = { ...site.host, log: site.log, store: site.store };
      const { certificate } = await keygenAuthority(site.store, {
        identityBits: BITS,
        signingBits: BITS,
        now: env.clock.now(),
        makeRsa: this.makeRsa,
      });
      const { rsaId } = await loadOrCreateRelayKeys(site.store, env, { makeRsa: this.makeRsa });
      const address = `${site.address}:${DIR_PORT}`;
      const line = `DirAuthority ${site.name} orport=${OR_PORT} v3ident=${certificate.identity} ${address} ${toHex(rsaId)}`;
      this.lines.push(line);
      this.authorities.push(site);
    }
  }

  /** The lines of a torrc that everybody in the network has. */
  get common(): readonly string[] {
    return [...this.torrc, ...this.lines];
  }

  private optionsOf(role: 'authority' | 'relay', site: Site<unknown>, more: string[]) {
    const own = [`Nickname ${site.name}`, `Address ${site.address}`, `ORPort ${site.address}:${OR_PORT}`];
    const text = [...this.common, ...own, ...more].join('\n');
    return loadOptions({ files: [{ name: 'torrc', text }], args: [], role }).options;
  }

  private envOf(site: Site<unknown>) {
    return {
      ...site.host,
      log: site.log,
      store: site.store,
      report: (event: NodeEvent) => {
        site.events.push(event);
        this.heard(site.name, event);
      },
    };
  }

  private authorityOptions(site: Site<AuthorityNode>, more: string[]) {
    const lines = [
      `DirPort ${site.address}:${DIR_PORT}`,
      'AuthoritativeDirectory 1',
      'V3AuthoritativeDirectory 1',
      'ContactInfo test@example.com',
    ];
    return this.optionsOf('authority', site, [...lines, ...more]);
  }

  /** Starts the authority at a site, again or for the first time. */
  async startAuthority(site: Site<AuthorityNode>, ...more: string[]): Promise<void> {
    const options = this.authorityOptions(site, more);
    site.node = await startAuthority(options, this.envOf(site), {
      makeRsa: this.makeRsa,
      linkBits: LINK_RSA_BITS,
    });
  }

  /** Has it read its configuration again, with these lines on top; the options it took over. */
  reloadAuthority(site: Site<AuthorityNode>, ...more: string[]): readonly string[] {
    return site.node!.reload(this.authorityOptions(site, more));
  }

  /** A machine for a relay. */
  siteOfRelay(name: string): Site<RelayNode> {
    const site = this.site<RelayNode>(name, 100 + this.relays.length);
    this.relays.push(site);
    return site;
  }

  async startRelayAt(site: Site<RelayNode>, ...more: string[]): Promise<void> {
    const env = this.envOf(site);
    const keys = await loadOrCreateRelayKeys(site.store, env, { makeRsa: this.makeRsa });
    site.node = await startRelay(this.optionsOf('relay', site, more), env, { keys });
  }

  async startRelay(name: string, ...more: string[]): Promise<Site<RelayNode>> {
    const site = this.siteOfRelay(name);
    await this.startRelayAt(site, ...more);
    return site;
  }

  /** Switches a crashed machine on again; its disk is as it was. */
  revive(site: Site<unknown>, skew = 0): void {
    site.host = this.world.host(site.address, skew);
  }

  /** Takes an authority's line out of the configuration. */
  forget(site: Site<AuthorityNode>): void {
    this.lines = this.lines.filter((line) => !line.startsWith(`DirAuthority ${site.name} `));
  }

  /** Stops everything. */
  async stop(): Promise<void> {
    await Promise.all(this.authorities.map((site) => site.node?.stop(false)));
    await Promise.all(this.relays.map((site) => site.node?.stop(false)));
  }
}
