/**
 * Parameters of the defences against denial of service: the torrc's where it says something, else the consensus', else
 * C tor's defaults (param-spec 9; C tor: dos.c, get_param_*).
 *
 * @module
 */
import type { ConsensusParam } from '../shared/onion/flow.js';
import type { Options } from '../shared/torrc/options.js';

const MAX = 0x7fffffff;
const SECOND = 1000;

/** What is done about an offender. */
export const Defense = { NONE: 1, REFUSE: 2, CLOSE: 3 } as const;

type Numeric = Extract<
  keyof Options,
  `DoS${string}${'Rate' | 'Burst' | 'Type' | 'Count' | 'Connections' | 'Period'}`
>;
type Switch = Extract<keyof Options, `DoS${string}Enabled`>;

const SINGLE_HOP = 'DoSRefuseSingleHopClientRendezvous';
const MAX_DELAY = 'MaxOnionQueueDelay';

/** Reads the parameters as they are now. */
export class DosParams {
  private readonly options: Options;
  private readonly consensus: ConsensusParam;

  /** `options` may be changed in place when the configuration is read again. */
  constructor(options: Options, consensus: ConsensusParam) {
    this.options = options;
    this.consensus = consensus;
  }

  private on(name: Switch): boolean {
    const value = this.options[name];
    return value === 'auto' ? this.consensus(name, 0, 0, 1) === 1 : value;
  }

  private number(name: Numeric, fallback: number, min: number, max = MAX): number {
    return this.options[name] || this.consensus(name, fallback, min, max);
  }

  /** Options keep milliseconds, parameters seconds. */
  private period(name: Numeric, fallback: number, min: number): number {
    return this.options[name] || this.consensus(name, fallback, min, MAX) * SECOND;
  }

  /** Circuits by client address. */
  get circuits() {
    return {
      enabled: this.on('DoSCircuitCreationEnabled'),
      minConnections: this.number('DoSCircuitCreationMinConnections', 3, 1),
      rate: this.number('DoSCircuitCreationRate', 3, 1),
      burst: this.number('DoSCircuitCreationBurst', 90, 1),
      defense: this.number('DoSCircuitCreationDefenseType', Defense.REFUSE, Defense.NONE, Defense.REFUSE),
      period: this.period('DoSCircuitCreationDefenseTimePeriod', 3600, 0),
      /** Times a client's circuit may fill its outbound queue. 0: any number. */
      maxFullQueues: this.consensus('dos_num_circ_max_outq', 3, 0, MAX),
    };
  }

  /** Connections by client address. */
  get connections() {
    return {
      enabled: this.on('DoSConnectionEnabled'),
      maxConcurrent: this.number('DoSConnectionMaxConcurrentCount', 100, 1),
      rate: this.number('DoSConnectionConnectRate', 20, 1),
      burst: this.number('DoSConnectionConnectBurst', 40, 1),
      defense: this.number('DoSConnectionDefenseType', Defense.REFUSE, Defense.NONE, Defense.REFUSE),
      period: this.period('DoSConnectionConnectDefenseTimePeriod', 24 * 3600, 10),
    };
  }

  /** Streams by circuit. */
  get streams() {
    return {
      enabled: this.on('DoSStreamCreationEnabled'),
      rate: this.number('DoSStreamCreationRate', 100, 1),
      burst: this.number('DoSStreamCreationBurst', 300, 1),
      defense: this.number('DoSStreamCreationDefenseType', Defense.REFUSE, Defense.NONE, Defense.CLOSE),
    };
  }

  /** The consensus' parameters, with the torrc's DoSRefuseSingleHopClientRendezvous and MaxOnionQueueDelay above its own. */
  readonly param: ConsensusParam = (name, fallback, min, max) => {
    if (name === MAX_DELAY && this.options[MAX_DELAY] > 0) return this.options[MAX_DELAY];
    const own = name === SINGLE_HOP ? this.options[SINGLE_HOP] : 'auto';
    return own === 'auto' ? this.consensus(name, fallback, min, max) : Number(own);
  };
}
