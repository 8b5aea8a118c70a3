/**
 * Options of onion services. All but ClientOnionAuthDir are read as one list, `HiddenServiceDir`, in the order of
 * their lines.
 *
 * @module
 */
import { path } from './kinds.js';
import type { Options } from './options.js';
import { ofService, services } from './services.js';
import type { OptionRow, Role, Rows } from './table-types.js';

type ServiceOptions =
  | 'HiddenServiceDir'
  | 'HiddenServicePort'
  | 'HiddenServiceVersion'
  | 'HiddenServiceMaxStreams'
  | 'HiddenServiceMaxStreamsCloseCircuit'
  | 'HiddenServiceNumIntroductionPoints'
  | 'HiddenServiceEnableIntroDoSDefense'
  | 'HiddenServiceEnableIntroDoSRatePerSec'
  | 'HiddenServiceEnableIntroDoSBurstPerSec'
  | 'HiddenServiceAllowUnknownPorts'
  | 'ClientOnionAuthDir';

const roles: readonly Role[] = ['client'];

const part = (syntax: string, help: string): OptionRow<undefined> => ({
  kind: ofService(syntax),
  partOf: 'HiddenServiceDir',
  roles,
  help,
});

export const serviceRows: Rows<ServiceOptions & keyof Options> = {
  HiddenServiceDir: {
    kind: services,
    partOf: 'HiddenServiceDir',
    roles,
    help: 'An onion service: the directory of its keys and of `hostname`, its address. The HiddenService… lines that follow are its own.',
  },
  HiddenServicePort: part(
    'VIRTPORT [PORT|HOST:PORT|unix:PATH]',
    'A port of the service and the server behind it; by default the same port on this machine. The same VIRTPORT again: one of the servers at random.',
  ),
  HiddenServiceVersion: part('3', 'The version of the service; there is only one.'),
  HiddenServiceMaxStreams: part('NUM', 'Streams at once on the circuit of one client. Default: 0, no limit.'),
  HiddenServiceMaxStreamsCloseCircuit: part(
    '0|1',
    'Close the circuit of a client that wants more streams. Default: 0.',
  ),
  HiddenServiceNumIntroductionPoints: part('NUM', 'Introduction points, 3 to 20. Default: 3.'),
  HiddenServiceEnableIntroDoSDefense: part(
    '0|1',
    'Ask introduction points to give on no more introductions than the two lines below say. Default: 0.',
  ),
  HiddenServiceEnableIntroDoSRatePerSec: part('NUM', 'Introductions a second. Default: 25.'),
  HiddenServiceEnableIntroDoSBurstPerSec: part('NUM', 'Introductions at once. Default: 200.'),
  HiddenServiceAllowUnknownPorts: part(
    '0|1',
    'Keep the circuit of a client that asks for a port without a HiddenServicePort. Default: 0.',
  ),
  ClientOnionAuthDir: {
    kind: path,
    roles,
    help: 'Directory of NAME.auth_private files: keys for onion services that ask for client authorization.',
  },
};
