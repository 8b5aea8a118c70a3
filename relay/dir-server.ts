/**
 * A relay's directory server: what its cache holds, to whoever asks.
 *
 * @module
 */
import type { DirCache } from '../shared/dir/cache.js';
import { cacheAnswer } from '../shared/dir/routes.js';
import { createDirServer, type DirServer } from '../shared/dir/server.js';
import type { Log } from '../shared/log/types.js';
import type { RelayId } from '../shared/netdoc/types.js';
import type { Clock } from '../shared/runtime/types.js';

/** Bytes of a request's body: nothing is uploaded to a cache. */
const MAX_UPLOAD = 64 * 1024;

/** Serves a cache. */
export const cacheDirServer = (
  cache: DirCache,
  { log, clock }: { readonly log: Log; readonly clock: Clock },
  relay: RelayId,
): DirServer =>
  createDirServer(
    {
      get: (path, headers) =>
        cacheAnswer(cache, path, headers, clock.now(), { relay }) ?? { status: 404, reason: 'Not found' },
      post: () => ({ status: 404, reason: 'Not found' }),
    },
    { log, clock, maxUpload: MAX_UPLOAD },
  );
