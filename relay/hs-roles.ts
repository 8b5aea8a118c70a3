/**
 * The relay's onion-service roles on circuits, introduction and rendezvous point: who is asked when a message for
 * them comes.
 *
 * @module
 */
import { DestroyReason, RelayCommand } from '../shared/cell/commands.js';
import type { Log } from '../shared/log/types.js';
import type { ConsensusParam } from '../shared/onion/flow.js';
import type { Clock } from '../shared/runtime/types.js';
import type { EndCircuit } from './hs-circuit.js';
import { IntroPoints } from './hs-intro.js';
import { RendezvousPoints } from './hs-rend.js';

/** What the roles need. */
export interface HsRolesEnv {
  readonly clock: Clock;
  readonly log: Log;
  readonly param: ConsensusParam;
}

/** Counts, for status and metrics. */
export interface HsRolesStatus {
  readonly introPoints: number;
  readonly rendezvousWaiting: number;
}

/** Both roles, for all circuits of a relay. */
export class HsRoles {
  private readonly intro: IntroPoints;
  private readonly rendezvous: RendezvousPoints;
  private readonly log: Log;

  constructor(env: HsRolesEnv) {
    this.intro = new IntroPoints(env);
    this.rendezvous = new RendezvousPoints(env);
    this.log = env.log;
  }

  /** Takes a message; false when it is none of these roles'. A peer that breaks the rules loses its circuit. */
  message(circuit: EndCircuit, command: number, data: Uint8Array): boolean {
    const take = this.takerOf(command);
    if (!take) return false;
    try {
      take(circuit, data);
    } catch (error) {
      this.log.info('closing a circuit', { reason: (error as Error).message });
      circuit.close(DestroyReason.PROTOCOL);
    }
    return true;
  }

  private takerOf(command: number): ((circuit: EndCircuit, data: Uint8Array) => void) | undefined {
    switch (command) {
      case RelayCommand.ESTABLISH_INTRO:
        return (circuit, data) => {
          this.rendezvous.mustBeFree(circuit);
          this.intro.establish(circuit, data);
        };
      case RelayCommand.INTRODUCE1:
        return (circuit, data) => {
          this.rendezvous.mustBeFree(circuit);
          this.intro.introduce(circuit, data);
        };
      case RelayCommand.ESTABLISH_RENDEZVOUS:
        return (circuit, data) => {
          this.intro.mustBeFree(circuit);
          this.rendezvous.establish(circuit, data);
        };
      case RelayCommand.RENDEZVOUS1:
        return (circuit, data) => {
          this.intro.mustBeFree(circuit);
          this.rendezvous.complete(circuit, data);
        };
      default:
        return undefined;
    }
  }

  /** The circuit is over. */
  closed(circuit: EndCircuit): void {
    this.intro.closed(circuit);
    this.rendezvous.closed(circuit);
  }

  status(): HsRolesStatus {
    return { introPoints: this.intro.size, rendezvousWaiting: this.rendezvous.size };
  }
}
