/**
 * `cepa keygen`.
 *
 * @module
 */
import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { IDENTITY_KEY_FILE, type KeygenOptions, keygenAuthority } from '../directory/keys.js';
import { CepaError } from '../shared/bytes/errors.js';
import { realClock } from '../shared/runtime/real.js';
import { diskStore } from '../shared/store/disk.js';
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

function hostPort(text: string): { host: string; port: number } {
  const found = /^\[?([^\]]+?)\]?:(\d{1,5})$/.exec(text);
  const port = Number(found?.[2]);
  if (!found || port < 1 || port > 65535)
    throw new CepaError('keygen', `--address "${text}" is not host:port`);
  return { host: found[1] as string, port };
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new CepaError('keygen', `cannot read ${file}: ${(error as Error).message}`, { cause: error });
  }
}

/** Makes an authority's keys, says what to do with them; the exit status. */
export async function runKeygenAuthority(
  command: KeygenAuthorityCommand,
  out: (line: string) => void,
): Promise<number> {
  const directory = command.dir.replace(/^~(?=\/|$)/, homedir());
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
