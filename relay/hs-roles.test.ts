import test from 'ava';
import { DestroyReason, RelayCommand } from '../shared/cell/commands.js';
import { INTRODUCE_ACK, INTRODUCE1, IntroduceStatus, RENDEZVOUS1 } from '../shared/cell/hs-cells.js';
import { generateEd25519 } from '../shared/crypto/ed25519.js';
import { makeEstablishIntro } from '../shared/hs/establish.js';
import { memoryLog } from '../shared/log/memory.js';
import { HandClock } from '../shared/onion/testing.js';
import { testRandom } from '../shared/testing/random.js';
import type { EndCircuit } from './hs-circuit.js';
import { HsRoles } from './hs-roles.js';

const random = testRandom('hs roles');

class FakeCircuit implements EndCircuit {
  readonly kh = random.bytes(20);
  atEnd = true;
  fromClient = false;
  closed = false;
  reason: number | undefined;
  joined: EndCircuit | undefined;
  readonly sent: { command: number; data: Uint8Array }[] = [];
  readonly roles: HsRoles;

  constructor(roles: HsRoles) {
    this.roles = roles;
  }
  send(command: number, data: Uint8Array): void {
    if (!this.closed) this.sent.push({ command, data });
  }
  join(other: EndCircuit): void {
    this.joined = other;
    this.atEnd = false;
    (other as FakeCircuit).atEnd = false;
  }
  close(reason: number): void {
    if (this.closed) return;
    this.closed = true;
    this.reason = reason;
    this.roles.closed(this);
  }
  get last() {
    return this.sent.at(-1);
  }
}

function relay(params: Readonly<Record<string, number>> = {}) {
  const clock = new HandClock();
  const roles = new HsRoles({ clock, log: memoryLog(), param: (name, fallback) => params[name] ?? fallback });
  const circuit = () => new FakeCircuit(roles);
  const key = generateEd25519(random);
  const service = circuit();
  const establish = (dos?: { rate: bigint; burst: bigint }, on = service) =>
    roles.message(on, RelayCommand.ESTABLISH_INTRO, makeEstablishIntro(key, on.kh, dos));
  const introduce1 = INTRODUCE1.encode({
    authKey: key.publicKey,
    extensions: [],
    encrypted: random.bytes(200),
  });
  /** Introduces one more client; the status it got. */
  const introduce = (body = introduce1): number | undefined => {
    const client = circuit();
    roles.message(client, RelayCommand.INTRODUCE1, body);
    return client.last && INTRODUCE_ACK.decode(client.last.data).status;
  };
  return { clock, roles, circuit, service, establish, introduce, introduce1, key };
}

test('a service is introduced to the clients that know its key', (t) => {
  const { service, establish, introduce, introduce1 } = relay();
  t.is(introduce(), IntroduceStatus.UNKNOWN_ID);
  establish();
  t.is(service.last!.command, RelayCommand.INTRO_ESTABLISHED);
  t.is(introduce(), IntroduceStatus.SUCCESS);
  t.is(service.last!.command, RelayCommand.INTRODUCE2);
  t.deepEqual(service.last!.data, introduce1);
  service.close(DestroyReason.FINISHED);
  t.is(introduce(), IntroduceStatus.UNKNOWN_ID);
});

test('a new circuit takes the place of the one with the same key', (t) => {
  const { service, establish, introduce, circuit } = relay();
  establish();
  const again = circuit();
  establish(undefined, again);
  t.is(service.reason, DestroyReason.FINISHED);
  t.is(introduce(), IntroduceStatus.SUCCESS);
  t.is(again.last!.command, RelayCommand.INTRODUCE2);
});

test('ESTABLISH_INTRO made for another circuit, or sent twice, ends the circuit', (t) => {
  const { roles, circuit, service, establish, key } = relay();
  const other = circuit();
  roles.message(other, RelayCommand.ESTABLISH_INTRO, makeEstablishIntro(key, random.bytes(20), undefined));
  t.is(other.reason, DestroyReason.PROTOCOL);
  establish();
  establish();
  t.is(service.reason, DestroyReason.PROTOCOL);
  t.is(roles.status().introPoints, 0);
});

test('a malformed or oversized INTRODUCE1 gets status 2, a second one on a circuit ends it', (t) => {
  const { roles, circuit, establish, introduce, introduce1 } = relay();
  establish();
  t.is(introduce(new Uint8Array(30)), IntroduceStatus.BAD_FORMAT);
  t.is(introduce(new Uint8Array(491)), IntroduceStatus.BAD_FORMAT);
  const client = circuit();
  roles.message(client, RelayCommand.INTRODUCE1, introduce1);
  roles.message(client, RelayCommand.INTRODUCE1, introduce1);
  t.is(client.reason, DestroyReason.PROTOCOL);
});

test('a service is spared more introductions than it asked for', (t) => {
  const { clock, establish, introduce } = relay();
  establish({ rate: 2n, burst: 4n });
  const statuses = (n: number) => Array.from({ length: n }, () => introduce());
  t.deepEqual(statuses(5), [0, 0, 0, 1, 1]);
  clock.pass(1000);
  t.deepEqual(statuses(2), [0, 1]);
  clock.pass(60_000);
  t.deepEqual(statuses(4), [0, 0, 0, 1]);
});

test('the consensus decides where the service says nothing; zero and nonsense are no limit', (t) => {
  const params = {
    HiddenServiceEnableIntroDoSDefense: 1,
    HiddenServiceEnableIntroDoSRatePerSec: 1,
    HiddenServiceEnableIntroDoSBurstPerSec: 2,
  };
  const by = (dos?: { rate: bigint; burst: bigint }) => {
    const { establish, introduce } = relay(params);
    establish(dos);
    return [introduce(), introduce(), introduce()];
  };
  t.deepEqual(by(), [0, 1, 1]);
  t.deepEqual(by({ rate: 0n, burst: 0n }), [0, 0, 0]);
  t.deepEqual(by({ rate: 5n, burst: 1n }), [0, 0, 0]);
});

const cookie = random.bytes(20);
const rendezvous1 = RENDEZVOUS1.encode({ cookie, handshake: random.bytes(148) });

test('a cookie joins the client that waits under it to the service that brings it, once', (t) => {
  const { roles, circuit } = relay();
  const [client, service, late] = [circuit(), circuit(), circuit()];
  roles.message(client, RelayCommand.ESTABLISH_RENDEZVOUS, cookie);
  t.is(client.last!.command, RelayCommand.RENDEZVOUS_ESTABLISHED);
  roles.message(service, RelayCommand.RENDEZVOUS1, rendezvous1);
  t.is(client.last!.command, RelayCommand.RENDEZVOUS2);
  t.deepEqual(client.last!.data, rendezvous1.subarray(20));
  t.is(client.joined, service);
  roles.message(late, RelayCommand.RENDEZVOUS1, rendezvous1);
  t.is(late.reason, DestroyReason.PROTOCOL);
  t.is(client.closed, false);
});

test('a cookie in use, a cookie of another length, or one nobody waits under ends the circuit', (t) => {
  const { roles, circuit } = relay();
  const [client, second, short] = [circuit(), circuit(), circuit()];
  roles.message(client, RelayCommand.ESTABLISH_RENDEZVOUS, cookie);
  roles.message(second, RelayCommand.ESTABLISH_RENDEZVOUS, cookie);
  t.is(second.reason, DestroyReason.PROTOCOL);
  roles.message(short, RelayCommand.ESTABLISH_RENDEZVOUS, cookie.subarray(1));
  t.is(short.reason, DestroyReason.PROTOCOL);
  t.is(roles.status().rendezvousWaiting, 1);
  client.close(DestroyReason.FINISHED);
  t.is(roles.status().rendezvousWaiting, 0);
  const service = circuit();
  roles.message(service, RelayCommand.RENDEZVOUS1, rendezvous1);
  t.is(service.reason, DestroyReason.PROTOCOL);
});

test('one circuit has one role, at the end of its path, and more than one hop', (t) => {
  const { roles, circuit, service, establish, introduce1 } = relay();
  establish();
  roles.message(service, RelayCommand.ESTABLISH_RENDEZVOUS, cookie);
  t.is(service.reason, DestroyReason.PROTOCOL);

  const onward = circuit();
  onward.atEnd = false;
  roles.message(onward, RelayCommand.RENDEZVOUS1, rendezvous1);
  t.is(onward.reason, DestroyReason.PROTOCOL);

  const near = circuit();
  near.fromClient = true;
  roles.message(near, RelayCommand.ESTABLISH_RENDEZVOUS, cookie);
  roles.message(near, RelayCommand.INTRODUCE1, introduce1);
  t.deepEqual(near.sent, []);
  t.false(roles.message(near, RelayCommand.DATA, cookie));
});

test('an introduction over a single hop ends the circuit, also where rendezvous points take such clients', (t) => {
  const { roles, circuit, establish, introduce1, service } = relay({ DoSRefuseSingleHopClientRendezvous: 0 });
  establish();
  const near = circuit();
  near.fromClient = true;
  roles.message(near, RelayCommand.INTRODUCE1, introduce1);
  t.is(near.reason, DestroyReason.PROTOCOL);
  t.deepEqual(near.sent, []);
  t.is(service.last!.command, RelayCommand.INTRO_ESTABLISHED);
});

test('what became of each message is counted', (t) => {
  const { roles, circuit, establish, introduce, introduce1 } = relay();
  const { actions } = roles.status();
  const happened = () =>
    Object.entries(actions).flatMap(([message, counts]) =>
      Object.entries(counts).flatMap(([outcome, count]) => (count ? [`${message} ${outcome} ${count}`] : [])),
    );
  t.deepEqual(happened(), []);
  introduce();
  introduce(new Uint8Array(30));
  establish({ rate: 1n, burst: 2n });
  introduce();
  introduce();
  const client = circuit();
  roles.message(client, RelayCommand.INTRODUCE1, introduce1);
  roles.message(client, RelayCommand.INTRODUCE1, introduce1);
  roles.message(circuit(), RelayCommand.ESTABLISH_INTRO, new Uint8Array(10));

  const waiting = circuit();
  roles.message(waiting, RelayCommand.ESTABLISH_RENDEZVOUS, cookie);
  roles.message(circuit(), RelayCommand.ESTABLISH_RENDEZVOUS, cookie);
  roles.message(waiting, RelayCommand.ESTABLISH_RENDEZVOUS, cookie);
  roles.message(circuit(), RelayCommand.ESTABLISH_RENDEZVOUS, cookie.subarray(1));
  const near = circuit();
  near.fromClient = true;
  roles.message(near, RelayCommand.ESTABLISH_RENDEZVOUS, cookie);
  roles.message(near, RelayCommand.INTRODUCE1, introduce1);
  roles.message(circuit(), RelayCommand.RENDEZVOUS1, rendezvous1);
  t.deepEqual(happened(), [
    'estIntro success 1',
    'estIntro malformed 1',
    'estRend success 1',
    'estRend unsuitable_circuit 1',
    'estRend single_hop 1',
    'estRend malformed 1',
    'estRend duplicate_cookie 1',
    'intro1 success 1',
    'intro1 malformed 1',
    'intro1 unknown_service 1',
    'intro1 rate_limited 2',
    'intro1 circuit_reused 1',
    'intro1 single_hop 1',
    'rend1 unknown_cookie 1',
  ]);
});
