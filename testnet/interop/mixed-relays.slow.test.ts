import { demoDigest } from '../demo-site.js';
import { download, resolveName } from './applications.js';
import { attachNext, buildCircuit, takePaths, untilKnown } from './control.js';
import { type Kind, MixedNetwork } from './mixed-network.js';
import { interopTest } from './programs.js';
import { unusualWarnings } from './warnings.js';

const SIZE = 5_000_000;
const KINDS: readonly Kind[] = ['cepa', 'tor'];

/** Every order of the two kinds over three positions. */
const ORDERS = KINDS.flatMap((guard) =>
  KINDS.flatMap((middle) => KINDS.map((exit) => [guard, middle, exit] as const)),
);

/**
 * Three relays of each kind under two authorities of one kind: every order of the kinds over a path, asked for by a
 * client of each kind, with congestion control or without.
 */
const tryAll = (authorities: Kind, params: string) =>
  interopTest(
    ['tor', 'tor-gencert'],
    `8 of 8 orders of Cepa and C tor relays carry 5 MB for both clients; ${authorities} authorities, ${params}`,
    async (t) => {
      t.timeout(900_000);
      const network = await MixedNetwork.start({
        members: [
          { name: 'auth1', kind: authorities, role: 'authority' },
          { name: 'auth2', kind: authorities, role: 'authority' },
          ...KINDS.flatMap(
            (kind) =>
              [
                { name: `${kind}guard`, kind, role: 'relay', guard: true },
                { name: `${kind}middle`, kind, role: 'relay' },
                { name: `${kind}exit`, kind, role: 'relay', exit: true, metrics: true },
              ] as const,
          ),
          { name: 'torclient', kind: 'tor', role: 'client' },
        ],
        authorityLines: [`ConsensusParams ${params}`],
      });
      const { demo } = network.plan;
      const digest = demoDigest(SIZE);
      const path = `/bytes/${SIZE}`;
      try {
        const consensus = await network.complete();
        const fingerprint = (name: string) => consensus.routers.find(({ nickname }) => nickname === name)!.id;
        const tor = network.tor('torclient');
        await tor.bootstrapped();
        const control = await tor.control();
        await takePaths(control);
        const relays = consensus.routers.map(({ id }) => id);
        await untilKnown(control, relays);
        const speeds: string[] = [];
        // Every ntor-v3 handshake here is one that asks for congestion control.
        const controlled = (exit: Kind) =>
          exit === 'tor'
            ? network.metric('torexit', /congestion_control_total.*circs_created/)
            : network.metric('cepaexit', /circuits_created_total.*ntor_v3/);
        const controls = params === 'cc_alg=2';

        for (const [guard, middle, exit] of ORDERS) {
          const names = [`${guard}guard`, `${middle}middle`, `${exit}exit`];
          const order = `${guard} > ${middle} > ${exit}`;
          const before = await controlled(exit);
          const circuit = await buildCircuit(control, names.map(fingerprint));
          const attached = attachNext(control, circuit.id);
          const got = await download({
            proxy: network.proxy('torclient'),
            host: demo.host,
            port: demo.port,
            path,
          });
          await attached;
          t.is(got.sha256, digest, order);
          // To loopback C tor binds no address of its own [connection_connect].
          const from = exit === 'cepa' ? network.node('cepaexit').address : '127.0.0.1';
          t.is(network.visitors.at(-1), from);
          speeds.push(`tor client, ${order}: ${(SIZE / 1e6 / got.seconds).toFixed(1)} MB/s`);

          const between = await controlled(exit);
          t.is(between > before, controls, `tor client, ${order}`);
          const client = await network.client([
            `EntryNodes ${names[0]}`,
            `MiddleNodes ${names[1]}`,
            `ExitNodes ${names[2]}`,
            'StrictNodes 1',
          ]);
          const own = await download({ proxy: client.proxy, host: demo.host, port: demo.port, path });
          t.is(own.sha256, digest, `Cepa client, ${order}`);
          const used = client.node.circuits().filter((info) => info.dirty);
          t.deepEqual(
            used.map((info) => info.path),
            [names.map(fingerprint)],
            order,
          );
          t.is(await resolveName(client.proxy, demo.host), demo.address);
          await client.stop();
          t.is((await controlled(exit)) > between, controls, `Cepa client, ${order}`);
          speeds.push(`Cepa client, ${order}: ${(SIZE / 1e6 / own.seconds).toFixed(1)} MB/s`);
        }
        t.log(speeds.join('\n'));
        t.deepEqual(unusualWarnings(tor.warnings), []);
      } finally {
        await network.stop();
      }
    },
  );

tryAll('cepa', 'cc_alg=2');
tryAll('tor', 'cc_alg=0');
