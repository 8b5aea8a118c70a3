/**
 * What an authority knows about one relay when it makes up its mind: the descriptor, what tests and operators say of
 * it, and its history.
 *
 * @module
 */
import type { ServerDescriptor } from '../shared/netdoc/types.js';

/** One relay as the flags see it. Numbers of its history are of the moment of the vote. */
export interface RelayView {
  readonly descriptor: ServerDescriptor;
  /** A configured authority's relay. */
  readonly authority: boolean;
  readonly running: boolean;
  readonly valid: boolean;
  readonly badExit: boolean;
  readonly middleOnly: boolean;
  readonly stripGuard: boolean;
  readonly stripHsDir: boolean;
  readonly stripV2Dir: boolean;
  /** Kilobytes per second, from the bandwidth file or one before it. */
  readonly measured: number | undefined;
  /** Seconds since our tests found it up. */
  readonly uptime: number;
  /** Seconds. */
  readonly mtbf: number;
  /** Seconds. */
  readonly timeKnown: number;
  /** 0 to 1. */
  readonly wfu: number;
}

/** No descriptor claims more than this and is believed, bytes per second. */
const MAX_BELIEVABLE = 10_000_000;

/** What a relay claims, kilobytes per second: the smaller of rate and observed, within belief. */
export const claimedBandwidth = ({ bandwidth }: ServerDescriptor): number =>
  Math.floor(Math.min(bandwidth.observed, bandwidth.rate, MAX_BELIEVABLE) / 1000);

/** The uptime a relay claims, brought forward to `now`; seconds. */
export const claimedUptime = ({ uptime, published }: ServerDescriptor, now: number): number =>
  uptime + Math.max(0, Math.floor(now / 1000) - Math.floor(published / 1000));

/** Whether it answers directory requests over BEGIN_DIR, as an open DirPort says too. */
export const servesDirectory = ({ tunnelledDirServer, dirPort }: ServerDescriptor): boolean =>
  tunnelledDirServer || dirPort > 0;

/** Descriptors older than this are as good as none. */
export const MAX_DESCRIPTOR_AGE = 24 * 3600 * 1000;

/** Whether it is up and of use (C tor `router_is_active`). */
export const isActive = ({ descriptor, running, valid }: RelayView, now: number): boolean =>
  descriptor.published >= now - MAX_DESCRIPTOR_AGE && running && valid && !descriptor.hibernating;
