/**
 * Flow control between an onion service and its client, over their joined circuits.
 *
 * @module
 */
import type { FlowControlLine } from '../../shared/netdoc/hs-descriptor.js';
import { parseProtocols } from '../../shared/netdoc/protover.js';
import { type ConsensusParam, type FlowControl, windowFlow } from '../../shared/onion/flow.js';
import { checkSendmeInc, vegasFlow } from '../../shared/onion/vegas.js';
import type { Clock } from '../../shared/runtime/types.js';

/** Whether the consensus has congestion control on. */
export const controlsCongestion = (param: ConsensusParam): boolean => param('cc_alg', 2, 0, 3) === 2;

/** SENDME increment a service offers. */
export const offeredSendmeInc = (param: ConsensusParam): number => param('cc_sendme_inc', 31, 1, 254);

/**
 * The SENDME increment of a client's circuits to a service whose descriptor says this; undefined where one of them does
 * not take part in congestion control [hs_desc_supports_congestion_control].
 */
export function agreedSendmeInc(
  offer: FlowControlLine | undefined,
  param: ConsensusParam,
): number | undefined {
  if (!offer || !controlsCongestion(param)) return undefined;
  return parseProtocols(`FlowCtrl=${offer.versions}`).has('FlowCtrl', 2) ? offer.sendmeInc : undefined;
}

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
