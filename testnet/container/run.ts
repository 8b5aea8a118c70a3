/**
 * `cepa container`: what a container of a private network runs.
 *
 * @module
 */
import { lookup } from 'node:dns/promises';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { systemError } from '../../shared/store/errors.js';
import { makeDirectory } from '../../shared/store/make-directory.js';
import { startDemoSite } from '../demo-site.js';
import { runNode } from '../process/run.js';
import type { AuthorityIdentity } from '../torrc-of.js';
import { claimNumber } from './claim.js';
import { homeFor, homesOf, PlaceError } from './place.js';
import { SITE_PORT } from './ports.js';
import { authorityPlan, type ContainerRole, containerTorrc, networkTorrc, processRole } from './torrc.js';

/** Options of `cepa container keys`. */
export interface KeysCommand {
  readonly authorities: string;
  readonly data: string;
  readonly torrc: string;
}

/** Makes the authorities' keys where there are none, and the torrc that names them. */
export async function runKeys(command: KeysCommand, out: (line: string) => void): Promise<void> {
  const { identifyAuthority } = await import('../identities.js');
  const authorities = new Map<string, AuthorityIdentity>();
  for (const name of command.authorities.split(',')) {
    const identity = await identifyAuthority(authorityPlan(name), join(command.data, name));
    authorities.set(name, identity);
    out(`${name}: fingerprint ${identity.fingerprint}, v3ident ${identity.v3ident}`);
  }
  // Renamed, since a node that starts meanwhile reads it.
  const draft = `${command.torrc}.new`;
  try {
    writeFileSync(draft, networkTorrc(authorities), { mode: 0o644 });
    renameSync(draft, command.torrc);
  } catch (error) {
    throw systemError(command.torrc, 'written', error);
  }
}

/** Options of the nodes. */
export interface NodeCommand {
  /** `%` stands for the first number that no other container has. */
  readonly name: string;
  readonly data: string;
  readonly torrc: string;
  /** Which network is the home of the first node of the service, from 1. */
  readonly home: number;
  readonly socks: string;
  readonly site: string;
}

/** Runs a node until it is told to stop. */
export async function runContainer(role: ContainerRole, command: NodeCommand): Promise<void> {
  const [prefix = '', counted] = command.name.split('%');
  const number = counted === undefined ? 1 : await claimNumber(command.data, prefix);
  const name = counted === undefined ? prefix : `${prefix}${number}`;
  const file = join(command.data, name, 'torrc');
  const torrc = containerTorrc({
    role,
    name,
    data: command.data,
    network: command.torrc,
    socks: command.socks,
    site: command.site,
    ...(processRole(role) !== 'client' && {
      address: homeFor(homesOf(networkInterfaces()), command.home, number),
    }),
  });
  try {
    makeDirectory(join(command.data, name));
    writeFileSync(file, torrc, { mode: 0o600 });
  } catch (error) {
    throw new PlaceError(
      `cannot write ${file}: ${(error as Error).message}. Is a volume at ${command.data}?`,
    );
  }
  await runNode({ role: processRole(role), files: [file], args: [] });
}

function readShared(torrc: string): string {
  try {
    return readFileSync(torrc, 'utf8');
  } catch (error) {
    throw systemError(torrc, 'read', error);
  }
}

/**
 * The torrc that all share with addresses in place of names: for programs outside of the containers, whose name server
 * does not know them, and for C tor, which takes no names there.
 */
export async function joinTorrc(torrc: string): Promise<string> {
  let text = readShared(torrc);
  for (const [, name = ''] of text.matchAll(/^DirAuthority .* (\S+):\d+ /gm)) {
    const { address } = await lookup(name, 4);
    text = text.replaceAll(` ${name}:`, ` ${address}:`);
  }
  return text;
}

/** The web site of the network, until a signal. */
export async function runSite(): Promise<void> {
  const site = await startDemoSite('0.0.0.0', SITE_PORT, () => {});
  await new Promise<void>((done) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => done());
  });
  await site.close();
}
