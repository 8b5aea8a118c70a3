/**
 * What a running relay is to those who start it.
 *
 * @module
 */
import type { RelayKeys } from '../shared/crypto/relay-keys.js';
import type { DirCache } from '../shared/dir/cache.js';
import type { FrontPage } from '../shared/dir/front-page.js';
import type { DirServer } from '../shared/dir/server.js';
import type { MemoryCounts } from '../shared/limits/memory-ceiling.js';
import type { LinkManager } from '../shared/link/manager.js';
import type { RelayId } from '../shared/netdoc/types.js';
import type { Options } from '../shared/torrc/options.js';
import type { DosCounts } from './dos.js';
import type { OwnDocuments } from './publish.js';
import type { SwitchStatus } from './switch.js';

/** What an authority, which is a relay with more, brings along. */
export interface RelayExtras {
  /** Answers on the DirPort and on BEGIN_DIR in place of the relay's own server; the relay then fetches no documents. */
  readonly dirServer?: DirServer;
  /** What that server shows to people; the relay reads it. */
  readonly page?: FrontPage;
  readonly keys?: RelayKeys;
  /** The documents to know the network by, in place of a cache of the relay's own. */
  readonly cache?: DirCache;
}

/** How a relay is, for readiness, logs and metrics. */
export interface RelayStatus {
  readonly fingerprint: RelayId;
  /** Seconds. */
  readonly uptime: number;
  readonly circuits: SwitchStatus;
  readonly defences: DosCounts;
  readonly memory: MemoryCounts;
  readonly exitStreams: number;
  /** Descriptors of onion services held; undefined when none are. */
  readonly hsDescriptors: number | undefined;
  /** Authorities that took the current descriptor. */
  readonly publishedTo: number;
  /** Whether the consensus held lists this relay as Running. */
  readonly listed: boolean;
  readonly consensusValidUntil: number | undefined;
  /** Bytes since the start, and bytes a second as told in the descriptor. */
  readonly bandwidth: { readonly read: number; readonly written: number; readonly observed: number };
}

/** A running relay. */
export interface RelayNode {
  readonly keys: RelayKeys;
  readonly fingerprint: RelayId;
  readonly channels: LinkManager;
  readonly cache: DirCache;
  /** The documents last made; undefined until an address is known. */
  descriptor(): OwnDocuments | undefined;
  /** Makes a new descriptor and uploads it. */
  republish(): void;
  /** Takes over what can change while running; the names of all options it takes over. */
  reload(next: Options): readonly string[];
  /** Stops: at once, or when circuits have ended, at most `ShutdownWaitLength` later. */
  stop(graceful: boolean): Promise<void>;
  status(): RelayStatus;
}
