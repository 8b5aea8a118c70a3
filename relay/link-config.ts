/**
 * How a relay's links follow the consensus (param-spec) and its options: queue bounds, padding, whom to extend to.
 *
 * @module
 */
import { toHex } from '../shared/bytes/text.js';
import { consensusLimits } from '../shared/link/limits.js';
import type { ChannelManagerConfig } from '../shared/link/manager.js';
import type { PaddingConfig } from '../shared/link/padding.js';
import type { ConsensusParam } from '../shared/onion/flow.js';
import type { Options } from '../shared/torrc/options.js';
import type { ExtendRules } from './extend.js';
import type { Network } from './network.js';
import type { SelfAddress } from './self.js';

/** Longest padding time a consensus may ask for, milliseconds. */
const MAX_PADDING_TIME = 60_000;

/** Padding towards clients, and between relays where the consensus wants it. */
const linkPadding = (param: ConsensusParam): PaddingConfig => ({
  mode: 'on',
  times: () => {
    const low = param('nf_ito_low', 1_500, 0, MAX_PADDING_TIME);
    const lowReduced = param('nf_ito_low_reduced', 9_000, 0, MAX_PADDING_TIME);
    return {
      low,
      high: param('nf_ito_high', 9_500, low, MAX_PADDING_TIME),
      lowReduced,
      highReduced: param('nf_ito_high_reduced', 14_000, lowReduced, MAX_PADDING_TIME),
      padRelays: param('nf_pad_relays', 0, 0, 1) === 1,
    };
  },
});

/** What links take from the consensus. */
export const linksBy = (network: Network): Pick<ChannelManagerConfig, 'limits' | 'padding' | 'isRelay'> => ({
  limits: () => consensusLimits(network.param),
  padding: linkPadding(network.param),
  isRelay: (rsaId) => network.knows(toHex(rsaId)),
});

/** Whom circuits may be extended to. */
export const extendRulesOf = (options: Options, address: SelfAddress, network: Network): ExtendRules => ({
  get allowPrivate() {
    return options.ExtendAllowPrivateAddresses;
  },
  get ipv6() {
    return address.orAddress(6) !== undefined;
  },
  ed25519Of: (id) => network.ed25519Of(id),
});
