/**
 * A rendezvous point of a client's choice, from its circuit to the arrival of the service (rend-spec-v3 4.1).
 *
 * @module
 */
import { RelayCommand } from '../../shared/cell/commands.js';
import { ESTABLISH_RENDEZVOUS, REND_COOKIE_SIZE } from '../../shared/cell/hs-cells.js';
import type { Clock, Random } from '../../shared/runtime/types.js';
import { StreamError } from '../failure.js';
import type { HsCircuit, HsCircuitBuilder } from './circuit-builder.js';

/** Milliseconds a rendezvous point may take to answer, and a service to come. */
const ESTABLISH_TIMEOUT = 15_000;
const ARRIVAL_TIMEOUT = 30_000;

/** What it needs. */
export interface RendezvousParts {
  readonly clock: Clock;
  readonly random: Random;
  readonly builder: Pick<HsCircuitBuilder, 'build' | 'rendezvousPoint'>;
}

/** A rendezvous point that waits for the service. */
export interface Waiting {
  readonly circuit: HsCircuit;
  readonly cookie: Uint8Array;
  /** RENDEZVOUS2 as it comes; rejects when the circuit closes. */
  readonly met: Promise<Uint8Array>;
}

const failed = (message: string) => new StreamError('onion-rendezvous-failed', message);

/** One rendezvous point. */
export class Rendezvous {
  /** Waits under its cookie. Rejects with StreamError or HsCircuitError. */
  readonly ready: Promise<Waiting>;
  private readonly parts: RendezvousParts;
  private dropped = false;

  /** Begins to build its circuit. */
  constructor(parts: RendezvousParts, signal: AbortSignal) {
    this.parts = parts;
    this.ready = this.wait(signal);
    this.ready.catch(() => {});
  }

  private async wait(signal: AbortSignal): Promise<Waiting> {
    const { builder, random, clock } = this.parts;
    const circuit = await builder.build('client-rendezvous', builder.rendezvousPoint, signal);
    if (this.dropped || circuit.closed) {
      circuit.close();
      throw failed('the rendezvous circuit closed');
    }
    const cookie = random.bytes(REND_COOKIE_SIZE);
    let arrived!: { resolve(data: Uint8Array): void; reject(error: Error): void };
    const met = new Promise<Uint8Array>((resolve, reject) => {
      arrived = { resolve, reject };
    });
    met.catch(() => {});
    const established = new Promise<void>((resolve, reject) => {
      const timer = clock.setTimer(ESTABLISH_TIMEOUT, () =>
        reject(failed('the rendezvous point does not answer')),
      );
      circuit.onClosed = () => {
        timer.cancel();
        reject(failed('the rendezvous circuit closed'));
        arrived.reject(failed('the rendezvous circuit closed'));
      };
      circuit.onMessage = (command, data) => {
        if (command === RelayCommand.RENDEZVOUS2) arrived.resolve(data);
        if (command !== RelayCommand.RENDEZVOUS_ESTABLISHED) return;
        timer.cancel();
        resolve();
      };
    });
    circuit.send(RelayCommand.ESTABLISH_RENDEZVOUS, ESTABLISH_RENDEZVOUS.encode({ cookie }));
    try {
      await established;
    } catch (error) {
      circuit.close();
      throw error;
    }
    return { circuit, cookie, met };
  }

  /** RENDEZVOUS2, when the service comes in time. Rejects with StreamError. */
  arrival({ met }: Waiting): Promise<Uint8Array> {
    const late = new Promise<never>((_resolve, reject) => {
      const timer = this.parts.clock.setTimer(ARRIVAL_TIMEOUT, () =>
        reject(failed('the onion service did not come to the rendezvous point')),
      );
      const cancel = () => timer.cancel();
      met.then(cancel, cancel);
    });
    late.catch(() => {});
    return Promise.race([met, late]);
  }

  /** It is not wanted any more. */
  drop(): void {
    this.dropped = true;
    this.ready.then(
      ({ circuit }) => circuit.close(),
      () => {},
    );
  }
}
