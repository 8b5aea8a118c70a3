import test from 'ava';
import { DestroyReason, HandshakeType } from '../shared/cell/commands.js';
import { type RelayName, specifiersOf } from '../shared/cell/link-specifiers.js';
import { EXTEND2 } from '../shared/cell/relay-cells.js';
import { linkError } from '../shared/link/errors.js';
import { fc } from '../shared/testing/properties.js';
import { isPrivate } from './addresses.js';
import { dialFailureReason, type ExtendRules, parseExtend } from './extend.js';

const rsaId = new Uint8Array(20).fill(1);
const ed25519Id = new Uint8Array(32).fill(2);
const ipv4 = { host: '203.0.113.5', port: 9001 };
const ipv6 = { host: '2001:db8::5', port: 9002 };
const nobody = { rsaId: undefined, ed25519Id: undefined };
const rules: ExtendRules = { allowPrivate: false, ipv6: true, ed25519Of: () => undefined };

const extend2 = (relay: RelayName, type: number = HandshakeType.NTOR) =>
  EXTEND2.encode({ specifiers: specifiersOf(relay), type, data: Buffer.alloc(84, 7) });

const targetOf = (body: Uint8Array, more: Partial<ExtendRules> = {}) => {
  const parsed = parseExtend(body, nobody, { ...rules, ...more });
  return 'refused' in parsed ? parsed.refused : parsed.target;
};

test('names the next relay and keeps the handshake as it came', (t) => {
  const parsed = parseExtend(extend2({ ipv4, ipv6, rsaId, ed25519Id }), nobody, rules);
  if ('refused' in parsed) return t.fail(parsed.refused);
  t.deepEqual(parsed.target.addresses, [ipv4, ipv6]);
  t.deepEqual(parsed.target.rsaId!, rsaId);
  t.deepEqual(parsed.target.ed25519Id!, ed25519Id);
  t.is(parsed.type, HandshakeType.NTOR);
  t.deepEqual(Buffer.from(parsed.data), Buffer.alloc(84, 7));
});

test('a handshake type this relay does not know is the next one’s business', (t) => {
  t.is(typeof targetOf(extend2({ ipv4, rsaId }, 99)), 'object');
});

test('fills in the ed25519 identity the consensus knows', (t) => {
  const target = targetOf(extend2({ ipv4, rsaId }), { ed25519Of: () => ed25519Id });
  t.deepEqual(target, { addresses: [ipv4], rsaId, ed25519Id });
});

test('without an IPv6 address of its own a relay dials IPv4 only', (t) => {
  const target = targetOf(extend2({ ipv4, ipv6, rsaId }), { ipv6: false });
  t.deepEqual(target, { addresses: [ipv4], rsaId });
});

const refused: [string, RelayName, number?][] = [
  ['no RSA identity', { ipv4, ed25519Id }],
  ['an RSA identity of zeros', { ipv4, rsaId: Buffer.alloc(20) }],
  ['no address', { rsaId, ed25519Id }],
  ['a loopback address', { ipv4: { host: '127.0.0.1', port: 9001 }, rsaId }],
  ['a private address', { ipv4: { host: '10.1.2.3', port: 9001 }, rsaId }],
  ['a private IPv6 address', { ipv6: { host: 'fd00::1', port: 9001 }, rsaId }],
  ['port 0', { ipv4: { host: '203.0.113.5', port: 0 }, rsaId }],
  ['address 0', { ipv4: { host: '0.0.0.0', port: 9001 }, rsaId }],
  ['TAP', { ipv4, rsaId }, HandshakeType.TAP],
  ['CREATE_FAST', { ipv4, rsaId }, HandshakeType.FAST],
];
for (const [what, relay, type] of refused)
  test(`refuses ${what}`, (t) => {
    t.is(typeof targetOf(extend2(relay, type)), 'string');
  });

test('refuses the previous hop by either identity', (t) => {
  const back = (peer: Parameters<typeof parseExtend>[1], more: Partial<ExtendRules> = {}) =>
    parseExtend(extend2({ ipv4, rsaId, ed25519Id }), peer, { ...rules, ...more });
  t.true('refused' in back({ rsaId, ed25519Id: undefined }));
  t.true('refused' in back({ rsaId: undefined, ed25519Id }));
  t.false('refused' in back({ rsaId: Buffer.alloc(20, 9), ed25519Id: Buffer.alloc(32, 9) }));
});

test('private addresses pass where they are allowed', (t) => {
  const address = { host: '127.0.0.1', port: 9001 };
  t.deepEqual(targetOf(extend2({ ipv4: address, rsaId }), { allowPrivate: true }), {
    addresses: [address],
    rsaId,
  });
});

test('a body cut anywhere is refused, not thrown', (t) => {
  const whole = extend2({ ipv4, ipv6, rsaId, ed25519Id });
  for (let n = 0; n < whole.length; n++)
    t.true('refused' in parseExtend(whole.subarray(0, n), nobody, rules));
});

test('any bytes are refused or name a relay that may be dialled', (t) => {
  const whole = extend2({ ipv4, ipv6, rsaId, ed25519Id });
  const mutated = fc
    .tuple(fc.nat(whole.length - 1), fc.uint8Array({ minLength: 1, maxLength: 8 }))
    .map(([at, bytes]) => {
      const body = Buffer.from(whole);
      body.set(bytes.subarray(0, body.length - at), at);
      return new Uint8Array(body);
    });
  fc.assert(
    fc.property(fc.oneof(mutated, fc.uint8Array({ maxLength: 498 })), (body) => {
      const parsed = parseExtend(body, nobody, rules);
      if ('refused' in parsed) return;
      t.is(parsed.target.rsaId?.length, 20);
      for (const { host, port } of parsed.target.addresses) t.true(!isPrivate(host) && port > 0);
    }),
  );
});

test('a failed dial becomes the reason for it', (t) => {
  t.is(dialFailureReason(linkError('identity', 'somebody else')), DestroyReason.OR_IDENTITY);
  t.is(dialFailureReason(linkError('connect', 'nobody')), DestroyReason.CONNECTFAILED);
  t.is(dialFailureReason(undefined), DestroyReason.CONNECTFAILED);
});
