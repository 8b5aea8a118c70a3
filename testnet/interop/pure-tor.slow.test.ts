import { demoDigest } from '../demo-site.js';
import { download, untilServed } from './applications.js';
import { torVersion } from './find-program.js';
import { MixedNetwork } from './mixed-network.js';
import { interopTest } from './programs.js';
import { complaints, unusualWarnings } from './warnings.js';

const SIZE = 20_000_000;

interopTest(
  ['tor', 'tor-gencert'],
  'what C tor warns of among its own kind, and how fast it is there',
  async (t) => {
    t.timeout(900_000);
    const network = await MixedNetwork.start({
      members: [
        { name: 'auth1', kind: 'tor', role: 'authority' },
        { name: 'auth2', kind: 'tor', role: 'authority' },
        { name: 'relay1', kind: 'tor', role: 'relay', guard: true },
        { name: 'relay2', kind: 'tor', role: 'relay' },
        { name: 'exit1', kind: 'tor', role: 'relay', exit: true },
        { name: 'client', kind: 'tor', role: 'client' },
      ],
    });
    try {
      await network.complete();
      const client = network.tor('client');
      await client.bootstrapped();
      const { host, port } = network.plan.demo;
      const site = { proxy: network.proxy('client'), host, port };
      await untilServed({ ...site, path: '/bytes/1' });
      const file = await download({ ...site, path: `/bytes/${SIZE}` });
      t.is(file.sha256, demoDigest(SIZE));
      t.log(`${torVersion()}: ${(SIZE / 1e6 / file.seconds).toFixed(1)} MB/s`);
      t.deepEqual(unusualWarnings(client.warnings), []);
      // The list has to be as short as it can be.
      t.true(client.warnings.length >= 3);
      for (const tor of network.tors.values()) t.deepEqual(complaints(tor.warnings), []);
    } finally {
      await network.stop();
    }
  },
);
