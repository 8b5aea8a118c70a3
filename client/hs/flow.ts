/**
 * Flow control between an onion service and its client, over their joined circuits.
 *
 * @module
 */
import { type ConsensusParam, type FlowControl, windowFlow } from '../../shared/onion/flow.js';
import { checkSendmeInc, vegasFlow } from '../../shared/onion/vegas.js';
import type { Clock } from '../../shared/runtime/types.js';

/** Whether the consensus has congestion control on. */
export const controlsCongestion = (param: ConsensusParam): boolean => param('cc_alg', 2, 0, 3) === 2;

/** SENDME increment a service offers. */
export const offeredSendmeInc = (param: ConsensusParam): number => param('cc_sendme_inc', 31, 1, 254);

/** The flow control of a joined circuit; `sendmeInc` undefined: the fixed windows. Throws ProtocolError for an increment that is too far from the consensus'. */
export function joinedFlow(sendmeInc: number | undefined, param: ConsensusParam, clock: Clock): FlowControl {
  if (sendmeInc === undefined)
    return windowFlow({
      window: param('circwindow', 1000, 100, 1000),
      acceptVersion: param('sendme_accept_min_version', 0, 0, 255),
    });
  checkSendmeInc(sendmeInc, param);
  return vegasFlow({ sendmeInc, param, path: 'onion' }, clock);
}
