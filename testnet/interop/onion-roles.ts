/**
 * Which relays took part in an onion service, as C tor's control port tells: the last hops of its circuits, by purpose.
 *
 * @module
 */

import type { TorControl } from './control.js';
import type { Kind } from './mixed-network.js';
import type { OnionTest } from './onion-network.js';

/** A C tor's circuit for onion services. */
interface Circuit {
  readonly id: string;
  readonly purpose: string;
  readonly end: string;
}

const CIRCUIT = /^(\d+) BUILT (\S+) .*\bPURPOSE=(HS_\w+)/;

function circuitOf(line: string): Circuit | undefined {
  const [, id, path, purpose] = CIRCUIT.exec(line) ?? [];
  if (id === undefined) return undefined;
  return { id, purpose: purpose!, end: path!.split(',').at(-1)!.slice(1, 41) };
}

/** Watches the circuits of one C tor. */
export class RoleWatch {
  private readonly control: TorControl;
  private readonly kinds: ReadonlyMap<string, Kind>;
  private readonly circuits = new Map<string, Circuit>();

  private constructor(control: TorControl, kinds: ReadonlyMap<string, Kind>) {
    this.control = control;
    this.kinds = kinds;
  }

  /** Begins to watch. */
  static async of(test: OnionTest, tor: string, kinds: ReadonlyMap<string, Kind>): Promise<RoleWatch> {
    const control = await test.network.tor(tor).control();
    const watch = new RoleWatch(control, kinds);
    // Those for introductions are gone when they are looked for.
    control.listen((event) => {
      if (event.startsWith('CIRC ')) watch.note(event.slice('CIRC '.length));
    });
    await control.command('SETEVENTS CIRC');
    return watch;
  }

  private note(line: string): void {
    const circuit = circuitOf(line);
    if (circuit) this.circuits.set(`${circuit.id} ${circuit.purpose}`, circuit);
  }

  /** Looks at the circuits that are there now. */
  async look(): Promise<void> {
    for (const line of await this.control.info('circuit-status')) this.note(line);
  }

  /** The programs of the relays at the ends of circuits of a purpose. */
  programs(purpose: string): Kind[] {
    const ends = [...this.circuits.values()].filter((circuit) => circuit.purpose === purpose);
    return [...new Set(ends.map(({ end }) => this.kinds.get(end)!))].sort();
  }

  /** Circuits of a purpose. */
  ids(purpose: string): string[] {
    return [...this.circuits.values()].filter((circuit) => circuit.purpose === purpose).map(({ id }) => id);
  }
}

/** The circuits on which a C tor controlled congestion and sent, as its log at level info says. */
export const congestionControlled = (infoLog: string): Set<string> =>
  new Set([...infoLog.matchAll(/ CC: Circuit (\d+) SENDME RTT/g)].map(([, id]) => id!));
