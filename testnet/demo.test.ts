import { createHash } from 'node:crypto';
import { connect, createServer } from 'node:net';
import test from 'ava';
import { decode, encode } from 'dns-packet';
import { fc } from '../shared/testing/properties.js';
import { answerQuery } from './demo-dns.js';
import { DEMO_GREETING, demoDigest, startDemoSite } from './demo-site.js';
import { FetchError, fetchBySocks } from './socks-fetch.js';

const ZONE = { host: 'demo.cepa.test', address: '127.14.0.1' };

function ask(name: string, type: 'A' | 'AAAA' | 'PTR') {
  const query = encode({ type: 'query', id: 7, flags: 256, questions: [{ type, name, class: 'IN' }] });
  const reply = answerQuery(query, ZONE);
  if (!reply) throw new Error('no reply');
  return decode(Buffer.from(reply)) as unknown as { id: number; rcode: string; answers: { data: unknown }[] };
}

test('the name server knows one name, both ways, in any case', (t) => {
  for (const name of ['demo.cepa.test', 'DeMo.cEPa.tEsT']) {
    const reply = ask(name, 'A');
    t.is(reply.id, 7);
    t.is(reply.rcode, 'NOERROR');
    t.deepEqual(
      reply.answers.map(({ data }) => data),
      ['127.14.0.1'],
    );
  }
  t.deepEqual(
    ask('1.0.14.127.in-addr.arpa', 'PTR').answers.map(({ data }) => data),
    ['demo.cepa.test'],
  );
  const v6 = ask('demo.cepa.test', 'AAAA');
  t.is(v6.rcode, 'NOERROR');
  t.deepEqual(v6.answers, []);
  t.is(ask('example.com', 'A').rcode, 'NXDOMAIN');
});

test('the name server survives any message', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (message) => {
      t.notThrows(() => answerQuery(message, ZONE));
    }),
    { numRuns: 200 },
  );
});

test('the demo site: a page, bytes with a digest, uploads', async (t) => {
  const visits: string[] = [];
  const site = await startDemoSite('127.0.0.1', 0, (address) => visits.push(address));
  t.teardown(() => site.close());
  const url = `http://127.0.0.1:${site.port}`;
  t.true((await (await fetch(`${url}/`)).text()).includes(DEMO_GREETING));
  const size = 1_000_003;
  const bytes = Buffer.from(await (await fetch(`${url}/bytes/${size}`)).arrayBuffer());
  t.is(bytes.length, size);
  t.is(createHash('sha256').update(bytes).digest('hex'), demoDigest(size));
  const upload = await fetch(`${url}/upload`, { method: 'POST', body: bytes });
  t.deepEqual(await upload.json(), { size, sha256: demoDigest(size) });
  t.is((await fetch(`${url}/none`)).status, 404);
  t.is((await fetch(`${url}/bytes/99999999999`)).status, 404);
  t.is((await fetch(`${url}/`, { method: 'DELETE' })).status, 405);
  t.deepEqual(new Set(visits), new Set(['127.0.0.1']));
});

test('a fetch by SOCKS5: the name goes to the proxy, the page comes back, refusals have their code', async (t) => {
  const site = await startDemoSite('127.0.0.1', 0, () => {});
  t.teardown(() => site.close());
  const names: string[] = [];
  const proxy = createServer((socket) => {
    socket.once('data', () => {
      socket.write(Uint8Array.of(5, 0));
      socket.once('data', (request: Buffer) => {
        names.push(request.toString('latin1', 5, 5 + (request[4] as number)));
        const refuse = names.length > 1;
        socket.write(Uint8Array.of(5, refuse ? 2 : 0, 0, 1, 0, 0, 0, 0, 0, 0));
        if (!refuse) socket.pipe(connect(site.port, '127.0.0.1')).pipe(socket);
      });
    });
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  t.teardown(() => proxy.close());
  const { port } = proxy.address() as { port: number };
  const target = {
    proxy: { host: '127.0.0.1', port },
    host: 'demo.cepa.test',
    port: 80,
    path: '/',
    timeout: 60_000,
  };
  t.true((await fetchBySocks(target)).includes(DEMO_GREETING));
  const refused = await t.throwsAsync(fetchBySocks(target), { instanceOf: FetchError });
  t.is(refused.reply, 2);
  t.deepEqual(names, ['demo.cepa.test', 'demo.cepa.test']);
});

test('a fetch through what is no SOCKS5 proxy fails and says so', async (t) => {
  const site = await startDemoSite('127.0.0.1', 0, () => {});
  t.teardown(() => site.close());
  const proxy = { host: '127.0.0.1', port: site.port };
  const request = { proxy, host: 'a', port: 1, path: '/', timeout: 60_000 };
  await t.throwsAsync(fetchBySocks(request), { instanceOf: FetchError, message: /does not speak SOCKS5/ });
});
