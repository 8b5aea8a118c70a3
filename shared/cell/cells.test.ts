import test from 'ava';
import { DecodeError } from '../bytes/errors.js';
import { bytesOf, fromHex, toHex } from '../bytes/text.js';
import { fc } from '../testing/properties.js';
import { vectors } from '../testing/vectors.js';
import { bytesToHost, canonicalHost, hostToBytes } from './addresses.js';
import * as channelCells from './channel-cells.js';
import type { Codec } from './codec.js';
import { LINK_SPECIFIERS, type LinkSpecifier, relayNamed, specifiersOf } from './link-specifiers.js';
import * as relayCells from './relay-cells.js';

const { BEGIN, CONNECTED, END, EXTEND2, RESOLVE, RESOLVED, SENDME, XOFF, XON } = relayCells;

interface Vector {
  name: string;
  body: string;
  fields?: Record<string, unknown>;
  body_prefix?: string;
  answers?: 'reject' | { ipv4?: string; ipv6?: string; hostname?: string; ttl: number }[];
  errcode?: number;
  expect?: string | { address: string; port: number; flags: number };
}
const { vectors: cells } = vectors<{ vectors: Vector[] }>('cells.json');
const named = (name: string) => cells.filter((vector) => vector.name === name);
const hex = (text: string) => fromHex(text, 'vector');

function both<T>(t: { deepEqual(a: unknown, b: unknown): boolean }, codec: Codec<T>, value: T, body: string) {
  t.deepEqual(toHex(codec.encode(value)), body.toUpperCase());
  t.deepEqual(codec.encode(codec.decode(hex(body))), codec.encode(value));
}

test('conflux, flow and padding messages are those of C tor', (t) => {
  for (const { body, fields } of named('CONFLUX_LINK')) {
    const value = {
      version: 1,
      nonce: hex(fields!.nonce as string),
      lastSent: 5n,
      lastReceived: 7n,
      desiredUx: fields!.desired_ux as number,
    };
    both(t, relayCells.CONFLUX_LINK, value, body);
  }
  both(t, relayCells.CONFLUX_SWITCH, { sequence: 99 }, named('CONFLUX_SWITCH')[0]!.body);
  both(t, XON, { version: 0, kbps: 1234 }, named('XON')[0]!.body);
  both(t, XOFF, { version: 0 }, named('XOFF')[0]!.body);
  const [start, stop] = named('PADDING_NEGOTIATE');
  both(t, channelCells.PADDING_NEGOTIATE, { version: 0, command: 2, low: 1500, high: 9500 }, start!.body);
  both(t, channelCells.PADDING_NEGOTIATE, { version: 0, command: 1, low: 0, high: 0 }, stop!.body);
  const negotiate = { version: 0, command: 2, machine: 1, echo: 0, counter: 1 };
  both(t, relayCells.PADDING_NEGOTIATE, negotiate, named('relay PADDING_NEGOTIATE')[0]!.body);
  const negotiated = { version: 0, command: 2, response: 1, machine: 1, counter: 1 };
  both(t, relayCells.PADDING_NEGOTIATED, negotiated, named('relay PADDING_NEGOTIATED')[0]!.body);
});

test('CONNECTED carries either family', (t) => {
  const [v4, v6] = named('relay CONNECTED');
  both(t, CONNECTED, { address: '30.40.50.60', ttl: 1024 }, v4!.body);
  both(t, CONNECTED, { address: canonicalHost('2620:0:6b0:b:1a1a:0:26e5:480e'), ttl: 3600 }, v6!.body);
  t.deepEqual(CONNECTED.decode(hex('')), { address: undefined, ttl: undefined });
  t.deepEqual(CONNECTED.decode(hex('01020304')), { address: '1.2.3.4', ttl: undefined });
  t.throws(() => CONNECTED.decode(hex('0000000004')), { instanceOf: DecodeError });
});

test('BEGIN is read as C tor reads it', (t) => {
  for (const { body, expect } of named('relay BEGIN')) {
    if (typeof expect === 'string') {
      t.throws(() => BEGIN.decode(hex(body)), { instanceOf: DecodeError });
      continue;
    }
    const { address, port, flags } = expect!;
    t.deepEqual(BEGIN.decode(hex(body)), { host: address, port, flags });
  }
  const bad = ['a.b:0', 'a.b:65536', 'a.b', '[::1:80', 'a:b:80', '[a.b]:80', '::1:80', 'a.b:-1', 'a.b:'];
  for (const text of bad)
    t.throws(() => BEGIN.decode(bytesOf(`${text}\0`)), { instanceOf: DecodeError }, text);
  for (const host of ['::1', 'example.com', '127.0.0.1', ''])
    t.deepEqual(BEGIN.decode(BEGIN.encode({ host, port: 80, flags: 5 })), { host, port: 80, flags: 5 });
});

test('RESOLVED answers and refusals are those of C tor', (t) => {
  for (const { name, body, answers, errcode } of cells.filter(({ name }) =>
    name.startsWith('relay RESOLVED'),
  )) {
    if (answers === 'reject') {
      t.throws(() => RESOLVED.decode(hex(body)), { instanceOf: DecodeError }, name);
      continue;
    }
    const got = RESOLVED.decode(hex(body)).answers;
    const wanted = answers!.map(({ ipv4, ipv6, hostname, ttl }) =>
      hostname
        ? { type: 'name', name: hostname, ttl }
        : { type: 'address', address: canonicalHost(ipv4 ?? ipv6!), ttl },
    );
    t.deepEqual(
      got.filter((answer) => answer.type !== 'error'),
      wanted as never,
      name,
    );
    const error = got.find((answer) => answer.type === 'error');
    t.is(error?.type === 'error' ? (error.transient ? 240 : 241) : 0, errcode!, name);
    if (answers!.length > 0) t.deepEqual(toHex(RESOLVED.encode({ answers: got })), body.toUpperCase(), name);
  }
  t.is(RESOLVE.decode(RESOLVE.encode({ name: 'x.example' })).name, 'x.example');
});

test('SENDME v1 is that of C tor', (t) => {
  const file = vectors<{ vectors: Record<string, string>[] }>('sendme-v1.json');
  for (const vector of file.vectors) {
    const tag = hex(vector.triggering_cell_running_digest_20 ?? vector.cgo_tag_16!);
    both(t, SENDME, { version: 1, tag }, vector.sendme_v1_relay_body!);
  }
  t.deepEqual(SENDME.decode(hex('')), { version: 0 });
  t.throws(() => SENDME.decode(hex('02')), { instanceOf: DecodeError });
  t.throws(() => SENDME.decode(hex('01001400')), { instanceOf: DecodeError });
  t.throws(() => SENDME.decode(hex('01000101')), { instanceOf: DecodeError });
});

test('EXTEND2 orders its specifiers as C tor does', (t) => {
  const [three] = cells.filter(({ name }) => name.startsWith('EXTEND2 body, 3'));
  const [four] = cells.filter(({ name }) => name.startsWith('EXTEND2 body, 4'));
  const ipv4 = { host: '18.244.0.1', port: 61681 };
  const ipv6 = { host: canonicalHost('2002::f0:c51e'), port: 4370 };
  const rsaId = bytesOf('anthropomorphization');
  const ed25519Id = bytesOf('brownshoesdontmakeit/brownshoesd');
  const data = hex((three!.fields as { handshake: string }).handshake);
  both(t, EXTEND2, { specifiers: specifiersOf({ ipv4, rsaId, ipv6 }), type: 2, data }, three!.body);
  const all = EXTEND2.encode({
    specifiers: specifiersOf({ ipv4, rsaId, ed25519Id, ipv6 }),
    type: 0x105,
    data: new Uint8Array(0x63),
  });
  t.true(toHex(all).startsWith(four!.body_prefix!.toUpperCase()));
  const name = relayNamed(EXTEND2.decode(all).specifiers);
  t.deepEqual(name.ipv4, ipv4);
  t.deepEqual(name.ipv6, ipv6);
  t.deepEqual(toHex(name.rsaId!), toHex(rsaId));
  t.deepEqual(toHex(name.ed25519Id!), toHex(ed25519Id));
});

test('link specifiers: wrong sizes and double identities are refused, unknown types kept', (t) => {
  const rsa: LinkSpecifier = { type: 'rsa', id: new Uint8Array(20) };
  t.throws(() => relayNamed([rsa, rsa]), { instanceOf: DecodeError });
  t.throws(() => LINK_SPECIFIERS.decode(hex('01000401020304')), { instanceOf: DecodeError });
  t.throws(() => LINK_SPECIFIERS.decode(hex('0102')), { instanceOf: DecodeError });
  const kept = LINK_SPECIFIERS.decode(hex('01090141'));
  t.deepEqual(toHex(LINK_SPECIFIERS.encode(kept)), '01090141');
});

test('END tells the refused address', (t) => {
  for (const address of ['1.2.3.4', '2001:db8::1']) {
    const body = END.encode({ reason: 4, address, ttl: 60 });
    t.deepEqual(END.decode(body), { reason: 4, address, ttl: 60 });
  }
  t.deepEqual(END.decode(hex('')), { reason: 1 });
  t.deepEqual(END.decode(hex('06')), { reason: 6 });
});

test('NETINFO leaves out what it does not know', (t) => {
  const body = { timestamp: 1_700_000_000, peer: '1.2.3.4', own: ['5.6.7.8', '2001:db8::1'] };
  t.deepEqual(channelCells.NETINFO.decode(channelCells.NETINFO.encode(body)), body);
  t.deepEqual(channelCells.NETINFO.decode(hex('000000000404000000000109020102')), {
    timestamp: 0,
    peer: undefined,
    own: [],
  });
  t.throws(() => channelCells.NETINFO.decode(hex('00000000040400')), { instanceOf: DecodeError });
});

test('handshake data has limits', (t) => {
  const { CREATE2, CREATED2 } = channelCells;
  t.throws(() => CREATED2.decode(Buffer.concat([hex('01F1'), Buffer.alloc(507)])), {
    instanceOf: DecodeError,
  });
  t.throws(() => CREATE2.decode(Buffer.concat([hex('000201FA'), Buffer.alloc(505)])), {
    instanceOf: DecodeError,
  });
  t.throws(() => CREATED2.encode({ data: new Uint8Array(497) }), { instanceOf: RangeError });
  t.throws(() => CREATED2.decode(hex('0004')), { message: /^CREATED2\.data/ });
});

test('addresses have one spelling', (t) => {
  t.is(canonicalHost('::ffff:1.2.3.4'), '1.2.3.4');
  t.is(canonicalHost('2001:0DB8::0001'), '2001:db8::1');
  t.is(canonicalHost('example'), 'example');
  for (const bad of ['', '1.2.3', '01.2.3.256', '::1%lo', 'a', '1.2.3.4:5', '0x7f.1'])
    t.throws(() => hostToBytes(bad), { instanceOf: DecodeError }, bad);
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
      t.deepEqual(hostToBytes(bytesToHost(bytes)), bytes);
    }),
    { numRuns: 200 },
  );
});

test('every decoder survives any bytes, and what it accepts is stable', (t) => {
  const exported: unknown[] = [...Object.values(channelCells), ...Object.values(relayCells), LINK_SPECIFIERS];
  const codecs = exported.filter(
    (value): value is Codec<unknown> => typeof value === 'object' && value !== null && 'decode' in value,
  );
  t.true(codecs.length > 22);
  const valid = cells.map(({ body }) => (body ? hex(body) : hex('')));
  const mutated = fc
    .tuple(fc.constantFrom(...valid), fc.nat(200), fc.nat(255))
    .map(([bytes, at, to]) => bytes.map((byte, i) => (i === at ? to : byte)));
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 520 }), mutated), (bytes) => {
      for (const codec of codecs) {
        let value: unknown;
        try {
          value = codec.decode(bytes);
        } catch (error) {
          if (!(error instanceof DecodeError)) throw error;
          continue;
        }
        const encoded = codec.encode(value);
        t.deepEqual(codec.encode(codec.decode(encoded)), encoded, codec.name);
      }
    }),
    { numRuns: 1500 },
  );
});
