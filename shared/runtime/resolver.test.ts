import test from 'ava';
import { locate } from './locate.js';
import { ResolveError } from './resolve-error.js';
import { cachedResolver, hostsOf, type Lookup, nameserversOf } from './resolver.js';
import { SimWorld } from './sim/world.js';

const setup = (lookup: Partial<Lookup>) => {
  const world = new SimWorld('resolver', 0);
  const clock = world.host('127.1.0.1').clock;
  const never: Lookup = { resolve: () => new Promise(() => {}), reverse: () => new Promise(() => {}) };
  return { world, resolver: cachedResolver({ ...never, ...lookup }, clock) };
};

test('answers are remembered for their TTL, within bounds', async (t) => {
  let asked = 0;
  const { world, resolver } = setup({
    resolve: async () => {
      asked++;
      return [{ address: '192.0.2.1', family: 4, ttl: 1 }];
    },
  });
  t.is((await resolver.resolve('A.example'))[0]?.address, '192.0.2.1');
  await resolver.resolve('a.example');
  t.is(asked, 1);
  await world.advance(59_000);
  await resolver.resolve('a.example');
  t.is(asked, 1);
  await world.advance(2_000);
  await resolver.resolve('a.example');
  t.is(asked, 2);
});

test('one name is asked for once at a time, and a name that is not there is remembered', async (t) => {
  let asked = 0;
  const { resolver } = setup({
    resolve: async () => {
      asked++;
      throw new ResolveError('notfound', 'no such name');
    },
  });
  const both = await Promise.allSettled([resolver.resolve('x'), resolver.resolve('x')]);
  t.true(both.every((result) => result.status === 'rejected'));
  await t.throwsAsync(resolver.resolve('x'), { instanceOf: ResolveError });
  t.is(asked, 1);
});

test('a server that never answers costs a bounded time and a bounded number of queries', async (t) => {
  const { world, resolver } = setup({});
  const first = resolver.resolve('slow0');
  const rest = Array.from({ length: 1023 }, (_, n) => resolver.resolve(`slow${n + 1}`));
  for (const query of rest) query.catch(() => {});
  const busy = await t.throwsAsync<ResolveError>(resolver.resolve('one too many'));
  t.is(busy?.kind, 'busy');
  const slow = await world.until(t.throwsAsync<ResolveError>(first));
  t.is(slow?.kind, 'timeout');
  t.is(world.now, 15_000);
});

test('address literals are their own answer', async (t) => {
  const { resolver } = setup({});
  t.is((await resolver.resolve('192.0.2.7'))[0]?.family, 4);
  t.is((await resolver.resolve('2001:db8::1'))[0]?.family, 6);
});

test('resolv.conf and hosts files', (t) => {
  const conf = '# x\nnameserver 127.0.0.1:5300\nsearch example\nnameserver 192.0.2.53 # second\nnameserver\n';
  t.deepEqual(nameserversOf(conf), ['127.0.0.1:5300', '192.0.2.53']);
  const hosts = hostsOf('127.0.0.1 localhost Me # c\n::1 localhost\nbad line here\n\n');
  t.deepEqual(
    hosts.get('localhost')?.map((entry) => entry.address),
    ['127.0.0.1', '::1'],
  );
  t.is(hosts.get('me')?.length, 1);
  t.is(hosts.size, 2);
});

test('a name of the configuration is looked up anew, and one that was not there is found once it is', async (t) => {
  let answer: string | undefined;
  const { resolver } = setup({
    resolve: async () => {
      if (answer === undefined) throw new ResolveError('notfound', 'no such name');
      return [
        { address: '2001:db8::1', family: 6, ttl: 600 },
        { address: answer, family: 4, ttl: 600 },
      ];
    },
  });
  await t.throwsAsync(locate(resolver, 'auth1', 9030), { instanceOf: ResolveError });
  answer = '192.0.2.1';
  t.deepEqual(await locate(resolver, 'auth1', 9030), { host: '192.0.2.1', port: 9030 });
  answer = '192.0.2.2';
  t.deepEqual(await locate(resolver, 'auth1', 9030), { host: '192.0.2.2', port: 9030 });
  t.deepEqual(await locate(resolver, '192.0.2.9', 1), { host: '192.0.2.9', port: 1 });
});
