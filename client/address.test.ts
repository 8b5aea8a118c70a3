import test from 'ava';
import { fc } from '../shared/testing/properties.js';
import { ipBytes, ipText, parseHost, reverseName, subnetOf } from './address.js';
import { isInternal } from './internal-address.js';

test('addresses that are internal, and some that are not', (t) => {
  const internal =
    '0.0.0.0 0.1.2.3 10.1.2.3 127.0.0.1 169.254.1.1 172.16.0.1 172.31.255.255 192.168.0.1 100.64.0.1 :: ::1 fe80::1 fc00::1 fec0::1 ::ffff:10.0.0.1';
  for (const address of internal.split(' ')) t.true(isInternal(address), address);
  for (const address of ['8.8.8.8', '172.32.0.1', '203.0.113.9', '2001:db8::1', '2600::1', 'site.example'])
    t.false(isInternal(address), address);
});

test('hosts: literals in canonical form, names in lower case, nothing else', (t) => {
  t.deepEqual(parseHost('1.2.3.4'), { kind: 'ipv4', text: '1.2.3.4' });
  t.deepEqual(parseHost('[2001:DB8:0::1]'), { kind: 'ipv6', text: '2001:db8::1' });
  t.deepEqual(parseHost('WWW.Example.com.'), { kind: 'name', text: 'www.example.com.' });
  t.deepEqual(parseHost('_dmarc.a_b'), { kind: 'name', text: '_dmarc.a_b' });
  for (const wrong of [
    '',
    '.',
    'a..b',
    '-a',
    'a b',
    'a/b',
    'a:80',
    '[::1',
    '[1.2.3.4x]',
    '[name]',
    'a\0b',
    'ü',
    'x'.repeat(64),
    `${'a.'.repeat(130)}a`,
  ])
    t.is(parseHost(wrong), undefined, wrong);
});

test("address bytes and text are each other's inverse", (t) => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array({ minLength: 4, maxLength: 4 }),
        fc.uint8Array({ minLength: 16, maxLength: 16 }),
      ),
      (bytes) => {
        const back = ipBytes(ipText(bytes));
        return back !== undefined && Buffer.from(back).equals(Buffer.from(bytes));
      },
    ),
  );
  t.is(ipBytes('1.2.3'), undefined);
  t.is(ipBytes('01.2.3.4'), undefined);
  t.is(ipBytes('fe80::1%eth0'), undefined);
});

test('any text is a host, or none, and a host reads back as itself', (t) => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      const host = parseHost(text);
      if (host) t.deepEqual(parseHost(host.text), host);
    }),
  );
});

test('reverse names and subnets', (t) => {
  t.is(reverseName(Uint8Array.of(1, 2, 3, 4)), '4.3.2.1.in-addr.arpa');
  t.is(
    reverseName(ipBytes('2001:db8::1')!),
    '1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa',
  );
  t.is(subnetOf('10.1.2.3'), subnetOf('10.1.200.3'));
  t.not(subnetOf('10.1.2.3'), subnetOf('10.2.2.3'));
  t.is(subnetOf('2001:db8:1::1'), subnetOf('2001:db8:2::1'));
  t.not(subnetOf('2001:db8::1'), subnetOf('2001:db9::1'));
  t.is(subnetOf('site.example'), undefined);
});
