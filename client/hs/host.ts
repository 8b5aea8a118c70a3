/**
 * All onion services of a process: their directories read or made, then kept running.
 *
 * @module
 */
import { CepaError, DecodeError } from '../../shared/bytes/errors.js';
import { HS_FILES, loadOrCreateHsIdentity, parseAuthorizedClient } from '../../shared/crypto/hs-keyfiles.js';
import { sensitive } from '../../shared/log/sensitive.js';
import type { Log } from '../../shared/log/types.js';
import { documentText } from '../../shared/netdoc/tokenizer.js';
import type { Env } from '../../shared/runtime/env.js';
import type { Random } from '../../shared/runtime/types.js';
import type { Store } from '../../shared/store/types.js';
import type { HiddenServiceOption } from '../../shared/torrc/options.js';
import { OnionService, type ServiceConfig, type ServiceParts, type ServiceStatus } from './service.js';

const INTRO_POINTS = 3;
const DOS_RATE = 25;
const DOS_BURST = 200;

/** Onion services. */
export class OnionHost {
  private readonly parts: ServiceParts;
  private services: OnionService[];

  constructor(configs: readonly ServiceConfig[], parts: ServiceParts) {
    this.parts = parts;
    this.services = configs.map((config) => new OnionService(config, parts));
  }

  /** Takes another configuration: services that stay go on, others stop or begin [register_all_services]. */
  reconfigure(configs: readonly ServiceConfig[]): void {
    const before = new Map(this.services.map((service) => [service.address, service]));
    this.services = configs.map((config) => {
      const known = before.get(config.address);
      before.delete(config.address);
      known?.reconfigure(config);
      return known ?? new OnionService(config, this.parts);
    });
    for (const gone of before.values()) gone.stop();
    this.tick();
  }

  /** What is due: call it about once a second. */
  tick(): void {
    for (const service of this.services) service.tick();
  }

  status(): ServiceStatus[] {
    return this.services.map((service) => service.status());
  }

  stop(): void {
    for (const service of this.services) service.stop();
  }
}

/** Reads the directories of services, making keys where there are none. Rejects with KeyFileError or CepaError. */
export async function loadServices(
  options: readonly HiddenServiceOption[],
  env: Pick<Env, 'log' | 'random' | 'storeAt'>,
): Promise<ServiceConfig[]> {
  const configs: ServiceConfig[] = [];
  for (const option of options) {
    if (!env.storeAt)
      throw new CepaError('client/config', 'HiddenServiceDir: this process cannot reach directories');
    configs.push(await loadService(option, env.storeAt(option.directory), env));
  }
  return configs;
}

async function loadService(
  option: HiddenServiceOption,
  store: Store,
  { log, random }: { readonly log: Log; readonly random: Random },
): Promise<ServiceConfig> {
  const { key, address } = await loadOrCreateHsIdentity(store, '', random);
  const { introDos, introDosRate = DOS_RATE, introDosBurst = DOS_BURST } = option;
  return {
    identity: key,
    address,
    rules: {
      ports: option.ports,
      maxStreams: option.maxStreams ?? 0,
      maxStreamsCloseCircuit: option.maxStreamsCloseCircuit ?? false,
      allowUnknownPorts: option.allowUnknownPorts ?? false,
    },
    introPoints: option.introPoints ?? INTRO_POINTS,
    dos: introDos ? { rate: BigInt(introDosRate), burst: BigInt(introDosBurst) } : undefined,
    clients: await authorizedClients(store, log),
  };
}

/**
 * The keys in `authorized_clients/*.auth`. A file that cannot be read is passed over with a warning; but when all
 * are such, the service does not start: it would be open to everyone.
 */
async function authorizedClients(store: Store, log: Log): Promise<Uint8Array[]> {
  const names = (await store.list(HS_FILES.clients)).filter((name) => name.endsWith('.auth'));
  const keys: Uint8Array[] = [];
  for (const name of names) {
    const file = `${HS_FILES.clients}/${name}`;
    try {
      const bytes = await store.read(file);
      if (bytes) keys.push(parseAuthorizedClient(documentText(bytes, file).trim(), file));
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error;
      log.warn(`Passing over an authorized client: ${error.message}`, { file: sensitive(file) });
    }
  }
  if (names.length > 0 && keys.length === 0)
    throw new CepaError(
      'client/config',
      `${HS_FILES.clients}: none of its ${names.length} .auth files can be read; mend or remove them`,
    );
  return keys;
}
