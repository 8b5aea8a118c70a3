/**
 * How one process of a benchmark names a relay to another.
 *
 * @module
 */
import { fromHex } from '../shared/bytes/text.js';
import type { HopTarget } from '../shared/circuit/hop.js';
import { parseProtocols } from '../shared/netdoc/protover.js';

/** What a relay tells of itself; identities and onion key in hex. */
export interface HopAddress {
  readonly host: string;
  readonly port: number;
  readonly rsaId: string;
  readonly ed25519Id: string;
  readonly ntorKey: string;
}

/** What every relay of a benchmark speaks. */
export const PROTOCOLS = parseProtocols('FlowCtrl=1-2 Link=4-5 LinkAuth=3 Relay=1-4');

/** The relay as a hop of a circuit. */
export const targetOf = ({ host, port, rsaId, ed25519Id, ntorKey }: HopAddress): HopTarget => ({
  addresses: [{ host, port }],
  rsaId: fromHex(rsaId, 'rsaId'),
  ed25519Id: fromHex(ed25519Id, 'ed25519Id'),
  ntorKey: fromHex(ntorKey, 'ntorKey'),
  protocols: PROTOCOLS,
});
