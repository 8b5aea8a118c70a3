import test from 'ava';
import { NodeSetError, parseNodeSet } from './node-set.js';

const id = 'ABCDEF0123456789ABCDEF0123456789ABCDEF01';
const relay = {
  id,
  nickname: 'Cepa1',
  address: '10.20.30.40',
  orPort: 9001,
  ipv6: { host: '2001:db8::1', port: 9002 },
};

const matching = [
  id,
  `$${id}`,
  id.toLowerCase(),
  `$${id}=Other`,
  `$${id}~Other`,
  'cepa1',
  '10.20.30.40',
  '10.20.0.0/16',
  '10.20.0.0/255.255.0.0',
  '10.20.30.41/31',
  '10.20.30.40:9001',
  '*:9000-9001',
  '[2001:db8::]/32',
  '[2001:db8::1]:9002',
  '10.20.30.40:*',
  '*',
];
for (const entry of matching)
  test(`matches ${entry}`, (t) => t.true(parseNodeSet('ExcludeNodes', [entry]).has(relay)));

const other = [
  '00'.repeat(20),
  'cepa',
  '10.21.0.0/16',
  '10.20.30.40:9003',
  '*:80',
  '[2001:db9::]/32',
  '10.20.30.42/31',
];
for (const entry of other)
  test(`does not match ${entry}`, (t) => t.false(parseNodeSet('ExcludeNodes', [entry]).has(relay)));

for (const entry of [
  '{us}',
  '{??}',
  'a b',
  'way-too-odd',
  '1.2.3',
  '1.2.3.4/33',
  '1.2.3.4:0',
  '1.2.3.4:90-80',
  '[::1',
  'x'.repeat(20),
])
  test(`refuses ${entry}`, (t) => {
    const error = t.throws(() => parseNodeSet('ExitNodes', [entry]), { instanceOf: NodeSetError });
    t.true(error?.message.includes('ExitNodes') && error.message.includes(entry));
  });

test('the country refusal says why', (t) => {
  t.throws(() => parseNodeSet('ExitNodes', ['{de}']), { message: /GeoIP/ });
});

test('lists may hold commas; no entries make an empty set', (t) => {
  const set = parseNodeSet('ExcludeNodes', ['foo, 1.1.1.1', 'cepa1']);
  t.true(set.has(relay));
  t.false(set.empty);
  t.true(parseNodeSet('ExcludeNodes', []).empty);
});
