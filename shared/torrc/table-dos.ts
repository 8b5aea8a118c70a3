/**
 * Options of a relay's defences against denial of service, by C tor's names (dos_options.inc). Each stands above a
 * consensus parameter of the same name: 0 or `auto` is what the consensus says.
 *
 * @module
 */
import { autoBool, integer, time } from './kinds.js';
import type { Options } from './options.js';
import type { OptionRow, Role, Rows } from './table-types.js';

type DosOptions = Extract<keyof Options, `DoS${string}`>;

const roles: readonly Role[] = ['authority', 'relay'];

const switched = (help: string): OptionRow<boolean | 'auto'> => ({
  kind: autoBool,
  default: 'auto',
  roles,
  help: `${help} auto: as the consensus says.`,
});

const count = (help: string): OptionRow<number> => ({
  kind: integer(),
  default: '0',
  roles,
  help: `${help} 0: as the consensus says.`,
});

const defense = (most: number, help: string): OptionRow<number> => ({
  kind: integer(0, most),
  default: '0',
  roles,
  help: `${help} 0: as the consensus says.`,
});

const period = (help: string): OptionRow<number> => ({
  kind: time,
  default: '0',
  roles,
  help: `${help} 0: as the consensus says.`,
});

export const dosRows: Rows<DosOptions> = {
  DoSCircuitCreationEnabled: switched('Hold off client addresses that make circuits too fast.'),
  DoSCircuitCreationMinConnections: count(
    'Connections from one address at a time from which on its circuits are counted.',
  ),
  DoSCircuitCreationRate: count('Circuits a second that an address may make in the long run.'),
  DoSCircuitCreationBurst: count('Circuits that an address may make at once after a quiet time.'),
  DoSCircuitCreationDefenseType: defense(2, '1: only count. 2: refuse the circuits of such an address.'),
  DoSCircuitCreationDefenseTimePeriod: period('How long an address is held off, and up to half more.'),
  DoSConnectionEnabled: switched('Hold off client addresses that connect too often.'),
  DoSConnectionMaxConcurrentCount: count('Connections from one client address at a time.'),
  DoSConnectionDefenseType: defense(2, '1: only count. 2: close new connections at once.'),
  DoSConnectionConnectRate: count('Connections a second that an address may make in the long run.'),
  DoSConnectionConnectBurst: count('Connections that an address may make at once after a quiet time.'),
  DoSConnectionConnectDefenseTimePeriod: period(
    'How long an address that connected too often is held off, and up to half more.',
  ),
  DoSStreamCreationEnabled: switched('Hold off circuits that ask an exit for streams too fast.'),
  DoSStreamCreationRate: count('Streams a second that a circuit may ask for in the long run.'),
  DoSStreamCreationBurst: count('Streams that a circuit may ask for at once after a quiet time.'),
  DoSStreamCreationDefenseType: defense(3, '1: only count. 2: refuse the stream. 3: close the circuit.'),
  DoSRefuseSingleHopClientRendezvous: switched('Refuse rendezvous points to clients without a path.'),
};
