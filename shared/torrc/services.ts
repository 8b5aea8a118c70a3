/**
 * Onion services in a torrc: each HiddenServiceDir line begins one, and the HiddenService… lines behind it, up to the
 * next, are its own (C tor: hs_config.c).
 *
 * @module
 */
import { isAddress, isHostName } from './addresses.js';
import { ValueError } from './errors.js';
import { bool, integer, type Kind } from './kinds.js';
import type { HiddenServiceOption, HiddenServicePortOption } from './options.js';

/** C tor: HS_CONFIG_V3_MAX_INTRO_POINTS. */
const MAX_INTRO_POINTS = 20;
const MAX_STREAMS = 65_535;

const portNumber = integer(1, 65_535);

/** `VIRTPORT [PORT|HOST|HOST:PORT|unix:PATH]`; by default the same port on this machine. A name is looked up for each stream. */
function parseServicePort(value: string): HiddenServicePortOption {
  const [, first = '', place] = /^(\S+)(?:\s+(.+?))?\s*$/.exec(value) ?? [];
  const virtualPort = portNumber.read(first);
  if (place === undefined) return { virtualPort, target: { host: '127.0.0.1', port: virtualPort } };
  if (place.startsWith('unix:')) return { virtualPort, target: { unix: unixPath(place.slice(5)) } };
  if (/^\d+$/.test(place))
    return { virtualPort, target: { host: '127.0.0.1', port: portNumber.read(place) } };
  const [, v6, v4, port] = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d+))?$/.exec(place) ?? [];
  const named = v6 ?? v4 ?? '';
  const host = named.toLowerCase() === 'localhost' ? '127.0.0.1' : named;
  if (!isAddress(host) && !isHostName(host))
    throw new ValueError(`"${place}" is not PORT, HOST:PORT or unix:PATH`);
  return { virtualPort, target: { host, port: port === undefined ? virtualPort : portNumber.read(port) } };
}

function unixPath(text: string): string {
  const path = /^"(.*)"$/.exec(text)?.[1] ?? text;
  if (!path.startsWith('/')) throw new ValueError(`unix:${text}: the path must begin with "/"`);
  return path;
}

function version(value: string): void {
  if (value === '2') throw new ValueError('version 2 is no longer spoken; make a new service of version 3');
  if (value !== '3') throw new ValueError(`"${value}" is not 3`);
}

type Part = Partial<HiddenServiceOption>;

/** What each line says of its service. */
const PARTS: Readonly<Record<string, (value: string) => Part>> = {
  HiddenServiceDir: (directory) => ({ directory }),
  HiddenServicePort: (value) => ({ ports: [parseServicePort(value)] }),
  HiddenServiceVersion: (value) => {
    version(value);
    return {};
  },
  HiddenServiceMaxStreams: (value) => ({ maxStreams: integer(0, MAX_STREAMS).read(value) }),
  HiddenServiceMaxStreamsCloseCircuit: (value) => ({ maxStreamsCloseCircuit: bool.read(value) }),
  HiddenServiceNumIntroductionPoints: (value) => ({ introPoints: integer(3, MAX_INTRO_POINTS).read(value) }),
  HiddenServiceEnableIntroDoSDefense: (value) => ({ introDos: bool.read(value) }),
  HiddenServiceEnableIntroDoSRatePerSec: (value) => ({ introDosRate: integer().read(value) }),
  HiddenServiceEnableIntroDoSBurstPerSec: (value) => ({ introDosBurst: integer().read(value) }),
  HiddenServiceAllowUnknownPorts: (value) => ({ allowUnknownPorts: bool.read(value) }),
};

const NO_PORTS: readonly HiddenServicePortOption[] = [];

/** All services. A line is read with its option's name in front; one before any HiddenServiceDir has directory ''. */
export const services: Kind<readonly HiddenServiceOption[]> = {
  syntax: 'DIR',
  unset: [],
  read(text) {
    const [, name = '', value = ''] = /^(\S+) (.*)$/.exec(text) ?? [];
    const part = PARTS[name];
    if (!part) throw new ValueError(`"${name}" says nothing of an onion service`);
    return [{ directory: '', ports: NO_PORTS, ...part(value) }];
  },
  join(before, [more]) {
    const last = before.at(-1);
    if (!more || !last || more.directory !== '') return more ? [...before, more] : before;
    const { directory, ports } = last;
    return [...before.slice(0, -1), { ...last, ...more, directory, ports: [...ports, ...more.ports] }];
  },
};

/** A line that is read with its service. */
export const ofService = (syntax: string): Kind<undefined> => ({
  syntax,
  unset: undefined,
  read: () => undefined,
});
