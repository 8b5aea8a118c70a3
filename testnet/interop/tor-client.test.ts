import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fetchOverConn } from '../../shared/dir/fetch.js';
import { realClock, realTransport } from '../../shared/runtime/real.js';
import { demoDigest } from '../demo-site.js';
import { launchTestnet, type Testnet } from '../launch.js';
import { download, resolveName } from './applications.js';
import { buildCircuit, takePaths } from './control.js';
import { type DocumentType, judgeDocuments } from './documents.js';
import { interopTest } from './programs.js';
import { TorNode } from './tor-node.js';
import { unusualWarnings } from './warnings.js';

const SIZE = 20_000_000;
const CIRCUITS = 20;

/** A C tor client that joins as anybody would: by including the file of the testnet. */
function joiningClient(testnet: Testnet, root: string) {
  const { plan } = testnet.network.context;
  const address = `127.${plan.nodes.length + 2}.0.1`;
  const orPort = plan.basePort;
  const folder = join(root, 'client');
  const tor = new TorNode(
    { name: 'client', role: 'client', exit: false, guard: false, address, orPort, dirPort: 0 },
    folder,
  );
  tor.start(
    [
      `DataDirectory ${folder}`,
      `Log notice file ${join(folder, 'notice.log')}`,
      `SocksPort ${address}:${orPort}`,
      `%include ${testnet.torrc}`,
    ].join('\n'),
  );
  return { tor, proxy: { host: address, port: orPort } };
}

/** The documents a Cepa network makes, as its first authority and its relays serve them. */
const SERVED: readonly (readonly [DocumentType, string])[] = [
  ['certificate', '/tor/keys/all'],
  ['server', '/tor/server/all'],
  ['extra', '/tor/extra/all'],
  ['consensus', '/tor/status-vote/current/consensus'],
  ['consensus-microdesc', '/tor/status-vote/current/consensus-microdesc'],
  ['vote', '/tor/status-vote/current/authority'],
];

interopTest(
  ['tor', 'stem'],
  'a C tor client on a network of Cepa alone, whose documents stem accepts',
  async (t) => {
    t.timeout(900_000);
    const root = mkdtempSync(join(tmpdir(), 'cepa-interop-'));
    const testnet = await launchTestnet({ size: { authorities: 3, relays: 4, exits: 2 } });
    const { network } = testnet;
    const { tor, proxy } = joiningClient(testnet, root);
    try {
      await tor.bootstrapped();
      const { host, address, port } = network.context.plan.demo;
      const file = await download({ proxy, host, port, path: `/bytes/${SIZE}` });
      t.is(file.size, SIZE);
      t.is(file.sha256, demoDigest(SIZE));
      t.log(`${(SIZE / 1e6 / file.seconds).toFixed(1)} MB/s`);
      t.is(await resolveName(proxy, host), address);

      const control = await tor.control();
      await takePaths(control);
      const cepa = new Set([...network.nodes.values()].map(({ fingerprint }) => fingerprint));
      for (let i = 0; i < CIRCUITS; i++) {
        const { path } = await buildCircuit(control);
        t.is(path.length, 3);
        for (const hop of path) t.true(cepa.has(hop), `${hop} is no Cepa relay`);
      }
      t.deepEqual(unusualWarnings(tor.warnings), []);

      const at = network.context.plan.nodes[0]!;
      const get = async (path: string) => {
        const answer = await fetchOverConn(
          realTransport(),
          { host: at.address, port: at.dirPort },
          { method: 'GET', path },
          { clock: realClock, timeout: 60_000 },
        );
        t.is(answer.status, 200, path);
        return Buffer.from(answer.body).toString('utf8');
      };
      const documents = await Promise.all(
        SERVED.map(async ([type, path]) => ({ type, text: await get(path) })),
      );
      const names = [
        ...documents.find(({ type }) => type === 'consensus-microdesc')!.text.matchAll(/^m (\S+)$/gm),
      ];
      documents.push({
        type: 'micro',
        text: await get(`/tor/micro/d/${names.map(([, name]) => name).join('-')}`),
      });
      t.deepEqual(
        (await judgeDocuments(documents)).map(({ type, documents: count, error }) => [type, count, error]),
        [
          ['certificate', 3, undefined],
          ['server', 7, undefined],
          ['extra', 7, undefined],
          ['consensus', 1, undefined],
          ['consensus-microdesc', 1, undefined],
          ['vote', 1, undefined],
          ['micro', names.length, undefined],
        ],
      );
    } finally {
      await tor.stop();
      await testnet.stop();
      rmSync(root, { recursive: true, force: true });
    }
  },
);
