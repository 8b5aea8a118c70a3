/**
 * The relay as rendezvous point (rend-spec-v3 4.1): a client waits under a cookie, a service comes with it, their
 * circuits become one. What passes is encrypted between the two.
 *
 * @module
 */
import { toHex } from '../shared/bytes/text.js';
import { DestroyReason, RelayCommand } from '../shared/cell/commands.js';
import { ESTABLISH_RENDEZVOUS, RENDEZVOUS1 } from '../shared/cell/hs-cells.js';
import type { ConsensusParam } from '../shared/onion/flow.js';
import { type HsOutcome, HsRefusal } from './hs-actions.js';
import type { EndCircuit } from './hs-circuit.js';

const NOTHING = new Uint8Array(0);

/** All clients that wait, and those that were met. */
export class RendezvousPoints {
  private readonly param: ConsensusParam;
  private readonly byCookie = new Map<string, EndCircuit>();
  private readonly waiting = new Map<EndCircuit, string>();

  constructor(env: { readonly param: ConsensusParam }) {
    this.param = env.param;
  }

  get size(): number {
    return this.byCookie.size;
  }

  /** Throws HsRefusal when the circuit waits at this rendezvous point. */
  mustBeFree(circuit: EndCircuit): void {
    if (this.waiting.has(circuit))
      throw new HsRefusal('unsuitable_circuit', 'the circuit is a rendezvous circuit');
  }

  /** ESTABLISH_RENDEZVOUS. Throws ProtocolError or DecodeError. */
  establish(circuit: EndCircuit, data: Uint8Array): HsOutcome {
    this.mustBeFree(circuit);
    if (!circuit.atEnd)
      throw new HsRefusal('unsuitable_circuit', 'ESTABLISH_RENDEZVOUS on a circuit that goes on');
    // Who knows both ends' neighbours knows too much. No answer, as C tor where its consensus says so.
    if (circuit.fromClient && this.param('DoSRefuseSingleHopClientRendezvous', 1, 0, 1) === 1)
      return 'single_hop';
    const cookie = toHex(ESTABLISH_RENDEZVOUS.decode(data).cookie);
    if (this.byCookie.has(cookie))
      throw new HsRefusal('duplicate_cookie', 'ESTABLISH_RENDEZVOUS: the cookie is in use');
    this.byCookie.set(cookie, circuit);
    this.waiting.set(circuit, cookie);
    circuit.send(RelayCommand.RENDEZVOUS_ESTABLISHED, NOTHING);
    return circuit.closed ? 'circuit_dead' : 'success';
  }

  /** RENDEZVOUS1. Throws ProtocolError or DecodeError. */
  complete(circuit: EndCircuit, data: Uint8Array): HsOutcome {
    this.mustBeFree(circuit);
    if (!circuit.atEnd) throw new HsRefusal('unsuitable_circuit', 'RENDEZVOUS1 on a circuit that goes on');
    const { cookie, handshake } = RENDEZVOUS1.decode(data);
    const client = this.byCookie.get(toHex(cookie));
    if (!client) {
      // It happens to the honest: the client may have given up. C tor's reason, no word in the log.
      circuit.close(DestroyReason.PROTOCOL);
      return 'unknown_cookie';
    }
    this.closed(client);
    if (!client.atEnd) {
      // It was extended while it waited: joined as well, it would lose hold of its leg, which nobody would end.
      client.close(DestroyReason.PROTOCOL);
      throw new HsRefusal('unsuitable_circuit', 'RENDEZVOUS1 for a circuit that goes on');
    }
    client.send(RelayCommand.RENDEZVOUS2, handshake);
    if (client.closed) {
      circuit.close(DestroyReason.DESTROYED);
      return 'circuit_dead';
    }
    client.join(circuit);
    return 'success';
  }

  /** The circuit is over, or no longer waits. */
  closed(circuit: EndCircuit): void {
    const cookie = this.waiting.get(circuit);
    if (cookie === undefined) return;
    this.waiting.delete(circuit);
    this.byCookie.delete(cookie);
  }
}
