import { demoDigest } from '../demo-site.js';
import { download, resolveName, untilServed } from './applications.js';
import { MixedNetwork } from './mixed-network.js';
import { interopTest } from './programs.js';

const MB = 1_000_000;

interopTest(['tor', 'tor-gencert'], 'a Cepa client on a network of C tor alone', async (t) => {
  t.timeout(900_000);
  const network = await MixedNetwork.start({
    members: [
      { name: 'auth1', kind: 'tor', role: 'authority' },
      { name: 'auth2', kind: 'tor', role: 'authority' },
      { name: 'relay1', kind: 'tor', role: 'relay', guard: true },
      { name: 'relay2', kind: 'tor', role: 'relay', guard: true },
      { name: 'exit1', kind: 'tor', role: 'relay', exit: true },
    ],
  });
  try {
    await network.complete();
    const client = await network.client();
    const { demo } = network.plan;
    const site = { proxy: client.proxy, host: demo.host, port: demo.port };
    await untilServed({ ...site, path: '/bytes/1' });
    const size = 20 * MB;
    t.deepEqual(await client.node.resolve(demo.host), [demo.address]);
    t.is(await resolveName(client.proxy, demo.host), demo.address);
    const file = await download({ ...site, path: `/bytes/${size}` });
    t.is(file.size, size);
    t.is(file.sha256, demoDigest(size));
    t.log(`${(size / MB / file.seconds).toFixed(1)} MB/s`);
    t.deepEqual(
      client.log.lines.filter(({ level }) => level === 'warn' || level === 'err'),
      [],
    );
  } finally {
    await network.stop();
  }
});
