/**
 * `cepa onion …` on the command line.
 *
 * @module
 */
import type { Command } from 'commander';

/** Adds `cepa onion …` to a program. */
export function addOnion(program: Command): void {
  const onion = program
    .command('onion')
    .summary('keys of onion services')
    .description('Onion services: their keys.');
  onion
    .command('keygen')
    .argument('<directory>', 'the HiddenServiceDir')
    .summary('make the keys of an onion service, offline')
    .description(
      "Makes an onion service's key and prints its address. The files are C tor's; a directory that has a key " +
        'already is left as it is. Put the directory into a torrc:\n\n' +
        '  HiddenServiceDir DIRECTORY\n  HiddenServicePort 80 127.0.0.1:8080',
    )
    .action(async (directory: string) => {
      const { runOnionKeygen } = await import('./onion-keygen.js');
      process.exitCode = await runOnionKeygen(directory, (line) => process.stdout.write(`${line}\n`));
    });
}
