import test from 'ava';
import ipaddr from 'ipaddr.js';
import { fc } from '../testing/properties.js';
import { ipv4Bytes } from './addresses.js';

const WRONG = [
  '',
  '1',
  '1.2.3',
  '1.2.3.',
  '1.2.3.4.',
  '1.2.3.4.5',
  '.1.2.3',
  '1..2.3',
  '01.2.3.4',
  '1.2.3.00',
];
const ALSO_WRONG = [
  '256.1.1.1',
  '1.1.1.999999999999',
  '1.2.3.4 ',
  '+1.2.3.4',
  '1.2.3.a',
  '0x1.2.3.4',
  '::1',
  '１.2.3.4',
];

test('IPv4 literals are four numbers, and nothing else is one', (t) => {
  t.deepEqual(ipv4Bytes('127.0.0.1'), Uint8Array.of(127, 0, 0, 1));
  t.deepEqual(ipv4Bytes('255.255.255.255'), Uint8Array.of(255, 255, 255, 255));
  for (const text of [...WRONG, ...ALSO_WRONG]) t.is(ipv4Bytes(text), undefined, text);
});

test('IPv4 literals are those of ipaddr.js', (t) => {
  const part = fc.oneof(fc.integer({ min: 0, max: 300 }).map(String), fc.constantFrom('00', '01', '', 'x'));
  const text = fc.array(part, { minLength: 3, maxLength: 5 }).map((parts) => parts.join('.'));
  fc.assert(
    fc.property(fc.oneof(text, fc.ipV4(), fc.string({ maxLength: 20 })), (host) => {
      const right = ipaddr.IPv4.isValidFourPartDecimal(host);
      t.deepEqual(
        ipv4Bytes(host),
        right ? Uint8Array.from(ipaddr.IPv4.parse(host).toByteArray()) : undefined,
        host,
      );
    }),
  );
});
