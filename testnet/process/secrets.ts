/**
 * Directories of keys that others may look into are closed to them before anything is read (C tor: check_private_dir).
 *
 * @module
 */
import { join } from 'node:path';
import type { Log } from '../../shared/log/types.js';
import { closeDirectory } from '../../shared/store/close-directory.js';
import type { Options } from '../../shared/torrc/options.js';

type Places = Pick<Options, 'DataDirectory' | 'HiddenServiceDir' | 'ClientOnionAuthDir'>;

const placesOf = ({ DataDirectory, HiddenServiceDir, ClientOnionAuthDir }: Places): string[] => [
  join(DataDirectory, 'keys'),
  ...HiddenServiceDir.flatMap(({ directory }) => [directory, join(directory, 'authorized_clients')]),
  ...(ClientOnionAuthDir === undefined ? [] : [ClientOnionAuthDir]),
];

/** Closes those that are there, and says so; where it cannot, that others can look into them is said and left. */
export function closeSecrets(options: Places, log: Log): void {
  for (const directory of placesOf(options)) {
    try {
      if (closeDirectory(directory))
        log.warn(`Others could read ${directory}, which holds keys: it is closed to them now.`);
    } catch (error) {
      log.warn(`Others can read ${directory}, which holds keys: ${(error as Error).message}`);
    }
  }
}
