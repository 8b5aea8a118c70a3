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
import { type HsActions, HsCounts, type HsMessage, type HsOutcome, HsRefusal } from './hs-actions.js';
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
  /** What became of messages. */
  readonly actions: HsActions;
}

type Take = (circuit: EndCircuit, data: Uint8Array) => HsOutcome;
type Role = readonly [HsMessage, Take];

/** Both roles, for all circuits of a relay. */
export class HsRoles {
  private readonly intro: IntroPoints;
  private readonly rendezvous: RendezvousPoints;
  private readonly log: Log;
  private readonly counts = new HsCounts();

  constructor(env: HsRolesEnv) {
    this.intro = new IntroPoints(env);
    this.rendezvous = new RendezvousPoints(env);
    this.log = env.log;
  }

  /** Takes a message; false when it is none of these roles'. A peer that breaks the rules loses its circuit. */
  message(circuit: EndCircuit, command: number, data: Uint8Array): boolean {
    const role = this.roleOf(command);
    if (!role) return false;
    const [name, take] = role;
    try {
      this.counts.count(name, take(circuit, data));
    } catch (error) {
      this.counts.count(name, error instanceof HsRefusal ? error.outcome : 'malformed');
      this.log.info('closing a circuit', { reason: (error as Error).message });
      circuit.close(DestroyReason.PROTOCOL);
    }
    return true;
  }

  private roleOf(command: number): Role | undefined {
    switch (command) {
      case RelayCommand.ESTABLISH_INTRO:
        return ['estIntro', this.establishIntro];
      case RelayCommand.INTRODUCE1:
        return ['intro1', this.introduce];
      case RelayCommand.ESTABLISH_RENDEZVOUS:
        return ['estRend', this.establishRendezvous];
      case RelayCommand.RENDEZVOUS1:
        return ['rend1', this.complete];
      default:
        return undefined;
    }
  }

  private readonly establishIntro: Take = (circuit, data) => {
    this.rendezvous.mustBeFree(circuit);
    return this.intro.establish(circuit, data);
  };

  private readonly introduce: Take = (circuit, data) => {
    this.rendezvous.mustBeFree(circuit);
    return this.intro.introduce(circuit, data);
  };

  private readonly establishRendezvous: Take = (circuit, data) => {
    this.intro.mustBeFree(circuit);
    return this.rendezvous.establish(circuit, data);
  };

  private readonly complete: Take = (circuit, data) => {
    this.intro.mustBeFree(circuit);
    return this.rendezvous.complete(circuit, data);
  };

  /** The circuit is over. */
  closed(circuit: EndCircuit): void {
    this.intro.closed(circuit);
    this.rendezvous.closed(circuit);
  }

  status(): HsRolesStatus {
    const { actions } = this.counts;
    return { introPoints: this.intro.size, rendezvousWaiting: this.rendezvous.size, actions };
  }
}
