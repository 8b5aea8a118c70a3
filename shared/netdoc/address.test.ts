import test from 'ava';
import { fc } from '../testing/properties.js';
import { formatAddressPort, formatIp, parseAddressPort, parseIp, parseIpv4, parseIpv6 } from './address.js';

for (const text of [
  '0.0.0.0',
  '255.255.255.255',
  '::',
  '::1',
  '1::',
  '2001:db8::1',
  'fe80::1:0:0:1',
  '::ffff:1.2.3.4',
  '::1.2.3.4',
  '1:0:2:3:4:5:6:7',
])
  test(`${text} is written as C tor writes it`, (t) => {
    t.is(formatIp(parseIp(text) ?? new Uint8Array(4)), text);
  });

const bad = [
  '',
  '1.2.3',
  '1.2.3.4.5',
  '01.2.3.4',
  '1.2.3.256',
  '1.2.3.4 ',
  ':',
  ':::',
  '1::2::3',
  '1:2:3:4:5:6:7',
  '12345::',
];
for (const text of [
  ...bad,
  '1:2:3:4:5:6:7:8:9',
  '::g',
  '::1%eth0',
  '1.2.3.4::',
  '::1.2.3',
  '1:2:3:4:5:6:7::8',
])
  test(`${JSON.stringify(text)} is no address`, (t) => {
    t.is(parseIp(text), undefined);
  });

test('addresses round-trip', (t) => {
  const zeros = fc.array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 255 })), {
    minLength: 16,
    maxLength: 16,
  });
  fc.assert(
    fc.property(zeros, (bytes) => {
      const six = Uint8Array.from(bytes);
      const four = six.slice(0, 4);
      t.deepEqual(parseIpv6(formatIp(six)), six);
      t.deepEqual(parseIpv4(formatIp(four)), four);
    }),
  );
});

test('address and port', (t) => {
  for (const text of ['1.2.3.4:80', '[2001:db8::1]:9001']) {
    const at = parseAddressPort(text);
    t.is(at && formatAddressPort(at), text);
  }
  for (const text of [
    '1.2.3.4',
    '1.2.3.4:0',
    '1.2.3.4:65536',
    '[::1]',
    '::1:80',
    '[1.2.3.4]:80',
    '',
    ':80',
    ']:80',
  ])
    t.is(parseAddressPort(text), undefined, text);
});
