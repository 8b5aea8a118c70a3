/** A relay changes its software, and back, and stays who it is. */
import type { ExecutionContext } from 'ava';
import { parseServerDescriptor } from '../../shared/netdoc/server-descriptor.js';
import type { ServerDescriptor } from '../../shared/netdoc/types.js';
import { type Kind, MixedNetwork } from './mixed-network.js';
import { interopTest } from './programs.js';

const TIMEOUT = 300_000;

/** The descriptor of the moved relay, once the authority has one that the software wrote. */
async function descriptorBy(network: MixedNetwork, id: string, kind: Kind): Promise<ServerDescriptor> {
  const until = performance.now() + TIMEOUT;
  for (;;) {
    const text = await network.fetch('auth1', `/tor/server/fp/${id}`);
    const descriptor = text === undefined ? undefined : parseServerDescriptor(text);
    if (descriptor?.platform?.startsWith(kind === 'tor' ? 'Tor ' : 'Cepa ')) return descriptor;
    if (performance.now() > until) throw new Error(`no descriptor of ${id} by ${kind} came: ${text}`);
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

interopTest(
  ['tor'],
  'a relay that moves from C tor to Cepa and back with its keys/ keeps its fingerprint and its place in the consensus',
  async (t: ExecutionContext) => {
    t.timeout(900_000);
    const network = await MixedNetwork.start({
      members: [
        { name: 'auth1', kind: 'cepa', role: 'authority' },
        { name: 'auth2', kind: 'cepa', role: 'authority' },
        { name: 'mover', kind: 'tor', role: 'relay' },
        { name: 'other', kind: 'cepa', role: 'relay' },
      ],
    });
    try {
      const first = await network.complete();
      const { id } = first.routers.find(({ nickname }) => nickname === 'mover')!;
      const files = ['fingerprint', 'fingerprint-ed25519'];
      const fingerprints = files.map((file) => network.file('mover', file));
      const { ed25519Id } = await descriptorBy(network, id, 'tor');
      for (const kind of ['cepa', 'tor'] as const) {
        await network.swap('mover', kind);
        const descriptor = await descriptorBy(network, id, kind);
        t.deepEqual(Buffer.from(descriptor.ed25519Id), Buffer.from(ed25519Id), `${kind}: ed25519 identity`);
        const since = Date.now();
        const consensus = await network.consensusWith(
          'auth1',
          ({ validAfter, routers }) =>
            validAfter > since && routers.some((router) => router.id === id && router.flags.has('Running')),
          TIMEOUT,
        );
        t.is(consensus.routers.filter(({ nickname }) => nickname === 'mover').length, 1);
        t.deepEqual(
          files.map((file) => network.file('mover', file)),
          fingerprints,
          `${kind}: fingerprint files`,
        );
      }
      t.deepEqual(
        network.tor('mover').warnings.filter((text) => /key|fingerprint|cert/i.test(text)),
        [],
      );
    } finally {
      await network.stop();
    }
  },
);
