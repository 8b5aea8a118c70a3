import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeFamilyKey } from '../../relay/family-keys.js';
import { parseConsensus } from '../../shared/netdoc/consensus.js';
import { osRandom } from '../../shared/runtime/real.js';
import { diskStore } from '../../shared/store/disk.js';
import { MixedNetwork } from './mixed-network.js';
import { interopTest } from './programs.js';
import { complaints } from './warnings.js';

const FLAGS = ['Fast', 'HSDir', 'Running', 'Stable', 'V2Dir', 'Valid'];

interopTest(
  ['tor', 'tor-gencert'],
  'C tor authorities vote for Cepa relays the flags they earn, and have no complaint',
  async (t) => {
    t.timeout(900_000);
    const keys = mkdtempSync(join(tmpdir(), 'cepa-family-'));
    t.teardown(() => rmSync(keys, { recursive: true, force: true }));
    const family = await makeFamilyKey(diskStore(keys), 'us', osRandom);
    const lines = [`FamilyKeyDirectory ${keys}`, `FamilyId ${family}`];
    const network = await MixedNetwork.start({
      members: [
        { name: 'auth1', kind: 'tor', role: 'authority' },
        { name: 'auth2', kind: 'tor', role: 'authority' },
        { name: 'auth3', kind: 'tor', role: 'authority' },
        { name: 'cepa1', kind: 'cepa', role: 'relay', lines },
        { name: 'cepa2', kind: 'cepa', role: 'relay', lines },
        { name: 'cepaexit', kind: 'cepa', role: 'relay', exit: true },
      ],
      earned: true,
      // The delays of the public network, where an authority trusts nobody it has not known for a week.
      authorityLines: ['MinUptimeHidServDirectoryV2 0 seconds', 'AuthDirGuardBWGuarantee 1 KB'],
    });
    try {
      const flags = new Map<string, Set<string>>();
      const ours = ['cepa1', 'cepa2', 'cepaexit'];
      const consensus = await network.consensusWith('auth1', ({ routers }) => {
        for (const { nickname, flags: now } of routers) {
          const all = flags.get(nickname) ?? new Set();
          for (const flag of now) all.add(flag);
          flags.set(nickname, all);
        }
        return (
          ours.every((name) =>
            ['Running', 'Valid', 'Fast', 'V2Dir'].every((flag) => flags.get(name)?.has(flag)),
          ) &&
          FLAGS.every((flag) => ours.some((name) => flags.get(name)?.has(flag))) &&
          (flags.get('cepaexit')?.has('Exit') ?? false) &&
          ours.some((name) => flags.get(name)?.has('Guard'))
        );
      });
      for (const [name, found] of flags) t.log(name, [...found].sort().join(' '));
      t.false(flags.get('cepa1')!.has('Exit'));
      // The authorities are C tor's, and the first vote may miss one of them: a majority is what makes a consensus.
      t.true(consensus.signatures.length >= 2);
      // The family that the relays prove to be of, as C tor tells clients: of these two, and of no other.
      const { address, dirPort } = network.node('auth1');
      const get = async (path: string) => (await fetch(`http://${address}:${dirPort}${path}`)).text();
      const { routers } = parseConsensus(await get('/tor/status-vote/current/consensus-microdesc'));
      for (const { nickname, microdescDigest } of routers) {
        const text = await get(`/tor/micro/d/${microdescDigest}`);
        const ids = /^family-ids (.*)$/m.exec(text)?.[1];
        t.is(ids, nickname === 'cepa1' || nickname === 'cepa2' ? `ed25519:${family}` : undefined, nickname);
      }
      for (const tor of network.tors.values()) t.deepEqual(complaints(tor.warnings), []);
    } finally {
      await network.stop();
    }
  },
);
