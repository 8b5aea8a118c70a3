/**
 * Family keys (proposal 321): whoever holds one says which relays are a family, by a certificate in each descriptor.
 * Files are C tor's: `NAME.secret_family_key`, and `NAME.public_family_id` with the line for `FamilyId`.
 *
 * @module
 */
import { CepaError } from '../shared/bytes/errors.js';
import { bytesOf, toBase64Bare } from '../shared/bytes/text.js';
import { type Ed25519Signer, generateEd25519 } from '../shared/crypto/ed25519.js';
import { decodeEd25519Secret, encodeEd25519Secret, KeyFileError, KeyTag } from '../shared/crypto/keyfiles.js';
import type { Log } from '../shared/log/types.js';
import type { Env } from '../shared/runtime/env.js';
import type { Random } from '../shared/runtime/types.js';
import type { Store } from '../shared/store/types.js';
import type { Options } from '../shared/torrc/options.js';

const SECRET = '.secret_family_key';
const PUBLIC = '.public_family_id';

const bare = (id: string) => id.replace(/^ed25519:/, '');

/**
 * The keys under `directory` of the store that `wanted` names (`*`: every one). Warns of what is wanted and missing,
 * and of what is there and not wanted. Rejects with KeyFileError when one is damaged.
 */
export async function loadFamilyKeys(
  store: Store,
  directory: string,
  wanted: readonly string[],
  log: Log,
): Promise<Ed25519Signer[]> {
  if (wanted.length === 0) return [];
  const all = wanted.includes('*');
  const ids = new Set(wanted.filter((id) => id !== '*').map(bare));
  const keys: Ed25519Signer[] = [];
  for (const name of await store.list(directory)) {
    if (!name.endsWith(SECRET)) continue;
    const file = directory === '' ? name : `${directory}/${name}`;
    const bytes = await store.read(file);
    if (!bytes) continue;
    const key = decodeEd25519Secret(bytes, KeyTag.FAMILY, file);
    const id = toBase64Bare(key.publicKey);
    if (all || ids.has(id)) keys.push(key);
    else log.warn(`${file} is a family key that no FamilyId names; it is not used.`);
    ids.delete(id);
  }
  for (const id of ids)
    log.warn(`FamilyId ${id}: there is no key of that family among *${SECRET}. The relay does not claim it.`);
  if (all && keys.length === 0) log.warn(`FamilyId * was given, but there is no *${SECRET}.`);
  return keys;
}

/** The keys that the options name, from FamilyKeyDirectory or from `keys/`. */
export class OwnFamilyKeys {
  signers: readonly Ed25519Signer[] = [];
  private readonly options: Options;
  private readonly env: Pick<Env, 'store' | 'storeAt' | 'log'>;

  constructor(options: Options, env: Pick<Env, 'store' | 'storeAt' | 'log'>) {
    this.options = options;
    this.env = env;
  }

  /** Reads them. Rejects with KeyFileError. */
  async read(): Promise<void> {
    const { options, env } = this;
    const elsewhere = options.FamilyKeyDirectory;
    const apart = elsewhere === undefined ? undefined : env.storeAt?.(elsewhere);
    this.signers = apart
      ? await loadFamilyKeys(apart, '', options.FamilyId, env.log)
      : await loadFamilyKeys(env.store, 'keys', options.FamilyId, env.log);
  }

  /**
   * Reads them again: `FamilyId *` stays as it is when a key is replaced. Whether there are others now; where one cannot
   * be read, those in use stay [do_hup].
   */
  async reread(): Promise<boolean> {
    const before = idsOf(this.signers);
    try {
      await this.read();
    } catch (error) {
      if (!(error instanceof CepaError)) throw error;
      this.env.log.warn(`The family keys stay as they are: ${error.message}`);
    }
    return idsOf(this.signers) !== before;
  }
}

const idsOf = (signers: readonly Ed25519Signer[]): string =>
  signers.map(({ publicKey }) => toBase64Bare(publicKey)).join();

/** Makes a family key `NAME`; its id as FamilyId takes it. Rejects with KeyFileError when there is one already. */
export async function makeFamilyKey(store: Store, name: string, random: Random): Promise<string> {
  const file = `${name}${SECRET}`;
  if ((await store.read(file)) !== undefined)
    throw new KeyFileError(file, 'is there already. A family key is never overwritten; choose another name.');
  const key = generateEd25519(random);
  const id = toBase64Bare(key.publicKey);
  await store.write(file, encodeEd25519Secret(key, KeyTag.FAMILY));
  await store.write(`${name}${PUBLIC}`, bytesOf(`${id}\n`));
  return id;
}
