/**
 * Directory requests and answers, whatever carries them: an HTTP/1.0 exchange on a socket or on a BEGIN_DIR stream.
 *
 * @module
 */

/** One request (dir-spec 4, 5, 6). */
export interface DirRequest {
  readonly method: 'GET' | 'POST';
  /** Path and query, e.g. `/tor/status-vote/current/consensus-microdesc.z`. */
  readonly path: string;
  /** Lower-case names. */
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
}

/** One answer; the body is decompressed. */
export interface DirResponse {
  readonly status: number;
  /** The reason phrase: C tor puts the reason of a refusal there. */
  readonly reason: string;
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

/** Who asks a directory server. */
export interface DirPeer {
  /** IP literal of the other end of the connection; undefined when it came over a multi-hop circuit. */
  readonly address: string | undefined;
  /** How it came: a DirPort connection, a one-hop BEGIN_DIR stream, or one behind more hops. */
  readonly via: 'dirport' | 'one-hop' | 'multi-hop';
}
