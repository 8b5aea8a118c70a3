/**
 * The link handshake (tor-spec 4) as a state machine for both sides: cells in, bytes out, no socket and no clock.
 *
 *     initiator                                responder
 *     VERSIONS                            ->
 *                                         <-   VERSIONS CERTS AUTH_CHALLENGE NETINFO
 *     [CERTS AUTHENTICATE] NETINFO        ->
 *
 * The part in brackets is a relay's; a client proves nothing. Link protocols 4 and 5 are spoken; 3 (16-bit circuit
 * ids) is not, as in C tor's required protocols. What C tor ignores during the handshake (VPADDING, AUTHORIZE,
 * variable cells it does not know) is ignored here; what it closes for (channeltls.c) throws, and so do cells that
 * come twice.
 *
 * @module
 */
import { createHash } from 'node:crypto';
import { ProtocolError } from '../bytes/errors.js';
import { concat, sameBytes, toHex } from '../bytes/text.js';
import { canonicalHost } from '../cell/addresses.js';
import { AUTH_CHALLENGE, NETINFO, VERSIONS } from '../cell/channel-cells.js';
import { Command, nameOf } from '../cell/commands.js';
import { encodeFixed, encodeNarrow, encodeVariable } from '../cell/frame.js';
import { sha256 } from '../crypto/digest.js';
import type { LinkCredentials } from '../crypto/link-credentials.js';
import type { Random, TlsConn } from '../runtime/types.js';
import { AUTH_TYPE, type AuthFacts, checkAuthenticate, makeAuthenticate } from './authenticate.js';

import { linkError } from './errors.js';
import { checkPeerCerts, type ProvenIdentity } from './peer-certs.js';
import type { PeerIdentity } from './types.js';

/** Link protocols spoken, best last. */
const LINK_PROTOCOLS = [4, 5];
/** A NETINFO later than this after the start says nothing about the peer's clock, milliseconds. */
const CLOCK_USABLE_FOR = 180_000;

/** What the handshake is told. */
export interface HandshakeParams {
  readonly role: 'initiator' | 'responder';
  /** The TLS connection's own facts. */
  readonly tls: Pick<TlsConn, 'peerCertificate' | 'exportKeyingMaterial'>;
  /** A relay's; a responder must have them, an initiator without them is a client. */
  readonly credentials: LinkCredentials | undefined;
  readonly random: Random;
  /** Wall clock, milliseconds. */
  readonly now: () => number;
  /** The peer's address on this connection. */
  readonly remoteHost: string;
  /** Addresses this relay is listed with. */
  readonly ownHosts: readonly string[];
  /** Who the responder must prove to be. */
  readonly expected?: { readonly rsaId?: Uint8Array; readonly ed25519Id?: Uint8Array };
}

/** What came of it. */
export interface HandshakeResult {
  readonly linkProtocol: number;
  readonly peer: PeerIdentity;
  readonly authenticated: boolean;
  /** Whether the peer says that it has the address this connection goes to. */
  readonly canonical: boolean;
  /** Whether the peer sees one of our addresses: for it, too, the connection is canonical. */
  readonly canonicalToPeer: boolean;
  /** Our address as the peer sees it. */
  readonly observedHost: string | undefined;
  /** Ours less the peer's clock, milliseconds; undefined when the peer (a client) does not tell. */
  readonly skew: number | undefined;
}

const NOBODY: PeerIdentity = { rsaId: undefined, ed25519Id: undefined };

/** What may come next. Each is passed once, in this order. */
type Expecting = 'versions' | 'certs' | 'challenge' | 'authenticate' | 'netinfo' | 'nothing';

export class LinkHandshake {
  /** Set when the handshake is done. */
  result: HandshakeResult | undefined;
  private readonly params: HandshakeParams;
  private readonly startedAt: number;
  private expecting: Expecting = 'versions';
  private linkProtocol = 0;
  private proven: ProvenIdentity | undefined;
  private authenticated = false;
  private sentNetinfo = false;
  private readonly out: Uint8Array[] = [];
  // Running digests of what each side said, for AUTHENTICATE.
  private readonly sentLog = createHash('sha256');
  private readonly receivedLog = createHash('sha256');
  /** A responder's log ends with AUTH_CHALLENGE, before its NETINFO. */
  private sentBeforeNetinfo: Uint8Array | undefined;

  constructor(params: HandshakeParams) {
    this.params = params;
    this.startedAt = params.now();
  }

  /** What the initiator says first; nothing for a responder. */
  start(): Uint8Array | undefined {
    if (this.params.role === 'initiator') this.sendVersions();
    return this.takeOutput();
  }

  /** A variable cell came. Returns what to send. Throws ProtocolError, DecodeError or LinkError ('identity', 'closed'). */
  variable(circuitId: number, command: number, body: Uint8Array): Uint8Array | undefined {
    if (command !== Command.AUTHENTICATE) this.recordReceived(circuitId, command, body);
    switch (command) {
      case Command.VERSIONS:
        this.versions(body);
        break;
      case Command.CERTS:
        this.certs(circuitId, body);
        break;
      case Command.AUTH_CHALLENGE:
        this.challenge(circuitId, body);
        break;
      case Command.AUTHENTICATE:
        this.authenticate(body);
        break;
    }
    return this.takeOutput();
  }

  /** A fixed cell came; only NETINFO may. */
  fixed(command: number, body: Uint8Array): Uint8Array | undefined {
    if (command !== Command.NETINFO) throw this.unexpected(command);
    this.netinfo(body);
    return this.takeOutput();
  }

  private unexpected(command: number): ProtocolError {
    return new ProtocolError(
      `${nameOf(Command, command)} cell in the handshake, while waiting for ${this.expecting}`,
    );
  }

  private takeOutput(): Uint8Array | undefined {
    return this.out.length === 0 ? undefined : concat(...this.out.splice(0));
  }

  private send(cell: Uint8Array): void {
    this.sentLog.update(cell);
    this.out.push(cell);
  }

  private recordReceived(circuitId: number, command: number, body: Uint8Array): void {
    const narrow = this.expecting === 'versions';
    this.receivedLog.update(
      narrow ? encodeNarrow(command, body, circuitId) : encodeVariable(circuitId, command, body),
    );
  }

  private sendVersions(): void {
    this.send(encodeNarrow(Command.VERSIONS, VERSIONS.encode({ versions: LINK_PROTOCOLS })));
  }

  private versions(body: Uint8Array): void {
    if (this.expecting !== 'versions') throw this.unexpected(Command.VERSIONS);
    const { versions } = VERSIONS.decode(body);
    const best = LINK_PROTOCOLS.findLast((version) => versions.includes(version));
    if (best === undefined)
      throw new ProtocolError(`VERSIONS: none of link protocols ${LINK_PROTOCOLS.join(', ')} in common`);
    this.linkProtocol = best;
    this.expecting = 'certs';
    if (this.params.role === 'responder') this.sendResponse(this.params.credentials!);
    else if (this.params.credentials) this.sendCerts(this.params.credentials.initiatorCerts);
  }

  private sendCerts(body: Uint8Array): void {
    this.send(encodeVariable(0, Command.CERTS, body));
  }

  private sendResponse({ certs }: LinkCredentials): void {
    this.sendVersions();
    this.sendCerts(certs);
    const body = { challenge: this.params.random.bytes(32), methods: [AUTH_TYPE] };
    this.send(encodeVariable(0, Command.AUTH_CHALLENGE, AUTH_CHALLENGE.encode(body)));
    this.sendNetinfo();
  }

  private certs(circuitId: number, body: Uint8Array): void {
    if (this.expecting !== 'certs') throw this.unexpected(Command.CERTS);
    if (circuitId !== 0) throw new ProtocolError('CERTS with a circuit id');
    const { role, tls, now, credentials } = this.params;
    const initiator = role === 'initiator';
    if (initiator && !tls.peerCertificate) throw new ProtocolError('TLS showed no certificate');
    this.proven = checkPeerCerts(body, initiator ? tls.peerCertificate : undefined, now());
    this.expecting = initiator ? 'challenge' : 'authenticate';
    if (!initiator) return;
    this.checkExpected(this.proven);
    this.authenticated = true;
    // A client has nothing to answer the challenge with.
    if (!credentials) this.sendNetinfo();
  }

  private checkExpected({ rsaId, ed25519Id }: ProvenIdentity): void {
    const { expected } = this.params;
    if (expected?.rsaId && !sameBytes(expected.rsaId, rsaId))
      throw linkError('identity', `the relay is ${toHex(rsaId)}, not ${toHex(expected.rsaId)}`);
    if (expected?.ed25519Id && !sameBytes(expected.ed25519Id, ed25519Id))
      throw linkError('identity', `the relay has another ed25519 identity than expected`);
  }

  private challenge(circuitId: number, body: Uint8Array): void {
    if (this.expecting !== 'challenge') throw this.unexpected(Command.AUTH_CHALLENGE);
    if (circuitId !== 0) throw new ProtocolError('AUTH_CHALLENGE with a circuit id');
    const { methods } = AUTH_CHALLENGE.decode(body);
    this.expecting = 'netinfo';
    const { credentials, random } = this.params;
    if (!credentials) return;
    if (methods.includes(AUTH_TYPE)) {
      const sign = (message: Uint8Array) => credentials.linkAuthSigner.sign(message);
      const answer = makeAuthenticate(this.facts(credentials, this.proven!), random.bytes(24), sign);
      this.out.push(encodeVariable(0, Command.AUTHENTICATE, answer));
    }
    this.sendNetinfo();
  }

  /** Seen from either side; the digests must stand at the AUTHENTICATE cell. */
  private facts(own: LinkCredentials, peer: ProvenIdentity): AuthFacts {
    const { role, tls } = this.params;
    const sent = new Uint8Array(this.sentBeforeNetinfo ?? this.sentLog.copy().digest());
    const received = new Uint8Array(this.receivedLog.copy().digest());
    const exportKeyingMaterial: AuthFacts['exportKeyingMaterial'] = (...what) => {
      try {
        return tls.exportKeyingMaterial(...what);
      } catch (cause) {
        // What a peer said may be read when its connection, which another thread has, is gone.
        if ((cause as NodeJS.ErrnoException).code !== 'ECONNRESET') throw cause;
        throw linkError('closed', 'the connection was gone before its keying material was asked for', cause);
      }
    };
    return role === 'initiator'
      ? {
          initiatorRsa: own.rsaIdSha256,
          responderRsa: peer.rsaDigest,
          initiatorEd25519: own.ed25519Id,
          responderEd25519: peer.ed25519Id,
          responderLog: received,
          initiatorLog: sent,
          responderCert: sha256(tls.peerCertificate!),
          exportKeyingMaterial,
        }
      : {
          initiatorRsa: peer.rsaDigest,
          responderRsa: own.rsaIdSha256,
          initiatorEd25519: peer.ed25519Id,
          responderEd25519: own.ed25519Id,
          responderLog: sent,
          initiatorLog: received,
          responderCert: sha256(own.tls.certDer),
          exportKeyingMaterial,
        };
  }

  private authenticate(body: Uint8Array): void {
    if (this.params.role !== 'responder' || this.expecting !== 'authenticate')
      throw this.unexpected(Command.AUTHENTICATE);
    checkAuthenticate(body, this.facts(this.params.credentials!, this.proven!), this.proven!.authKey!);
    this.authenticated = true;
    this.expecting = 'netinfo';
  }

  private sendNetinfo(): void {
    if (this.sentNetinfo) return;
    this.sentNetinfo = true;
    this.sentBeforeNetinfo = this.sentLog.copy().digest();
    const { role, credentials, now, remoteHost, ownHosts } = this.params;
    // A client tells neither its clock nor its addresses.
    const tells = role === 'responder' || credentials !== undefined;
    const body = NETINFO.encode({
      timestamp: tells ? Math.floor(now() / 1000) : 0,
      peer: remoteHost,
      own: tells ? ownHosts : [],
    });
    this.send(encodeFixed(0, Command.NETINFO, body));
  }

  private netinfo(body: Uint8Array): void {
    const { role, now, remoteHost, ownHosts } = this.params;
    const ready =
      role === 'initiator'
        ? this.authenticated && (this.expecting === 'challenge' || this.expecting === 'netinfo')
        : this.expecting !== 'versions' && this.expecting !== 'nothing';
    if (!ready) throw this.unexpected(Command.NETINFO);
    const { timestamp, peer, own } = NETINFO.decode(body);
    // A responder that never challenged us still has to hear our NETINFO.
    this.sendNetinfo();
    this.expecting = 'nothing';
    const claimed = (host: string, hosts: readonly string[]) =>
      this.authenticated && hosts.some((other) => canonicalHost(other) === canonicalHost(host));
    const known = this.authenticated ? this.proven! : NOBODY;
    const timely = timestamp !== 0 && now() - this.startedAt < CLOCK_USABLE_FOR;
    this.result = {
      linkProtocol: this.linkProtocol,
      peer: { rsaId: known.rsaId, ed25519Id: known.ed25519Id },
      authenticated: this.authenticated,
      canonical: claimed(remoteHost, own),
      canonicalToPeer: peer !== undefined && claimed(peer, ownHosts),
      observedHost: peer,
      skew: timely ? now() - timestamp * 1000 : undefined,
    };
  }
}
