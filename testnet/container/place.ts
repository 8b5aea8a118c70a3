/**
 * Where a container finds itself in a private network of containers.
 *
 * Every container of the network is in the same few Docker networks, each a /16. A relay advertises its address in
 * one of them, its home; so relays have a /16 each, however many there are of one service, and all of them reach each
 * other without a router.
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

/** The home of node `number` of a service whose first has the home `first`; both count from 1. Homes are shared when they run out. */
export function homeFor(homes: readonly string[], first: number, number: number): string {
  const home = homes[(first + number - 2) % homes.length];
  if (home === undefined)
    throw new PlaceError(
      'this container has no address in a /16: is it in the networks of docker-compose.yml?',
    );
  return home;
}
