/**
 * The open ports of a relay: opened, closed while it hibernates, changed when the configuration is read again.
 *
 * @module
 */
import type { DirServer } from '../shared/dir/server.js';
import type { LinkManager } from '../shared/link/manager.js';
import type { NetAddress, Transport } from '../shared/runtime/types.js';
import type { Options, PortOption } from '../shared/torrc/options.js';
import { type OpenPort, openPort, type PortPlan, planPorts } from './ports.js';
import type { SelfAddress } from './self.js';

/** What ports need. */
export interface PortSetEnv {
  readonly transport: Transport;
  readonly channels: LinkManager;
  readonly address: SelfAddress;
  dirServer(): DirServer | undefined;
  /** A port is open that was not. */
  opened(what: 'or' | 'dir', at: NetAddress): void;
}

type What = 'or' | 'dir';

const samePlan = (a: PortPlan, b: PortPlan): boolean =>
  a.listen?.host === b.listen?.host && a.listen?.port === b.listen?.port && a.family === b.family;

/** ORPorts and DirPorts. */
export class PortSet {
  private readonly env: PortSetEnv;
  private open: Record<What, OpenPort[]> = { or: [], dir: [] };
  /** The change under way: each goes by what the one before it left open. */
  private last: Promise<void> = Promise.resolve();

  constructor(env: PortSetEnv) {
    this.env = env;
  }

  /** Says what will be open: for a relay that begins asleep, and yet is described. */
  plan(options: Options): void {
    const closed = (lines: readonly PortOption[]): OpenPort[] =>
      planPorts(lines).map((plan) => ({ listener: undefined, plan, port: plan.advertise ?? 0 }));
    this.env.address.opened(closed(options.ORPort), closed(options.DirPort));
  }

  /**
   * Makes the open ports those of the options: what is open and wanted stays. Rejects when one cannot be opened; those
   * of its kind that were open before are still open then.
   */
  apply(options: Options): Promise<void> {
    return this.inTurn(() => this.applyNow(options));
  }

  private inTurn(change: () => Promise<void>): Promise<void> {
    const done = this.last.then(change);
    this.last = done.catch(() => {});
    return done;
  }

  private async applyNow(options: Options): Promise<void> {
    const { channels, transport, address } = this.env;
    const dirServer = this.env.dirServer();
    await this.change('or', options.ORPort, (at) => channels.listen(at));
    try {
      if (dirServer) await this.change('dir', options.DirPort, (at) => dirServer.listen(transport, at));
    } finally {
      // The ORPorts are others already, whatever became of the DirPorts.
      address.opened(this.open.or, this.open.dir);
    }
  }

  private async change(
    what: What,
    wanted: readonly PortOption[],
    listen: Parameters<typeof openPort>[1],
  ): Promise<void> {
    const before = this.open[what];
    const next: OpenPort[] = [];
    const fresh: OpenPort[] = [];
    try {
      for (const plan of planPorts(wanted)) {
        const held = before.find(
          (port) => samePlan(port.plan, plan) && !next.some((n) => n.listener === port.listener),
        );
        if (held) next.push({ ...held, plan });
        else {
          const port = await openPort(plan, listen);
          fresh.push(port);
          next.push(port);
        }
      }
    } catch (error) {
      await Promise.all(fresh.map((port) => port.listener?.close()));
      throw error;
    }
    this.open[what] = next;
    const kept = new Set(next.map((port) => port.listener));
    await Promise.all(
      before.filter((port) => !kept.has(port.listener)).map((port) => port.listener?.close()),
    );
    for (const { listener } of fresh) if (listener) this.env.opened(what, listener.local);
  }

  /** Closes all of them. What the descriptor says of them stays. */
  close(): Promise<void> {
    return this.inTurn(() => this.closeNow());
  }

  private async closeNow(): Promise<void> {
    const all = [...this.open.or, ...this.open.dir];
    this.open = { or: [], dir: [] };
    await Promise.all(all.map((port) => port.listener?.close()));
  }
}
