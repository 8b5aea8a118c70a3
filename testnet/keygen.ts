/**
 * `cepa keygen`.
 *
 * @module
 */
import { readFileSync } from 'node:fs';
import { isIPv4 } from 'node:net';
import { homedir } from 'node:os';
import { basename, dirname, resolve } from 'node:path';
import { IDENTITY_KEY_FILE, type KeygenOptions, keygenAuthority } from '../directory/keys.js';
import { makeFamilyKey } from '../relay/family-keys.js';
import { CepaError } from '../shared/bytes/errors.js';
import { toBase64Bare } from '../shared/bytes/text.js';
import { Ed25519Identity, IDENTITY_FILES } from '../shared/crypto/identity-keys.js';
import { createLog } from '../shared/log/log.js';
import { osRandom, realClock } from '../shared/runtime/real.js';
import { diskStore } from '../shared/store/disk.js';
import { systemError } from '../shared/store/errors.js';
import { lockDirectory } from './process/lock.js';

/** The options of `cepa keygen authority`. */
export interface KeygenAuthorityCommand {
  readonly dir: string;
  readonly address?: string;
  readonly months: number;
  readonly renew: boolean;
  readonly identity?: string;
  readonly passphraseFile?: string;
}

/** C tor reads no name and no IPv6 address there (authority_cert_parse_from_string). */
function hostPort(text: string): { host: string; port: number } {
  const [, host = '', digits] = /^(.+):(\d{1,5})$/.exec(text) ?? [];
  const port = Number(digits);
  if (!isIPv4(host) || !(port >= 1 && port <= 65535))
    throw new CepaError(
      'keygen',
      `--address "${text}" is not an IPv4 address and port; a certificate takes nothing else`,
    );
  return { host, port };
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw systemError(file, 'read', error);
  }
}

/** The options of `cepa keygen relay`. */
export interface KeygenRelayCommand {
  readonly dir: string;
  readonly days: number;
}

const DAY = 86_400_000;

const directoryOf = (dir: string) => dir.replace(/^~(?=\/|$)/, homedir());

/**
 * Makes a relay's ed25519 master key, if there is none, and a signing key with its certificate, as `tor --keygen`
 * does; the exit status.
 */
export async function runKeygenRelay(
  command: KeygenRelayCommand,
  out: (line: string) => void,
): Promise<number> {
  const directory = directoryOf(command.dir);
  const lock = lockDirectory(directory);
  try {
    const store = diskStore(directory);
    const isNew = (await store.read(IDENTITY_FILES.masterSecret)) === undefined;
    const env = {
      random: osRandom,
      clock: realClock,
      log: createLog({ Log: ['warn stderr'], SafeLogging: true }),
    };
    const options = { signingLifetime: command.days * DAY, offlineMaster: false };
    // With a slop without end, a signing key that is there is always about to expire.
    const signingSlop = isNew ? 0 : Number.POSITIVE_INFINITY;
    const identity = await Ed25519Identity.load(store, env, { ...options, signingSlop });
    if (isNew)
      out(`New master key: ${directory}/${IDENTITY_FILES.masterSecret}. Keep it offline, and a copy of it.`);
    out(`Identity: ${toBase64Bare(identity.id)}`);
    out(
      `Signing key valid until ${new Date(identity.signing.expires).toISOString().slice(0, 10)}. Copy to the relay:`,
    );
    const { masterPublic, signingSecret, signingCert } = IDENTITY_FILES;
    for (const file of [masterPublic, signingSecret, signingCert]) out(`  ${directory}/${file}`);
    out('and set there: OfflineMasterKey 1');
    return 0;
  } finally {
    lock.release();
  }
}

/** Makes a family key `path` (`.secret_family_key` is added); the exit status. */
export async function runKeygenFamily(path: string, out: (line: string) => void): Promise<number> {
  const full = resolve(directoryOf(path));
  const id = await makeFamilyKey(diskStore(dirname(full)), basename(full), osRandom);
  out(`# Made ${full}.secret_family_key: copy it to keys/ of every relay of the family, and keep it secret.`);
  out(`FamilyId ${id}`);
  return 0;
}

/** Makes an authority's keys, says what to do with them; the exit status. */
export async function runKeygenAuthority(
  command: KeygenAuthorityCommand,
  out: (line: string) => void,
): Promise<number> {
  const directory = directoryOf(command.dir);
  const options: KeygenOptions = {
    now: realClock.now(),
    months: command.months,
    renew: command.renew,
    ...(command.address === undefined ? {} : { address: hostPort(command.address) }),
    ...(command.identity === undefined ? {} : { identityPem: readText(command.identity) }),
    ...(command.passphraseFile === undefined
      ? {}
      : { passphrase: readText(command.passphraseFile).split(/\r?\n/, 1)[0] ?? '' }),
  };
  const lock = lockDirectory(directory);
  try {
    const { certificate, newIdentity } = await keygenAuthority(diskStore(directory), options);
    if (newIdentity)
      out(`New identity key: ${directory}/${IDENTITY_KEY_FILE}. Move it offline; it is needed to renew.`);
    out(`Certificate valid until ${new Date(certificate.expires).toISOString().slice(0, 10)}`);
    out(`For the DirAuthority line: v3ident=${certificate.identity}`);
    return 0;
  } finally {
    lock.release();
  }
}
