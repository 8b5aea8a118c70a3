/**
 * The one door for requests, from ports and from programs that embed the client: names of onion services go one way,
 * everything else to exits. A name in `.onion` never reaches an exit.
 *
 * @module
 */
import type { Clock } from '../shared/runtime/types.js';
import { StreamError } from './failure.js';
import { authKey, type Isolation } from './isolation.js';
import type { Requester } from './socks-server.js';
import type { StreamClient, StreamRequest, StreamTarget } from './streams.js';

/** The name under which an onion service is asked for, if it is one. */
const onionName = (target: StreamTarget): boolean => {
  const name = target.kind === 'resolve' ? target.name : target.host.text;
  return /(^|\.)onion\.?$/i.test(name);
};

/** Sends requests where they belong. Without `onion`, onion names are refused. */
export function dispatch(clock: Clock, exits: Requester, onion: Requester | undefined): Requester {
  return {
    request(target: StreamTarget, isolation: Isolation, client: StreamClient): StreamRequest {
      if (!onionName(target)) return exits.request(target, isolation, client);
      if (onion) return onion.request(target, isolation, client);
      return refuse(clock, client, new StreamError('onion-not-found', 'this client has no onion services'));
    },
  };
}

/** Fails a request after the call that made it has returned. */
function refuse(clock: Clock, client: StreamClient, error: StreamError): StreamRequest {
  let cancelled = false;
  clock.defer(() => {
    if (!cancelled) client.failed(error);
  });
  return {
    cancel() {
      cancelled = true;
    },
  };
}

/** The isolation of a program that embeds the client: its token, and nothing it shares with any port. */
export function ownIsolation(target: StreamTarget, token: string): Isolation {
  return {
    fields: {
      auth: authKey(token, ''),
      destAddr: target.kind === 'connect' ? target.host.text : target.name,
      destPort: target.kind === 'connect' ? target.port : 0,
      clientAddr: '',
      clientProtocol: 'embedded',
      sessionGroup: 'embedded',
    },
    by: new Set(['auth', 'sessionGroup']),
  };
}
