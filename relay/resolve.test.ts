import test from 'ava';
import { RESOLVE, RESOLVED } from '../shared/cell/relay-cells.js';
import { ResolveError } from '../shared/runtime/resolve-error.js';
import type { Resolver } from '../shared/runtime/types.js';
import { fc } from '../shared/testing/properties.js';
import { testRandom } from '../shared/testing/random.js';
import { addressOfReverseName, isPrivate } from './addresses.js';
import { answerResolve, blurTtl, type NameRules } from './resolve.js';

const rules: NameRules = { isExit: true, ipv6: true, anyName: false };
const resolver: Resolver = {
  resolve: async (name) => {
    if (name === 'both.example')
      return [
        { address: '2001:db8::7', family: 6, ttl: 5 },
        { address: '203.0.113.7', family: 4, ttl: 5 },
        { address: '203.0.113.8', family: 4, ttl: 5 },
      ];
    throw new ResolveError(name === 'slow.example' ? 'timeout' : 'notfound', name);
  },
  reverse: async (address) => {
    if (address === '203.0.113.7' || address === '2001:db8::7') return [{ name: 'both.example', ttl: 9 }];
    throw new ResolveError('notfound', address);
  },
};

const ask = async (name: string, more: Partial<NameRules> = {}) =>
  RESOLVED.decode(await answerResolve(RESOLVE.encode({ name }), { ...rules, ...more }, resolver)).answers;
const ttl = 60;
const error = [{ type: 'error', transient: false, ttl }];

test('gives the first address of each family, IPv4 first', async (t) => {
  t.deepEqual(await ask('Both.Example'), [
    { type: 'address', address: '203.0.113.7', ttl },
    { type: 'address', address: '2001:db8::7', ttl },
  ]);
  t.deepEqual(await ask('both.example', { ipv6: false }), [{ type: 'address', address: '203.0.113.7', ttl }]);
});

test('says whether trying again may help', async (t) => {
  t.deepEqual(await ask('nobody.example'), error);
  t.deepEqual(await ask('slow.example'), [{ type: 'error', transient: true, ttl }]);
});

test('answers reverse names of both families', async (t) => {
  const name = [{ type: 'name', name: 'both.example', ttl }];
  t.deepEqual(await ask('7.113.0.203.in-addr.arpa'), name);
  t.deepEqual(await ask(`7.${'0.'.repeat(23)}8.b.d.0.1.0.0.2.ip6.arpa`), name);
  t.deepEqual(await ask('1.0.0.127.in-addr.arpa'), error);
  t.deepEqual(await ask('1.2.3.in-addr.arpa'), error);
});

test('looks nothing up for names that are none, or where this is no exit', async (t) => {
  const asked: string[] = [];
  const noting: Resolver = {
    ...resolver,
    resolve: async (name) => {
      asked.push(name);
      return [];
    },
  };
  const look = (name: string, more: Partial<NameRules> = {}) =>
    answerResolve(RESOLVE.encode({ name }), { ...rules, ...more }, noting);
  await look('no such name');
  await look('');
  await look('both.example', { isExit: false });
  t.deepEqual(asked, []);
  await look('odd name', { anyName: true });
  t.deepEqual(asked, ['odd name']);
});

test('a TTL is told as one of two values, blurred', (t) => {
  const random = testRandom('ttl');
  for (let i = 0; i < 200; i++) {
    const low = blurTtl(7, random);
    const high = blurTtl(301, random);
    t.true(low >= 60 && low <= 540);
    t.true(high >= 3360 && high <= 3840);
  }
});

test('reverse names are read strictly', (t) => {
  t.is(addressOfReverseName('4.3.2.1.IN-ADDR.ARPA'), '1.2.3.4');
  t.is(addressOfReverseName('www.example'), undefined);
  for (const name of [
    '.in-addr.arpa',
    '1.2.3.4.5.in-addr.arpa',
    '1.2.3.256.in-addr.arpa',
    'a.b.c.d.in-addr.arpa',
    '1.ip6.arpa',
  ])
    t.is(addressOfReverseName(name), 'bad', name);
});

test('private is what C tor calls internal', (t) => {
  for (const host of [
    '10.0.0.1',
    '127.1.2.3',
    '100.64.0.1',
    '0.0.0.0',
    '::1',
    '::',
    'fe80::1',
    'fd00::2',
    '::ffff:192.168.1.1',
  ])
    t.true(isPrivate(host), host);
  for (const host of ['8.8.8.8', '100.128.0.1', '172.32.0.1', '2001:db8::1', '::ffff:8.8.8.8'])
    t.false(isPrivate(host), host);
});

test('any bytes asked are answered', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 498 }), fc.boolean(), async (request, anyName) => {
      const body = await answerResolve(request, { ...rules, anyName }, resolver);
      t.true(body.length <= 498 && RESOLVED.decode(body).answers.length > 0);
    }),
  );
});
