import type { ExecutionContext } from 'ava';
import { EndReason } from '../../shared/cell/commands.js';
import { generateEd25519 } from '../../shared/crypto/ed25519.js';
import { onionAddress } from '../../shared/crypto/onion-address.js';
import { osRandom } from '../../shared/runtime/real.js';
import type { Kind, Member } from './mixed-network.js';
import { OnionTest } from './onion-network.js';
import { congestionControlled, RoleWatch } from './onion-roles.js';
import { interopTest } from './programs.js';

const SIZE = 1_000_000;
/** Meetings until each program's relays must have introduced somebody. */
const MAX_MEETINGS = 24;
const BOTH: Kind[] = ['cepa', 'tor'];

/** What C tor's circuits are for: of its client to Cepa's service, and of its service to Cepa's client. */
const ROLES = ['HS_CLIENT_INTRO', 'HS_SERVICE_INTRO', 'HS_SERVICE_HSDIR'];
const MEETINGS = ['HS_CLIENT_REND', 'HS_SERVICE_REND'];
/** Rendezvous points go by bandwidth, which nobody has measured here: clients that may not use the other kind. */
const ONLY: Readonly<Record<Kind, string>> = {
  cepa: 'ExcludeNodes tor1,tor2,tor3',
  tor: 'ExcludeNodes cepa1,cepa2,auth',
};

const relay = (name: string, kind: Kind): Member => ({ name, kind, role: 'relay', guard: true });

/** Three relays of each program: four introduction points are of both. */
const MEMBERS: Member[] = [
  { name: 'auth', kind: 'cepa', role: 'authority' },
  relay('cepa1', 'cepa'),
  relay('cepa2', 'cepa'),
  relay('tor1', 'tor'),
  relay('tor2', 'tor'),
  relay('tor3', 'tor'),
  { name: 'cepa', kind: 'cepa', role: 'client' },
  { name: 'tor', kind: 'tor', role: 'client' },
];

async function kindsByFingerprint(test: OnionTest): Promise<Map<string, Kind>> {
  const { routers } = (await test.network.consensus('auth'))!;
  const kindOf = new Map(MEMBERS.map(({ name, kind }) => [name, kind]));
  return new Map(routers.map(({ id, nickname }) => [id, kindOf.get(nickname)!]));
}

/** Relays of both programs are HSDirs, introduction and rendezvous points. */
async function everyRole(t: ExecutionContext, test: OnionTest): Promise<void> {
  const watch = await RoleWatch.of(test, 'tor', await kindsByFingerprint(test));
  const complete = () => ROLES.every((role) => watch.programs(role).length === BOTH.length);
  for (let i = 0; i < MAX_MEETINGS && !complete(); i++) {
    // Both kinds by turns: where a circuit failed, a descriptor has fewer introduction points than were wanted.
    const service = i % 2 ? 'closed' : 'open';
    t.is(await test.reply('tor', await test.address('cepa', service), `role${i}`), 0);
    t.is(await test.reply('cepa', await test.address('tor', service), `role${i}`), 0);
    await watch.look();
  }
  const open = await test.address('tor', 'open');
  for (const kind of BOTH) {
    const client = await test.network.client([ONLY[kind]], (node) => node.status().ready);
    const stream = await client.node.connect(open, 80);
    await watch.look();
    t.true(watch.programs('HS_SERVICE_REND').includes(kind), `${kind}: ${client.log.text()}`);
    stream.abort(EndReason.DONE);
    await client.stop();
  }
  const control = await test.network.tor('tor').control();
  const service = await test.address('cepa', 'open');
  for (const kind of BOTH) {
    await control.command(`SETCONF ${ONLY[kind].replace(' ', '=')}`);
    const replies: number[] = [];
    for (let i = 0; i < MAX_MEETINGS && !watch.programs('HS_CLIENT_REND').includes(kind); i++) {
      replies.push(await test.reply('tor', service, `${kind} rendezvous ${i}`));
      await watch.look();
    }
    t.log(`C tor by way of rendezvous points of ${kind} alone: ${replies}`);
    t.is(replies.at(-1) ?? 0, 0);
  }
  await control.command('RESETCONF ExcludeNodes');
  for (const role of [...ROLES, ...MEETINGS]) t.deepEqual(watch.programs(role), BOTH, role);
  const controlled = congestionControlled(test.network.tor('tor').infoLog);
  for (const role of MEETINGS) {
    t.log(`${role}: ${watch.programs(role)}`);
    t.true(
      watch.ids(role).some((id) => controlled.has(id)),
      `no congestion control on ${role}`,
    );
  }
}

interopTest(
  ['tor', 'tor-gencert'],
  'Cepa and C tor meet as service and client, over relays of both in every role',
  async (t) => {
    t.timeout(900_000);
    const test = await OnionTest.start({
      members: MEMBERS,
      serviceLines: ['HiddenServiceNumIntroductionPoints 4'],
    });
    try {
      for (const [client, service] of [
        ['tor', 'cepa'],
        ['cepa', 'tor'],
      ] as const)
        for (const kind of ['open', 'closed'] as const) {
          const address = await test.address(service, kind);
          await test.reachable(client, address);
          t.log(
            `${client} -> ${service} ${kind}: ${(await test.exchange(client, address, SIZE)).toFixed(1)} s`,
          );
        }
      await everyRole(t, test);

      // What follows it warns of.
      t.deepEqual(test.warnings('tor'), []);
      const nobody = onionAddress(generateEd25519(osRandom).publicKey);
      const broken = nobody.replace(/^./, (first) => (first === 'a' ? 'b' : 'a'));
      const locked = await test.address('tor', 'secret');
      const mistaken = await test.address('cepa', 'secret');
      for (const client of ['tor', 'cepa']) {
        t.is(await test.reply(client, nobody), 0xf0, `${client}: not found`);
        t.is(await test.reply(client, broken), 0xf6, `${client}: bad address`);
        t.is(await test.reply(client, locked), 0xf4, `${client}: authorization missing`);
        t.is(await test.reply(client, mistaken), 0xf5, `${client}: authorization wrong`);
      }
    } finally {
      await test.stop();
    }
  },
);
