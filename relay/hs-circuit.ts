/**
 * What the relay's onion-service roles see of a circuit.
 *
 * @module
 */

/** A circuit that ends at this relay, seen from its end. */
export interface EndCircuit {
  /** KH of the circuit's handshake. */
  readonly kh: Uint8Array;
  /** Whether the circuit goes no further than here, by EXTEND2 or by being joined to another. */
  readonly atEnd: boolean;
  /** Whether it came straight from a client, with no relay between. */
  readonly fromClient: boolean;
  readonly closed: boolean;
  /** Sends a message about the circuit to whoever made it; at most 498 bytes. */
  send(command: number, data: Uint8Array): void;
  /** Makes the two one: what is not for us goes from each to the other. */
  join(other: this): void;
  close(reason: number): void;
}
