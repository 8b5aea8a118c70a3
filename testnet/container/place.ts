/**
 * Where a container finds itself in a private network of containers.
 *
 * Every container of the network is in the same few Docker networks, each a /16. A relay advertises its address in
 * one of them, its home; so relays have a /16 each, however many there are of one service, and all of them reach each
 * other without a router. Which one is counted from the number that Docker gave the container of a service:
 * `cepa-relay-3` (`cepa_relay_3` with older programs), as the name server of its networks knows it.
 *
 * @module
 */
import type { NetworkInterfaceInfo } from 'node:os';
import { CepaError } from '../../shared/bytes/errors.js';

/** A container that cannot tell where it is. */
export class PlaceError extends CepaError {
  constructor(message: string) {
    super('container', message);
  }
}

const HOME_MASK = '255.255.0.0';

const numeric = (address: string): number =>
  address.split('.').reduce((sum, byte) => sum * 256 + Number(byte), 0);

/** The addresses that can be a home: IPv4, in networks that are a /16, in the order of the networks. */
export function homesOf(interfaces: NodeJS.Dict<NetworkInterfaceInfo[]>): string[] {
  return Object.values(interfaces)
    .flatMap((addresses) => addresses ?? [])
    .filter(({ family, internal, netmask }) => family === 'IPv4' && !internal && netmask === HOME_MASK)
    .map(({ address }) => address)
    .sort((a, b) => numeric(a) - numeric(b));
}

/** The number in a container's name, with or without the network behind it. */
export function numberIn(name: string): number | undefined {
  const found = /^[^.]*[-_](\d{1,6})(\.|$)/.exec(name);
  return found ? Number(found[1]) : undefined;
}

/** The home of container `number` of a service whose first has the home `first`; both count from 1. Homes are shared when they run out. */
export function homeFor(homes: readonly string[], first: number, number: number): string {
  const home = homes[(first + number - 2) % homes.length];
  if (home === undefined)
    throw new PlaceError(
      'this container has no address in a /16: is it in the networks of docker-compose.yml?',
    );
  return home;
}

/** The name under which an IPv4 address is asked for. */
const pointerName = (address: string): string => `${address.split('.').reverse().join('.')}.in-addr.arpa`;

/**
 * Asks the name server for the number of this container. A PTR query, since asking for the name of an address would
 * find the hosts file, where Docker calls the container by its id.
 */
export async function ownNumber(
  homes: readonly string[],
  resolvePtr: (name: string) => Promise<readonly string[]>,
): Promise<number> {
  for (const home of homes) {
    const names = await resolvePtr(pointerName(home)).catch(() => []);
    for (const name of names) {
      const number = numberIn(name);
      if (number !== undefined) return number;
    }
  }
  throw new PlaceError(
    "Docker's name server does not tell the number of this container; give one with --number",
  );
}
