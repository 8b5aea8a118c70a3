/**
 * A relay's onion keys on disk and their rotation (dir-spec 2.1.1, param-spec onion-key-rotation-days; C tor:
 * `rotate_onion_key`, `expire_old_onion_keys`). The key before the current one lies in files that end in `.old`.
 *
 * @module
 */
import type { Log } from '../log/types.js';
import { loadState, type StateKind, saveState } from '../store/state.js';
import type { Store } from '../store/types.js';
import type { KeyEnv } from './identity-keys.js';
import { decodeRsaFile, decodeX25519File, encodeRsaFile, encodeX25519File, KeyTag } from './keyfiles.js';
import type { OnionKeys } from './ntor.js';
import { onionKeys } from './onion-keys.js';
import { RELAY_RSA_BITS, type RsaKey } from './rsa.js';
import { generateX25519, type X25519KeyPair } from './x25519.js';

const DAY = 86_400_000;

/** Where the files lie, under the data directory. */
export const ONION_FILES = {
  tap: 'keys/secret_onion_key',
  tapOld: 'keys/secret_onion_key.old',
  ntor: 'keys/secret_onion_key_ntor',
  ntorOld: 'keys/secret_onion_key_ntor.old',
  /** When the keys were last rotated. C tor has it in its own state file. */
  state: 'onion-keys.state',
} as const;

/** How long onion keys live, ms. */
export interface OnionKeyLifetimes {
  /** Until the next key (onion-key-rotation-days). */
  readonly rotation: number;
  /** How long the key before is still answered (onion-key-grace-period-days). */
  readonly grace: number;
}

export const DEFAULT_ONION_KEY_LIFETIMES: OnionKeyLifetimes = { rotation: 28 * DAY, grace: 7 * DAY };

/** The ntor keys in use. */
export interface NtorKeys {
  readonly current: X25519KeyPair;
  /** The one before, while it is still answered. */
  readonly previous: X25519KeyPair | undefined;
  /** Both, for answering handshakes. */
  readonly onionKeys: OnionKeys;
}

type Rotated = { readonly rotated: number };
const STATE: StateKind<Rotated> = {
  version: 1,
  check(value) {
    const rotated = (value as Rotated | undefined)?.rotated;
    if (!Number.isSafeInteger(rotated)) throw new Error('no rotation time');
    return { rotated: rotated! };
  },
};

const saveRotated = (store: Store, rotated: number) =>
  saveState(store, ONION_FILES.state, STATE.version, { rotated });

/** The onion keys of a relay; `rotate` replaces them. */
export class OnionKeyRing {
  private tapKey: RsaKey;
  private ntorKeys: NtorKeys;
  private rotated: number;
  private readonly store: Store;
  private readonly env: KeyEnv;
  private readonly makeRsa: (bits: number) => Promise<RsaKey>;

  private constructor(
    tap: RsaKey,
    ntor: NtorKeys,
    rotated: number,
    store: Store,
    env: KeyEnv,
    makeRsa: (bits: number) => Promise<RsaKey>,
  ) {
    this.tapKey = tap;
    this.ntorKeys = ntor;
    this.rotated = rotated;
    this.store = store;
    this.env = env;
    this.makeRsa = makeRsa;
  }

  /** The TAP key: no handshake uses it any more, but descriptors must have it. */
  get tap(): RsaKey {
    return this.tapKey;
  }

  get ntor(): NtorKeys {
    return this.ntorKeys;
  }

  /** When the current keys came into use, ms since 1970. */
  get since(): number {
    return this.rotated;
  }

  /** Reads the keys, or makes those that are absent. Throws KeyFileError. */
  static async load(
    store: Store,
    env: KeyEnv,
    makeRsa: (bits: number) => Promise<RsaKey>,
  ): Promise<OnionKeyRing> {
    const tap = (await readTap(store)) ?? (await writeTap(store, await makeRsa(RELAY_RSA_BITS)));
    const current =
      (await readNtor(store, ONION_FILES.ntor)) ?? (await writeNtor(store, generateX25519(env.random)));
    const previous = await readNtor(store, ONION_FILES.ntorOld);
    const ntor = ringOf(current, previous, generateX25519(env.random));
    const rotated = await readRotated(store, env.log, env.clock.now());
    return new OnionKeyRing(tap, ntor, rotated, store, env, makeRsa);
  }

  /** Makes new keys when it is time, forgets old ones when it is time. Returns whether there are new ones. */
  async rotate(now: number, lifetimes: OnionKeyLifetimes): Promise<boolean> {
    if (now - this.rotated >= lifetimes.rotation) {
      await this.replace(now);
      return true;
    }
    if (this.ntorKeys.previous !== undefined && now - this.rotated >= lifetimes.grace) await this.forget();
    return false;
  }

  /**
   * Old files first, the new keys last: after a crash in between, clients of the published descriptor are still answered.
   * Were the time written last, the next start would rotate again, and have two keys that nobody knows.
   */
  private async replace(now: number): Promise<void> {
    const [tap, ntor] = [await this.makeRsa(RELAY_RSA_BITS), generateX25519(this.env.random)];
    await this.store.write(ONION_FILES.tapOld, encodeRsaFile(this.tapKey));
    await this.store.write(ONION_FILES.ntorOld, encodeX25519File(this.ntorKeys.current, KeyTag.ONION));
    await saveRotated(this.store, now);
    await writeTap(this.store, tap);
    await writeNtor(this.store, ntor);
    this.tapKey = tap;
    this.ntorKeys = ringOf(ntor, this.ntorKeys.current, this.ntorKeys.onionKeys.junk);
    this.rotated = now;
    this.env.log.notice('Rotated the onion keys.');
  }

  private async forget(): Promise<void> {
    this.ntorKeys = ringOf(this.ntorKeys.current, undefined, this.ntorKeys.onionKeys.junk);
    await this.store.remove(ONION_FILES.ntorOld);
    await this.store.remove(ONION_FILES.tapOld);
  }
}

const ringOf = (
  current: X25519KeyPair,
  previous: X25519KeyPair | undefined,
  junk: X25519KeyPair,
): NtorKeys => ({
  current,
  previous,
  onionKeys: onionKeys(current, previous, junk),
});

async function readTap(store: Store): Promise<RsaKey | undefined> {
  const bytes = await store.read(ONION_FILES.tap);
  return bytes && decodeRsaFile(bytes, RELAY_RSA_BITS, ONION_FILES.tap);
}

async function writeTap(store: Store, key: RsaKey): Promise<RsaKey> {
  await store.write(ONION_FILES.tap, encodeRsaFile(key));
  return key;
}

async function readNtor(store: Store, file: string): Promise<X25519KeyPair | undefined> {
  const bytes = await store.read(file);
  return bytes && decodeX25519File(bytes, KeyTag.ONION, file);
}

async function writeNtor(store: Store, pair: X25519KeyPair): Promise<X25519KeyPair> {
  await store.write(ONION_FILES.ntor, encodeX25519File(pair, KeyTag.ONION));
  return pair;
}

/** Keys of unknown age (new, or brought from C tor) count from now. A time in the future would stop rotation. */
async function readRotated(store: Store, log: Log, now: number): Promise<number> {
  const state = await loadState(store, ONION_FILES.state, STATE, log);
  if (state !== undefined && state.rotated <= now) return state.rotated;
  await saveRotated(store, now);
  return now;
}
