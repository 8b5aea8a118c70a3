/**
 * Link padding (padding-spec 2): a PADDING cell after a link was silent for a while, so that records of its traffic do
 * not show when a client was idle. Both ends do it; a client may ask the relay for less (PADDING_NEGOTIATE).
 *
 * The time is the larger of two draws out of [low, high), counted from the last cell in either direction
 * (channelpadding_get_netflow_inactive_timeout_ms).
 *
 * @module
 */
import { PADDING_NEGOTIATE, PaddingCommand } from '../cell/channel-cells.js';
import { Command } from '../cell/commands.js';
import type { Clock, Random, Timer } from '../runtime/types.js';

/** The link protocol from which both ends know how to pad. */
const FIRST_LINK_PROTOCOL = 5;

/** Milliseconds, from consensus parameters. */
export interface PaddingTimes {
  /** nf_ito_low and nf_ito_high. */
  readonly low: number;
  readonly high: number;
  /** nf_ito_low_reduced and nf_ito_high_reduced, for clients that asked for less. */
  readonly lowReduced: number;
  readonly highReduced: number;
  /** nf_pad_relays: whether links between relays are padded too. */
  readonly padRelays: boolean;
}

/** What the specification says when no consensus does. */
export const DEFAULT_PADDING_TIMES: PaddingTimes = {
  low: 1_500,
  high: 9_500,
  lowReduced: 9_000,
  highReduced: 14_000,
  padRelays: false,
};

/** How this node pads. */
export interface PaddingConfig {
  /**
   * `always`: also to a peer that does not know how to (ConnectionPadding 1). `off` sends nothing, and as a client tells
   * the relay to send nothing either (ConnectionPadding 0).
   */
  readonly mode: 'always' | 'on' | 'reduced' | 'off';
  readonly times: () => PaddingTimes;
}

/** What padding needs of a channel. */
export interface PaddedChannel {
  readonly open: boolean;
  readonly linkProtocol: number;
  readonly lastActive: number;
  readonly lastWrite: number;
  /** Whether it carries, or carried, circuits of more than one hop. */
  readonly carriesCircuits: boolean;
  /** Cells that wait. */
  readonly queued: number;
  sendControl(command: number, body: Uint8Array): void;
}

/** Which end of which link. */
export type PaddingRole =
  /** We are the client. */
  | 'client'
  /** The peer is a client, or a relay that the network does not know. */
  | 'relay'
  /** Between relays. */
  | 'between';

const NOTHING = new Uint8Array(0);
/** Milliseconds after which a link that the consensus wants no padding on is looked at again: a later one may. */
const LOOK_AGAIN = 60_000;

/** Pads one channel, from when it opens to when it closes. */
export class ChannelPadding {
  private readonly channel: PaddedChannel;
  private readonly clock: Clock;
  private readonly random: Random;
  private readonly config: PaddingConfig;
  /** Who is a relay is up to the newest consensus. */
  private readonly role: () => PaddingRole;
  private low = 0;
  private high = 0;
  private enabled: boolean;
  private timer: Timer | undefined;

  constructor(
    channel: PaddedChannel,
    config: PaddingConfig,
    role: () => PaddingRole,
    env: { clock: Clock; random: Random },
  ) {
    this.channel = channel;
    this.config = config;
    this.role = role;
    this.clock = env.clock;
    this.random = env.random;
    const able = channel.linkProtocol >= FIRST_LINK_PROTOCOL;
    this.enabled = config.mode === 'always' || (config.mode !== 'off' && able);
    if (role() === 'client') this.tellRelay();
    this.arm(this.delay());
  }

  /** The client's wish, where it is not the default. Without a relay that pads, ours has to do: it is rarer then. */
  private tellRelay(): void {
    const { mode, times } = this.config;
    if (mode === 'on' || mode === 'always' || this.channel.linkProtocol < FIRST_LINK_PROTOCOL) return;
    const stop = { version: 0, command: PaddingCommand.STOP, low: 0, high: 0 };
    this.channel.sendControl(Command.PADDING_NEGOTIATE, PADDING_NEGOTIATE.encode(stop));
    if (mode === 'reduced') {
      this.low = times().lowReduced;
      this.high = times().highReduced;
    }
  }

  /**
   * PADDING_NEGOTIATE came. Only a relay listens to it: a relay must not switch off a client's padding. What C tor
   * drops (another version, another command, link protocol 4) is dropped.
   */
  negotiate(body: Uint8Array): void {
    if (this.role() !== 'relay' || this.channel.linkProtocol < FIRST_LINK_PROTOCOL) return;
    const { version, command, low, high } = PADDING_NEGOTIATE.decode(body);
    if (version !== 0 || (command !== PaddingCommand.START && command !== PaddingCommand.STOP)) return;
    this.enabled = command === PaddingCommand.START && this.config.mode !== 'off';
    this.low = Math.max(this.config.times().low, low);
    this.high = Math.max(this.low, high);
    this.arm(this.delay());
  }

  stop(): void {
    this.timer?.cancel();
    this.timer = undefined;
  }

  /** Milliseconds of silence before the next PADDING; undefined for none. */
  private delay(): number | undefined {
    const times = this.config.times();
    if (!this.enabled || (this.role() === 'between' && !times.padRelays) || times.high === 0)
      return undefined;
    // Times that were agreed on only make padding more seldom; a client that names none (0) leaves it to the consensus.
    const low = Math.max(times.low, this.low);
    const high = Math.max(times.high, this.high);
    if (high <= low) return low;
    return low + Math.max(this.random.below(high - low), this.random.below(high - low));
  }

  private arm(delay: number | undefined): void {
    this.stop();
    if (!this.channel.open || !this.enabled) return;
    if (delay === undefined) {
      this.timer = this.clock.setTimer(LOOK_AGAIN, () => this.arm(this.delay()));
      return;
    }
    const since = this.clock.monotonic();
    this.timer = this.clock.setTimer(delay, () => this.due(since));
  }

  /**
   * The timer is not touched for each cell: when it fires, it looks whether there was one since. Then a new draw counts
   * from that cell, as if the timer had been started by it; when its time is over already, padding is sent at once.
   */
  private due(since: number): void {
    const { channel } = this;
    if (!channel.open) return;
    const last = Math.max(channel.lastActive, channel.lastWrite);
    const delay = this.delay();
    if (delay === undefined) {
      this.arm(delay);
      return;
    }
    const left = last > since ? last + delay - this.clock.monotonic() : 0;
    if (left > 0) {
      this.timer = this.clock.setTimer(left, () => this.due(last));
      return;
    }
    if (channel.carriesCircuits && channel.queued === 0) channel.sendControl(Command.PADDING, NOTHING);
    // The cell is written at the end of the turn: counted from now it would pass for one that came since, and the next
    // would wait for the larger of two draws.
    this.clock.defer(() => this.arm(this.delay()));
  }
}
