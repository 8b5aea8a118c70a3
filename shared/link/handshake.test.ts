import test from 'ava';
import { CepaError, DecodeError, ProtocolError } from '../bytes/errors.js';
import { concat, fromHex, toHex } from '../bytes/text.js';
import { CERTS, NETINFO, VERSIONS } from '../cell/channel-cells.js';
import { Command } from '../cell/commands.js';
import { CellDecoder, encodeFixed, encodeNarrow, encodeVariable } from '../cell/frame.js';
import { sha256 } from '../crypto/digest.js';
import type { LinkCredentials } from '../crypto/link-credentials.js';
import { testLinkCredentials } from '../testing/link-credentials.js';
import { fc } from '../testing/properties.js';
import { testRandom } from '../testing/random.js';
import { vectors } from '../testing/vectors.js';
import { type AuthFacts, checkAuthenticate, makeAuthenticate } from './authenticate.js';
import { type HandshakeParams, LinkHandshake } from './handshake.js';
import { checkPeerCerts } from './peer-certs.js';

type Vector = Record<string, string> & { responder_sent_cells: string[]; fields: Record<string, string> };
const captured = vectors<{ vectors: Vector[] }>('link-handshake.json').vectors;
const [asResponder] = captured.filter(({ kind }) => kind === 'tor_is_responder') as [Vector];
const asInitiator = captured.filter(({ kind }) => kind?.startsWith('tor_is_initiator'));
const hex = (text: string | undefined) => fromHex(text!, 'vector');
const HEADER = 7;
/** When C tor made the cells: its NETINFO says so. */
const THEN = Buffer.from(hex(asResponder.netinfo_cell)).readUInt32BE(5) * 1000;
const HOUR = 3_600_000;
const DAY = 24 * HOUR;

test("C tor's certificates as responder are good, for its TLS certificate and time only", (t) => {
  const body = hex(asResponder.responder_certs_cell).subarray(HEADER);
  const tls = hex(asResponder.tls_peer_cert_der);
  const proven = checkPeerCerts(body, tls, THEN);
  t.is(toHex(proven.rsaId), asResponder.relay_fingerprint);
  t.is(toHex(proven.ed25519Id), asResponder.relay_ed!.toUpperCase());
  t.is(proven.authKey, undefined);
  t.throws(() => checkPeerCerts(body, tls.slice(1), THEN), {
    instanceOf: ProtocolError,
    message: /TLS certificate/,
  });
  t.throws(() => checkPeerCerts(body, tls, THEN + 60 * DAY), { message: /expired/ });
  t.throws(() => checkPeerCerts(body, undefined, THEN), { message: /authentication key/ });
});

test('without any one of the certificates, or with one twice, a peer is refused', (t) => {
  const { certs } = CERTS.decode(hex(asResponder.responder_certs_cell).subarray(HEADER));
  const tls = hex(asResponder.tls_peer_cert_der);
  const check = (list: typeof certs) => () => checkPeerCerts(CERTS.encode({ certs: list }), tls, THEN);
  for (const type of [2, 4, 5, 7]) {
    t.throws(check(certs.filter((cert) => cert.type !== type)), { instanceOf: ProtocolError }, `${type}`);
    const twice = certs.find((cert) => cert.type === type)!;
    t.throws(check([...certs, twice]), { message: /two certificates/ });
  }
  t.notThrows(check(certs.filter(({ type }) => type !== 1)));
  t.notThrows(
    check([...certs, { type: 99, body: new Uint8Array(3) }, { type: 99, body: new Uint8Array(3) }]),
  );
});

test('a changed byte in any certificate that counts is refused', (t) => {
  const body = hex(asResponder.responder_certs_cell).subarray(HEADER);
  const tls = hex(asResponder.tls_peer_cert_der);
  const { certs } = CERTS.decode(body);
  const one = fc.tuple(fc.constantFrom(2, 4, 5, 7), fc.nat(), fc.integer({ min: 1, max: 255 }));
  fc.assert(
    fc.property(one, ([type, at, flip]) => {
      const changed = certs.map((cert) => {
        if (cert.type !== type) return cert;
        const bytes = cert.body.slice();
        bytes[at % bytes.length]! ^= flip;
        return { type, body: bytes };
      });
      t.throws(() => checkPeerCerts(CERTS.encode({ certs: changed }), tls, THEN), { instanceOf: CepaError });
    }),
    { numRuns: 150 },
  );
});

for (const vector of asInitiator) {
  const facts = (): AuthFacts => {
    const certs = checkPeerCerts(hex(vector.initiator_certs_cell).subarray(HEADER), undefined, THEN);
    return {
      initiatorRsa: certs.rsaDigest,
      responderRsa: hex(vector.responder_rsa_id_sha256),
      initiatorEd25519: certs.ed25519Id,
      responderEd25519: hex(vector.responder_ed_master),
      responderLog: sha256(...vector.responder_sent_cells.map(hex)),
      initiatorLog: sha256(hex(vector.initiator_versions), hex(vector.initiator_certs_cell)),
      responderCert: sha256(hex(vector.responder_link_cert_der)),
      exportKeyingMaterial: (length, label, context) => {
        if (
          length !== 32 ||
          label !== vector.tls_exporter_label ||
          toHex(context) !== vector.tls_exporter_context!.toUpperCase()
        )
          throw new Error('the exporter was asked for something else');
        return hex(vector.tls_exporter_value);
      },
    };
  };
  const authKey = () =>
    checkPeerCerts(hex(vector.initiator_certs_cell).subarray(HEADER), undefined, THEN).authKey!;
  const cell = () => hex(vector.authenticate_cell).subarray(HEADER);

  test(`C tor's AUTHENTICATE is good, ${vector.tls}`, (t) => {
    t.notThrows(() => checkAuthenticate(cell(), facts(), authKey()));
  });

  test(`AUTHENTICATE: every field counts, ${vector.tls}`, (t) => {
    for (let at = 0; at < cell().length; at += 7) {
      const changed = cell().slice();
      changed[at]! ^= 1;
      t.throws(() => checkAuthenticate(changed, facts(), authKey()), { instanceOf: CepaError }, `byte ${at}`);
    }
    t.throws(() => checkAuthenticate(cell().subarray(0, 300), facts(), authKey()), {
      instanceOf: DecodeError,
    });
    for (const field of ['responderLog', 'initiatorLog', 'responderCert', 'responderRsa'] as const)
      t.throws(() => checkAuthenticate(cell(), { ...facts(), [field]: new Uint8Array(32) }, authKey()), {
        message: /another connection/,
      });
  });

  test(`our AUTHENTICATE has C tor's layout, ${vector.tls}`, (t) => {
    const theirs = cell();
    const ours = makeAuthenticate(facts(), theirs.subarray(-88, -64), () => theirs.subarray(-64));
    t.is(toHex(ours), toHex(theirs));
  });
}

const tlsOf = (vector: Vector): HandshakeParams['tls'] => ({
  peerCertificate: hex(vector.tls_peer_cert_der),
  exportKeyingMaterial: () => new Uint8Array(32),
});

function params(role: 'initiator' | 'responder', more: Partial<HandshakeParams> = {}): HandshakeParams {
  return {
    role,
    tls: { peerCertificate: undefined, exportKeyingMaterial: (n, _, context) => context.slice(0, n) },
    credentials: undefined,
    random: testRandom(role),
    now: () => THEN,
    remoteHost: '127.0.0.1',
    ownHosts: [],
    ...more,
  };
}

/** A side of a handshake with its framing. */
class Side {
  readonly machine: LinkHandshake;
  private readonly said: Uint8Array[] = [];
  private readonly decoder: CellDecoder;

  constructor(handshake: HandshakeParams) {
    const machine = new LinkHandshake(handshake);
    this.machine = machine;
    this.say(machine.start());
    this.decoder = new CellDecoder({
      relay() {
        throw new ProtocolError('RELAY');
      },
      fixed: (_, command, body) => this.say(machine.fixed(command, body)),
      variable: (id, command, body) => this.say(machine.variable(id, command, body)),
    });
  }

  private say(bytes: Uint8Array | undefined) {
    if (bytes) this.said.push(bytes);
  }

  /** Takes bytes, gives what there is to say. */
  hear(...bytes: Uint8Array[]): Buffer {
    for (const part of bytes) this.decoder.push(Buffer.from(part));
    return Buffer.concat(this.said.splice(0));
  }
}

test("our initiator takes C tor's side as captured", (t) => {
  const side = new Side(params('initiator', { tls: tlsOf(asResponder) }));
  t.is(toHex(side.hear()), '000007000400040005');
  const heard = [
    asResponder.responder_versions,
    asResponder.responder_certs_cell,
    asResponder.auth_challenge_cell,
    asResponder.netinfo_cell,
  ].map(hex);
  const said = side.hear(...heard);
  const { result } = side.machine;
  t.is(result?.linkProtocol, 5);
  t.is(toHex(result!.peer.rsaId!), asResponder.relay_fingerprint);
  t.true(result!.authenticated);
  t.true(result!.canonical);
  t.is(result!.observedHost, '127.0.0.1');
  t.is(result!.skew, 0);
  // A client's NETINFO tells neither clock nor address.
  t.is(said[4], Command.NETINFO);
  t.deepEqual(NETINFO.decode(said.subarray(5)), { timestamp: 0, peer: '127.0.0.1', own: [] });
});

let made: Promise<{ near: LinkCredentials; far: LinkCredentials }> | undefined;
async function relays() {
  made ??= Promise.all([testLinkCredentials('near', THEN), testLinkCredentials('far', THEN)]).then(
    ([near, far]) => ({ near, far }),
  );
  return made;
}

function pair(near: LinkCredentials | undefined, far: LinkCredentials, more: Partial<HandshakeParams> = {}) {
  const tls = { ...params('initiator').tls, peerCertificate: far.tls.certDer };
  const initiator = new Side(
    params('initiator', {
      credentials: near,
      tls,
      ownHosts: ['127.1.0.1'],
      remoteHost: '127.2.0.1',
      ...more,
    }),
  );
  const responder = new Side(
    params('responder', { credentials: far, ownHosts: ['127.2.0.1'], remoteHost: '127.1.0.1' }),
  );
  return { initiator, responder };
}

function talk({ initiator, responder }: ReturnType<typeof pair>) {
  for (let words = initiator.hear(); words.length > 0; ) words = initiator.hear(responder.hear(words));
}

test('two relays prove themselves to each other', async (t) => {
  const { near, far } = await relays();
  const sides = pair(near, far, { expected: { rsaId: far.rsaId, ed25519Id: far.ed25519Id } });
  talk(sides);
  const there = sides.initiator.machine.result!;
  const here = sides.responder.machine.result!;
  t.deepEqual(toHex(there.peer.ed25519Id!), toHex(far.ed25519Id));
  t.deepEqual(toHex(here.peer.rsaId!), toHex(near.rsaId));
  t.deepEqual(toHex(here.peer.ed25519Id!), toHex(near.ed25519Id));
  t.true(here.authenticated && there.authenticated && here.canonical && there.canonical);
  t.is(here.skew, 0);
});

test('a connection that goes while AUTHENTICATE is looked at is no mistake of ours', async (t) => {
  const { near, far } = await relays();
  const { initiator } = pair(near, far);
  const tls = {
    peerCertificate: undefined,
    exportKeyingMaterial() {
      throw Object.assign(new Error('the connection is gone'), { code: 'ECONNRESET' });
    },
  };
  const responder = new Side(params('responder', { credentials: far, tls }));
  t.throws(() => talk({ initiator, responder }), { instanceOf: CepaError, code: 'closed' });
});

test('a client stays nobody, and is told nothing of the network', async (t) => {
  const { far } = await relays();
  const sides = pair(undefined, far);
  talk(sides);
  const here = sides.responder.machine.result!;
  t.false(here.authenticated || here.canonical);
  t.deepEqual(here.peer, { rsaId: undefined, ed25519Id: undefined });
  t.is(here.skew, undefined);
  t.true(sides.initiator.machine.result!.authenticated);
});

test('another identity than expected is refused, before we say who we are', async (t) => {
  const { near, far } = await relays();
  for (const expected of [{ rsaId: near.rsaId }, { rsaId: far.rsaId, ed25519Id: near.ed25519Id }]) {
    const sides = pair(undefined, far, { expected });
    t.throws(() => talk(sides), { code: 'identity' });
    t.is(sides.initiator.machine.result, undefined);
  }
});

test('a certificate chain for another TLS connection is refused', async (t) => {
  const { near, far } = await relays();
  const tls = { ...params('initiator').tls, peerCertificate: near.tls.certDer };
  t.throws(() => talk(pair(undefined, far, { tls })), { message: /TLS certificate/ });
});

test('expired certificates are refused, on either side', async (t) => {
  const { near, far } = await relays();
  const late = () => THEN + 3 * DAY;
  t.throws(() => talk(pair(undefined, far, { now: late })), { message: /expired/ });
  const sides = pair(near, far);
  const lateResponder = new Side(params('responder', { credentials: far, now: late }));
  const words = lateResponder.hear(sides.initiator.hear());
  t.throws(() => lateResponder.hear(sides.initiator.hear(words)), { message: /expired/ });
});

test('a relay that answers on another connection than it was asked on is refused', async (t) => {
  const { near, far } = await relays();
  const tls = { peerCertificate: far.tls.certDer, exportKeyingMaterial: () => new Uint8Array(32) };
  t.throws(() => talk(pair(near, far, { tls })), { message: /another connection/ });
});

test('a clock that is off shows', async (t) => {
  const { far } = await relays();
  const sides = pair(undefined, far, { now: () => THEN - 2 * HOUR });
  talk(sides);
  t.is(sides.initiator.machine.result!.skew, -2 * HOUR);
});

const versionsCell = (...versions: number[]) => encodeNarrow(Command.VERSIONS, VERSIONS.encode({ versions }));

test('the highest common link protocol counts; 3 and less are not spoken', (t) => {
  for (const [versions, wanted] of [
    [[3, 4, 5], 5],
    [[4], 4],
    [[5, 9, 4], 5],
  ] as const) {
    const cells = captured[0]!;
    const side = new Side(params('initiator', { tls: tlsOf(asResponder) }));
    side.hear(versionsCell(...versions), hex(cells.responder_certs_cell), hex(cells.netinfo_cell));
    t.is(side.machine.result?.linkProtocol, wanted);
  }
  for (const versions of [[], [3], [1, 2, 3, 6]])
    t.throws(() => new Side(params('initiator')).hear(versionsCell(...versions)), {
      instanceOf: ProtocolError,
      message: /in common/,
    });
  t.throws(() => new Side(params('initiator')).hear(encodeNarrow(Command.VERSIONS, Buffer.of(0, 4, 0))), {
    instanceOf: DecodeError,
  });
});

test('cells out of order, twice, or not meant for a handshake are refused', (t) => {
  const versions = hex(asResponder.responder_versions);
  const certs = hex(asResponder.responder_certs_cell);
  const challenge = hex(asResponder.auth_challenge_cell);
  const netinfo = hex(asResponder.netinfo_cell);
  const withId = (cell: Uint8Array) => concat(Buffer.of(0, 0, 0, 1), cell.subarray(4));
  const wideVersions = encodeVariable(0, Command.VERSIONS, VERSIONS.encode({ versions: [5] }));
  const bad: Record<string, Uint8Array[]> = {
    'VERSIONS twice': [versions, wideVersions],
    'AUTH_CHALLENGE before CERTS': [versions, challenge],
    'NETINFO before CERTS': [versions, netinfo],
    'CERTS twice': [versions, certs, certs],
    'AUTH_CHALLENGE twice': [versions, certs, challenge, challenge],
    'CERTS after AUTH_CHALLENGE': [versions, certs, challenge, certs],
    'NETINFO twice': [versions, certs, challenge, netinfo, netinfo],
    'CERTS with a circuit id': [versions, withId(certs)],
    'AUTH_CHALLENGE with a circuit id': [versions, certs, withId(challenge)],
    'AUTHENTICATE to an initiator': [versions, certs, hex(asInitiator[0]!.authenticate_cell)],
    'PADDING in the handshake': [versions, encodeFixed(0, Command.PADDING, new Uint8Array(0))],
    'CREATE2 in the handshake': [versions, certs, encodeFixed(1, Command.CREATE2, new Uint8Array(0))],
    'CERTS without a body': [versions, encodeVariable(0, Command.CERTS, new Uint8Array(0))],
    'NETINFO of nonsense': [versions, certs, encodeFixed(0, Command.NETINFO, new Uint8Array(509).fill(255))],
  };
  for (const [name, cells] of Object.entries(bad)) {
    const side = new Side(params('initiator', { tls: tlsOf(asResponder) }));
    const error = t.throws(() => side.hear(...cells), { instanceOf: CepaError }, name);
    t.true(error instanceof ProtocolError || error instanceof DecodeError, name);
  }
});

test('a responder refuses what is out of order too', async (t) => {
  const { far } = await relays();
  const versions = versionsCell(4, 5);
  const certs = hex(asInitiator[0]!.initiator_certs_cell);
  const authenticate = hex(asInitiator[0]!.authenticate_cell);
  const challenge = hex(asResponder.auth_challenge_cell);
  const netinfo = hex(asInitiator[0]!.initiator_netinfo);
  const bad: Record<string, Uint8Array[]> = {
    'AUTHENTICATE before CERTS': [versions, authenticate],
    'CERTS twice': [versions, certs, certs],
    'AUTHENTICATE for another link': [versions, certs, authenticate],
    'AUTH_CHALLENGE to a responder': [versions, challenge],
    'NETINFO twice': [versions, netinfo, netinfo],
    'CERTS after NETINFO': [versions, netinfo, certs],
  };
  for (const [name, cells] of Object.entries(bad)) {
    const side = new Side(params('responder', { credentials: far }));
    t.throws(() => side.hear(...cells), { instanceOf: CepaError }, name);
  }
  // Certificates without AUTHENTICATE prove nothing.
  const side = new Side(params('responder', { credentials: far }));
  side.hear(versions, certs, netinfo);
  t.false(side.machine.result!.authenticated);
  t.is(side.machine.result!.peer.rsaId, undefined);
});

test('VPADDING, AUTHORIZE and unknown variable cells change nothing but the digests', async (t) => {
  const { near, far } = await relays();
  const sides = pair(near, far);
  const padding = encodeNarrow(Command.VPADDING, Buffer.alloc(20));
  const unknown = encodeVariable(0, 200, Buffer.alloc(30));
  const words = sides.responder.hear(sides.initiator.hear());
  const answer = sides.initiator.hear(words);
  t.notThrows(() => sides.responder.hear(answer));
  const other = pair(undefined, far);
  const reply = other.responder.hear(padding, other.initiator.hear(), unknown);
  other.responder.hear(other.initiator.hear(padding, reply));
  t.true(other.responder.machine.result !== undefined);
  t.true(other.initiator.machine.result !== undefined);
});

test('any bytes are refused or waited for', async (t) => {
  const { far } = await relays();
  const whole = concat(
    hex(asResponder.responder_versions),
    hex(asResponder.responder_certs_cell),
    hex(asResponder.auth_challenge_cell),
    hex(asResponder.netinfo_cell),
  );
  const mutated = fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 4 }).map((edits) => {
    const bytes = whole.slice();
    for (const [at, to] of edits) bytes[at] = to;
    return bytes;
  });
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 800 }), mutated), fc.boolean(), (bytes, initiator) => {
      const side = initiator
        ? new Side(params('initiator', { tls: tlsOf(asResponder) }))
        : new Side(params('responder', { credentials: far }));
      try {
        side.hear(bytes);
      } catch (error) {
        if (!(error instanceof CepaError)) throw error;
      }
      t.pass();
    }),
    { numRuns: 200 },
  );
});
