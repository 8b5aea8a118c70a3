/**
 * A relay's directory server: what its cache holds, to whoever asks.
 *
 * @module
 */
import type { DirCache } from '../shared/dir/cache.js';
import type { FrontPage } from '../shared/dir/front-page.js';
import { cacheAnswer } from '../shared/dir/routes.js';
import { createDirServer, type DirServer } from '../shared/dir/server.js';
import type { Log } from '../shared/log/types.js';
import type { RelayId } from '../shared/netdoc/types.js';
import type { Clock } from '../shared/runtime/types.js';
import type { HsDirStore } from './hs-dir.js';

/** Bytes of a request's body: nothing is uploaded to a cache but descriptors of onion services. */
const MAX_UPLOAD = 64 * 1024;

/** Serves a cache, a page for people, and the descriptors of onion services that were left here. */
export const cacheDirServer = (
  cache: DirCache,
  { log, clock }: { readonly log: Log; readonly clock: Clock },
  relay: RelayId,
  page: FrontPage,
  hsDir?: HsDirStore,
): DirServer =>
  createDirServer(
    {
      get: (path, headers, peer) =>
        page.answer(path) ??
        hsDir?.get(path, peer) ??
        cacheAnswer(cache, path, headers, clock.now(), { relay }) ?? { status: 404, reason: 'Not found' },
      post: (path, body, peer) => hsDir?.post(path, body, peer) ?? { status: 404, reason: 'Not found' },
    },
    { log, clock, maxUpload: MAX_UPLOAD },
  );
