/**
 * Streams that end at this relay, by what was asked: BEGIN goes to the exit, BEGIN_DIR to the directory server,
 * RESOLVE to the resolver.
 *
 * @module
 */
import { EndReason, RelayCommand } from '../shared/cell/commands.js';
import type { DirServer } from '../shared/dir/server.js';
import type { DirPeer } from '../shared/dir/types.js';
import type { Channel } from '../shared/link/types.js';
import type { IncomingStream } from '../shared/onion/types.js';
import type { Resolver } from '../shared/runtime/types.js';
import type { Exit } from './exit.js';
import type { ExitStats } from './exit-stats.js';
import { answerResolve, type NameRules } from './resolve.js';

/** What is behind the streams. */
export interface StreamServices {
  readonly exit: Exit;
  readonly resolver: Resolver;
  readonly stats: ExitStats;
  readonly names: NameRules;
  /** Undefined when this relay is no directory. */
  dirServer(): DirServer | undefined;
  /** Whether new streams are refused because the relay is going down. */
  hibernating(): boolean;
}

const NOTHING = new Uint8Array(0);

/**
 * Who asks the directory. Behind a relay there is a client we know nothing of; straight from a client the address is
 * the client's own (C tor: `connection_dir_is_anonymous`).
 */
const dirPeerOf = (from: Channel): DirPeer =>
  from.authenticated
    ? { via: 'multi-hop', address: undefined }
    : { via: 'one-hop', address: from.remote.host };

/** Serves one stream of the client behind `from`. */
export function serveStream(stream: IncomingStream, from: Channel, services: StreamServices): void {
  if (services.hibernating()) {
    stream.abort(EndReason.HIBERNATING);
    return;
  }
  switch (stream.command) {
    case RelayCommand.BEGIN:
      services.stats.streams.BEGIN++;
      services.exit.begin(stream, from);
      return;
    case RelayCommand.BEGIN_DIR: {
      services.stats.streams.BEGIN_DIR++;
      const server = services.dirServer();
      if (!server) {
        stream.abort(EndReason.NOTDIRECTORY);
        return;
      }
      stream.accept(NOTHING);
      server.serveStream(stream, dirPeerOf(from));
      return;
    }
    case RelayCommand.RESOLVE:
      services.stats.streams.RESOLVE++;
      answerResolve(stream.request, services.names, services.resolver).then((body) => {
        if (!stream.closed) stream.answer(body);
      });
      return;
    default:
      stream.abort(EndReason.TORPROTOCOL);
      return;
  }
}
