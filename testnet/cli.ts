/**
 * The `cepa` command.
 *
 * @module
 */
import { readFileSync } from 'node:fs';
import { Command, InvalidArgumentError } from 'commander';
import { CepaError } from '../shared/bytes/errors.js';
import { tuneProcess } from '../shared/runtime/tune.js';
import { optionHelp } from '../shared/torrc/table.js';
import type { Role } from '../shared/torrc/table-types.js';
import { addOnion } from './cli-onion.js';
import type { ContainerRole } from './container/torrc.js';
import { sourceStack } from './process/stack.js';

const DEFAULT_DIRECTORY = '~/.cepa';

function versionText(): string {
  const file = new URL('../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

function wholeNumber(text: string): number {
  if (!/^\d{1,6}$/.test(text)) throw new InvalidArgumentError('It has to be a whole number.');
  return Number(text);
}

/** Whole numbers from 1 on. */
const upTo = (most: number) => (text: string) => {
  const found = wholeNumber(text);
  if (found < 1 || found > most) throw new InvalidArgumentError(`It has to be 1 to ${most}.`);
  return found;
};

/** C tor's for a certificate [tor-gencert]. */
const MOST_MONTHS = 24;
const MOST_DAYS = 3650;
const MOST_SECONDS = 86_400;

function shellCommand(text: string): string {
  if (text.trim() === '') throw new InvalidArgumentError('There is no command in it.');
  return text;
}

/** Breaks a paragraph at spaces. */
function wrapped(text: string, indent: string, width: number): string {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && indent.length + line.length + 1 + word.length > width) {
      lines.push(indent + line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, indent + line].join('\n');
}

/** Every option of a role, for its help. */
function optionText(role: Role): string {
  const width = Math.min(process.stdout.columns ?? 100, 110);
  const entries = optionHelp(role).map((option) => {
    const standard = option.default === '' ? '' : ` Default: ${option.default}.`;
    return `  ${option.name} ${option.syntax}\n${wrapped(option.help + standard, '      ', width)}`;
  });
  return [
    '',
    'Options of the torrc, also as --Option value here (+Option adds to a list, /Option empties it):',
    '',
    ...entries,
  ].join('\n');
}

const ROLE_TEXT: Record<Role, { summary: string; description: string; example: string }> = {
  authority: {
    summary: 'run a directory authority',
    description:
      'Runs a directory authority: a relay that also checks other relays, votes with the other authorities, and ' +
      'publishes the consensus. Make its keys first with `cepa keygen authority`.',
    example: 'cepa authority -f /etc/cepa/authority.torrc',
  },
  relay: {
    summary: 'run a relay or an exit',
    description: 'Runs a relay; an exit when the torrc has an ExitPolicy or ExitRelay 1.',
    example: 'cepa relay -f /etc/cepa/torrc --Nickname mine',
  },
  client: {
    summary: 'run a client with a SOCKS5 proxy',
    description:
      'Runs a client: programs that use its SOCKS5 (or HTTP CONNECT) port reach the network through three hops.',
    example: 'cepa client -f torrc --SocksPort 127.0.0.1:9050',
  },
};

interface RoleFlags {
  readonly file: string[];
  readonly verifyConfig?: boolean;
}

function addRole(program: Command, role: Role): void {
  const { summary, description, example } = ROLE_TEXT[role];
  program
    .command(role)
    .summary(summary)
    .description(description)
    .usage('[-f torrc] [--verify-config] [--Option value]…')
    .option(
      '-f, --file <torrc>',
      'configuration file; given again, later ones go on top',
      (value: string, before: string[]) => [...before, value],
      [] as string[],
    )
    .option('--verify-config', 'say everything that is wrong with the configuration, and exit')
    .allowUnknownOption()
    .allowExcessArguments()
    .addHelpText('after', () => `${optionText(role)}\n\nExample:\n  ${example}\n`)
    .action(async (flags: RoleFlags, command: Command) => {
      const { runNode, verifyConfig } = await import('./process/run.js');
      const source = { role, files: flags.file, args: command.args };
      if (flags.verifyConfig)
        process.exitCode = verifyConfig(source, (line) => process.stdout.write(`${line}\n`));
      else await runNode(source);
    });
}

function addTestnet(program: Command): void {
  program
    .command('testnet', { isDefault: false })
    .summary('start a whole private network on this machine')
    .description(
      'Starts a whole private network on this machine, each node a process at an address of its own in 127.0.0.0/8, ' +
        'and waits until a page was fetched through three hops of it. Needs no internet and no root.',
    )
    .option('--authorities <n>', 'directory authorities', wholeNumber, 3)
    .option('--relays <n>', 'relays, exits among them', wholeNumber, 9)
    .option('--exits <n>', 'how many of the relays are exits', wholeNumber, 3)
    .option(
      '--socks <host:port>',
      'where the client listens (default: 127.0.0.1:9050, or any port if that is taken)',
    )
    .option('--dir <path>', 'keep the network here: identities and ports stay the same across restarts')
    .option('--json', 'one JSON event a line on stdout; `ready` has the addresses of everything', false)
    .option(
      '--run <cmd>',
      'run a shell command inside the network, stop everything, exit with its status',
      shellCommand,
    )
    .option('--timeout <s>', 'give up when it is not ready after so many seconds', upTo(MOST_SECONDS), 120)
    .addHelpText(
      'after',
      `
The command of --run finds in its environment:
  ALL_PROXY     socks5h://HOST:PORT
  CEPA_SOCKS    HOST:PORT
  CEPA_TORRC    a torrc fragment with which any Tor program joins this network
  CEPA_DEMO     URL of the demo site; only exits can resolve its name
  CEPA_ONION    URL of the same site as an onion service

Exit status: 0 after Ctrl-C; that of the --run command; 125 when the network did not come up.

Examples:
  cepa testnet
  cepa testnet --run 'curl -s --socks5-hostname $CEPA_SOCKS $CEPA_DEMO'
  cepa testnet --dir ./mynet --relays 20 --exits 5
`,
    )
    .action(async (flags) => {
      const { runTestnet } = await import('./command.js');
      process.exit(await runTestnet(flags));
    });
}

function addKeygen(program: Command): void {
  const keygen = program
    .command('keygen')
    .summary('make long-term keys')
    .description('Makes long-term keys.');
  addRelayKeygen(keygen);
  keygen
    .command('authority')
    .summary('keys and certificate of a directory authority')
    .description(
      'Makes the identity key of a directory authority, a signing key, and the certificate that joins them, in ' +
        "C tor's files under keys/. The identity key is needed again only to renew the certificate: move it offline.",
    )
    .option('--dir <path>', 'data directory of the authority', DEFAULT_DIRECTORY)
    .option('--address <ip:port>', 'directory address to write into the certificate, IPv4')
    .option('--months <n>', 'how long the certificate lasts', upTo(MOST_MONTHS), 12)
    .option('--renew', 'replace signing key and certificate; the old files are kept aside', false)
    .option('--identity <file>', 'the identity key, when it is not in the data directory')
    .option(
      '--passphrase-file <file>',
      'encrypt the identity key (or open it) with the first line of this file',
    )
    .action(async (flags) => {
      const { runKeygenAuthority } = await import('./keygen.js');
      process.exitCode = await runKeygenAuthority(flags, (line) => process.stdout.write(`${line}\n`));
    });
}

const CONTAINER_ROLES: Record<ContainerRole, string> = {
  authority: 'run a directory authority',
  relay: 'run a relay',
  exit: 'run an exit',
  client: 'run a client',
  service: 'run an onion service',
};

function addContainer(program: Command): void {
  const container = program
    .command('container')
    .summary('be a container of a private network')
    .description(
      'What the containers of docker-compose.yml run: the role as always, with a torrc made of what the container ' +
        'finds around it. See docs/private-network.md.',
    );
  container
    .command('keys')
    .description('Makes the keys of the authorities, and the torrc that all share.')
    .requiredOption('--authorities <names>', 'names between commas')
    .option('--data <dir>', 'where a directory for each authority is', '/data')
    .option('--torrc <file>', 'the torrc to write', '/net/torrc')
    .action(async (flags) => {
      const { runKeys } = await import('./container/run.js');
      await runKeys(flags, (line) => process.stdout.write(`${line}\n`));
    });
  for (const [role, description] of Object.entries(CONTAINER_ROLES))
    container
      .command(role)
      .description(description)
      .option(
        '--name <name>',
        'nickname, and name of its directory; % at the end: the first number that is free',
        role,
      )
      .option('--data <dir>', 'where its directory is', '/data')
      .option('--torrc <file>', 'the torrc that all share', '/net/torrc')
      .option(
        '--home <n>',
        'the network whose address the first node of this service advertises',
        wholeNumber,
        1,
      )
      .option('--socks <host:port>', "a client's SOCKS proxy", '0.0.0.0:9050')
      .option('--site <host:port>', 'the server behind an onion service', '127.0.0.1:8080')
      .action(async (flags) => {
        const { runContainer } = await import('./container/run.js');
        await runContainer(role as ContainerRole, flags);
      });
  container
    .command('join')
    .description('Prints a torrc with which a Tor program outside of the containers joins their network.')
    .option('--torrc <file>', 'the torrc that all share', '/net/torrc')
    .action(async ({ torrc }: { torrc: string }) => {
      const { joinTorrc } = await import('./container/run.js');
      process.stdout.write(await joinTorrc(torrc));
    });
  container
    .command('site')
    .description('run the demo web site')
    .action(async () => {
      const { runSite } = await import('./container/run.js');
      await runSite();
    });
}

function addRelayKeygen(keygen: Command): void {
  keygen
    .command('relay')
    .summary('master and signing key of a relay, for OfflineMasterKey')
    .description(
      'Makes the Ed25519 master key of a relay, if the directory has none, and a new signing key certified by it, in ' +
        "C tor's files under keys/. Run it where the master key is kept, again before the signing key expires.",
    )
    .option('--dir <path>', 'directory that holds (or will hold) the master key', DEFAULT_DIRECTORY)
    .option('--days <n>', 'how long the signing key lasts', upTo(MOST_DAYS), 30)
    .action(async (flags) => {
      const { runKeygenRelay } = await import('./keygen.js');
      process.exitCode = await runKeygenRelay(flags, (line) => process.stdout.write(`${line}\n`));
    });
  keygen
    .command('family <path>')
    .summary('a family key')
    .description(
      'Makes PATH.secret_family_key and PATH.public_family_id, and says the FamilyId line for the torrc.',
    )
    .action(async (path: string) => {
      const { runKeygenFamily } = await import('./keygen.js');
      process.exitCode = await runKeygenFamily(path, (line) => process.stdout.write(`${line}\n`));
    });
}

function makeProgram(): Command {
  const program = new Command('cepa')
    .description(
      'A complete onion-routing network: directory authorities, relays, and a client with SOCKS5, speaking ' +
        "Tor's own protocols.",
    )
    .version(`Cepa ${versionText()}`, '--version', 'print the version')
    .showHelpAfterError('(see --help)');
  addTestnet(program);
  addRole(program, 'authority');
  addRole(program, 'relay');
  addRole(program, 'client');
  addKeygen(program);
  addOnion(program);
  addContainer(program);
  return program;
}

/** Runs the command line `cepa ARGV…`. */
export async function main(argv: readonly string[]): Promise<void> {
  tuneProcess();
  // Who reads our output may have read enough (`| head`).
  process.stdout.once('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit();
  });
  try {
    await makeProgram().parseAsync([...argv], { from: 'user' });
  } catch (error) {
    if (!(error instanceof CepaError)) {
      if (error instanceof Error && error.stack) error.stack = sourceStack(error.stack);
      throw error;
    }
    process.stderr.write(`cepa: ${error.message}\n`);
    process.exitCode = 1;
  }
}
