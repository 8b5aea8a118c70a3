/**
 * How long a client keeps links and circuits that nobody uses, and how it pads its links (padding-spec 2; C tor:
 * channelpadding.c). Circuits kept ready are what keeps a link, so one option makes all of it less.
 *
 * @module
 */
import { DEFAULT_LINK_LIMITS, type LinkLimits } from '../shared/link/limits.js';
import { DEFAULT_PADDING_TIMES, type PaddingConfig } from '../shared/link/padding.js';
import type { ConsensusParam } from '../shared/onion/flow.js';
import type { Random } from '../shared/runtime/types.js';
import type { Options } from '../shared/torrc/options.js';

/** Longest padding time a consensus may ask for, milliseconds. */
const MOST_PADDING = 60_000;

type PaddingOptions = Pick<Options, 'ConnectionPadding' | 'ReducedConnectionPadding'>;

/** What the options say of padding, and the consensus of its times. */
export function paddingOf(options: PaddingOptions, param: ConsensusParam): PaddingConfig {
  const { ConnectionPadding: asked, ReducedConnectionPadding: reduced } = options;
  const { low, high, lowReduced, highReduced } = DEFAULT_PADDING_TIMES;
  const time = (name: string, fallback: number, least = 0) => param(name, fallback, least, MOST_PADDING);
  const often = asked === true ? 'always' : 'on';
  return {
    mode: asked === false ? 'off' : reduced ? 'reduced' : often,
    times: () => ({
      low: time('nf_ito_low', low),
      high: time('nf_ito_high', high, time('nf_ito_low', low)),
      lowReduced: time('nf_ito_low_reduced', lowReduced),
      highReduced: time('nf_ito_high_reduced', highReduced),
      padRelays: false,
    }),
  };
}

/** How long links without circuits are kept. */
export const idleLinks = ({
  ReducedConnectionPadding: reduced,
}: PaddingOptions): Pick<LinkLimits, 'idleClient'> => ({
  idleClient: reduced ? DEFAULT_LINK_LIMITS.idleClient / 2 : DEFAULT_LINK_LIMITS.idleClient,
});

/**
 * Milliseconds for which circuits are kept ready after the last request: CircuitsAvailableTimeout or what the consensus
 * says, and up to as much again.
 */
export function availability(
  options: PaddingOptions & Pick<Options, 'CircuitsAvailableTimeout'>,
  param: ConsensusParam,
  random: Random,
): number {
  const consensus = 1000 * param('nf_conntimeout_clients', 1800, 60, 86_400);
  const least =
    options.CircuitsAvailableTimeout || (options.ReducedConnectionPadding ? consensus / 2 : consensus);
  return least + random.below(least);
}
