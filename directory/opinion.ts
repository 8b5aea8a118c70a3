/**
 * What an authority thinks of the network at the moment of a vote: from its roster and the measurements to a signed
 * vote.
 *
 * @module
 */
import type { RsaKey } from '../shared/crypto/rsa.js';
import type { AuthorityCertificate, AuthorityEntry, Consensus } from '../shared/netdoc/types.js';
import { encodeVote } from '../shared/netdoc/vote.js';
import type { Options } from '../shared/torrc/options.js';
import type { BandwidthFile, Measurements } from './bandwidth-file.js';
import type { FlagInput } from './flags.js';
import type { RelayRules } from './relay-rules.js';
import { type RelaySet, relaySet } from './relay-set.js';
import type { Roster } from './roster.js';
import type { RouterHistory } from './router-history.js';
import type { SharedRandomVote } from './shared-random.js';
import { findSybils, uniqueByEd25519 } from './sybil.js';
import { computeThresholds, guaranteesOf } from './thresholds.js';
import { makeVote } from './vote.js';

/** What does not change from vote to vote. */
export interface OpinionConfig {
  readonly options: Options;
  readonly roster: Roster;
  readonly history: RouterHistory;
  readonly rules: RelayRules;
  readonly signingKey: RsaKey;
  readonly certificate: AuthorityCertificate;
}

/** What does. */
export interface OpinionInput {
  readonly now: number;
  readonly validAfter: number;
  readonly authority: AuthorityEntry;
  /** Milliseconds this authority has been up. */
  readonly ownUptime: number;
  readonly consensus: Consensus | undefined;
  readonly bandwidthFile: BandwidthFile | undefined;
  readonly measurements: Measurements;
  readonly sharedRandom: SharedRandomVote;
}

/** A signed vote and the microdescriptors it names, by digest. */
export interface Opinion {
  readonly text: string;
  readonly microdescriptors: ReadonlyMap<string, string>;
}

/** Forms opinions. */
export class Opinions {
  private readonly config: OpinionConfig;
  private readonly forced: FlagInput['forced'];

  constructor(config: OpinionConfig) {
    this.config = config;
    const { options } = config;
    const set = (items: readonly string[]): RelaySet => relaySet(items);
    this.forced = options.TestingTorNetwork
      ? {
          exit: set(options.TestingDirAuthVoteExit),
          guard: set(options.TestingDirAuthVoteGuard),
          hsDir: set(options.TestingDirAuthVoteHSDir),
        }
      : undefined;
  }

  /** Makes and signs a vote. */
  form(input: OpinionInput): Opinion {
    const { options, roster, history, rules } = this.config;
    const { now, ownUptime } = input;
    const judgesRunning = ownUptime > options.TestingAuthDirTimeToLearnReachability;
    const look = () => uniqueByEd25519(roster.views(now, input.measurements, judgesRunning));
    let relays = look();
    const sybils = findSybils(relays, options.AuthDirMaxServersPerAddr);
    if (sybils.size > 0) {
      for (const id of sybils) history.makePessimal(id, now);
      relays = look();
    }
    const thresholds = computeThresholds({
      relays,
      sybils,
      now,
      enoughMtbf: history.hasEnoughData(now),
      testing: options.TestingTorNetwork,
      measuredEnough: options.MinMeasuredBWsForAuthToIgnoreAdvertised,
      testingMinFast: options.TestingMinFastFlagThreshold,
      guarantees: guaranteesOf(options),
      guardFraction: options.AuthDirVoteGuardBwThresholdFraction,
      params: input.consensus?.params ?? new Map(),
      allowPrivate: options.DirAllowPrivateAddresses,
    });
    const flags: FlagInput = {
      thresholds,
      choice: {
        badExit: options.AuthDirListBadExits,
        middleOnly: rules.hasMiddleOnly,
        running: judgesRunning,
      },
      now,
      ownUptime: Math.floor(ownUptime / 1000),
      hsDirUptime: Math.floor(options.MinUptimeHidServDirectoryV2 / 1000),
      allowPrivate: options.DirAllowPrivateAddresses,
      forced: this.forced,
    };
    const { vote, microdescriptors } = makeVote({
      options,
      now,
      validAfter: input.validAfter,
      authority: input.authority,
      certificate: this.config.certificate,
      relays,
      sybils,
      flags,
      sharedRandom: input.sharedRandom,
      bandwidthFile: input.bandwidthFile,
    });
    return { text: encodeVote(vote, this.config.signingKey), microdescriptors };
  }
}
