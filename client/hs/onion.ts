/**
 * Everything a client does with onion services, put together: reaching those of others, and hosting its own.
 *
 * @module
 */
import type { X25519KeyPair } from '../../shared/crypto/x25519.js';
import type { Backlog } from '../../shared/onion/types.js';
import type { Env, NodeEvent } from '../../shared/runtime/env.js';
import type { Resolver, Transport } from '../../shared/runtime/types.js';
import type { Options } from '../../shared/torrc/options.js';
import { type HsBuilderParts, HsCircuitBuilder } from './circuit-builder.js';
import { loadClientKeys } from './client-keys.js';
import { DescriptorCache } from './descriptors.js';
import { HsDirClient, HsDirectories } from './directory.js';
import { loadServices, OnionHost } from './host.js';
import { Meetings } from './meeting.js';
import { OnionClient } from './onion-client.js';
import type { ServiceConfig, ServiceStatus } from './service.js';

/** What is read from files before a client starts. */
export interface OnionFiles {
  readonly services: readonly ServiceConfig[];
  /** By the service's identity in hex. */
  readonly clientKeys: ReadonlyMap<string, X25519KeyPair>;
}

/** Reads it. Rejects with KeyFileError or CepaError when a service's directory is not as it must be. */
export async function loadOnionFiles(options: Options, env: Env): Promise<OnionFiles> {
  const services = await loadServices(options.HiddenServiceDir, env);
  return { services, clientKeys: await loadClientKeys(options.ClientOnionAuthDir, env) };
}

/** What it works with. */
export interface OnionParts extends HsBuilderParts {
  readonly transport: Transport;
  readonly resolver: Resolver;
  /** Takes streams of services that are over while their servers have not taken all. */
  readonly leaving: Set<Backlog>;
  readonly report: ((event: NodeEvent) => void) | undefined;
}

/** Both sides. */
export class Onion {
  readonly client: OnionClient;
  private readonly host: OnionHost;
  private readonly builder: HsCircuitBuilder;
  private readonly report: OnionParts['report'];
  /** HSDirs told of, by service. */
  private readonly told: number[] = [];
  private clientKeys: OnionFiles['clientKeys'];

  constructor(parts: OnionParts, files: OnionFiles) {
    const { clock, log, options, rules, network } = parts;
    const builder = new HsCircuitBuilder(parts);
    const common = {
      ...parts,
      builder,
      pathRules: rules,
      allowPrivate: options.ExtendAllowPrivateAddresses,
      directories: new HsDirectories(options.TestingTorNetwork),
      directory: new HsDirClient(builder, clock),
    };
    this.clientKeys = files.clientKeys;
    const descriptors = new DescriptorCache({ ...common, clientKeys: () => this.clientKeys });
    const meetings = new Meetings({ ...common, descriptors });
    this.client = new OnionClient({ clock, log, options, meetings, network });
    this.host = new OnionHost(files.services, common);
    this.builder = builder;
    this.report = parts.report;
  }

  /** What is due: call it about once a second, and when the network has become known. */
  tick(): void {
    this.builder.tick();
    this.client.tick();
    this.host.tick();
    this.tell();
  }

  /** Reports how many HSDirs hold each service's descriptors, where that changed. */
  private tell(): void {
    if (!this.report) return;
    this.services().forEach(({ descriptors }, index) => {
      // Clients look for one or the other: it counts what both have.
      const directories = descriptors.length === 2 ? Math.min(...descriptors.map(({ heldBy }) => heldBy)) : 0;
      if ((this.told[index] ?? 0) === directories) return;
      this.told[index] = directories;
      this.report?.({ type: 'onion-service', index, directories });
    });
  }

  /** Takes what was read anew. */
  reconfigure({ services, clientKeys }: OnionFiles): void {
    this.clientKeys = clientKeys;
    this.host.reconfigure(services);
    this.told.length = 0;
  }

  /** How the services hosted here are, in the order of the configuration. */
  services(): ServiceStatus[] {
    return this.host.status();
  }

  stop(): void {
    this.host.stop();
    this.client.stop();
    this.builder.stop();
  }
}
