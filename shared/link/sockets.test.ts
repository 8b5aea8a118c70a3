import test from 'ava';
import { BODY_SIZE, Command } from '../cell/commands.js';
import { memoryLog } from '../log/log.js';
import { osRandom, realClock, realTransport } from '../runtime/real.js';
import { testLinkCredentials } from '../testing/link-credentials.js';
import { createChannelManager } from './manager.js';
import type { ChannelHandler, Leg, LegHandler } from './types.js';

const CELLS = 4000;
/** Cells under way at most: fewer than a circuit’s queue may hold, since the echo stops reading never. */
const WINDOW = 2000;

/** Sends back what comes, stops its own reading never: what does not fit waits in the queue. */
const echo: LegHandler = {
  relayCells: (leg, batch) => {
    leg.send(batch);
  },
  control() {},
  destroyed() {},
  writable() {},
};

test('two relays link over real TLS and carry cells in order, as fast as the writer is let', async (t) => {
  const [a, b] = await Promise.all(
    ['socket a', 'socket b'].map((label) => testLinkCredentials(label, Date.now())),
  );
  const env = { clock: realClock, random: osRandom, transport: realTransport(), log: memoryLog() };
  const nobody: ChannelHandler = { create: (leg) => leg.destroy(1), closed() {} };
  const echoing: ChannelHandler = {
    create(leg) {
      leg.handler = echo;
      leg.control(Command.CREATED2, new Uint8Array(0));
    },
    closed() {},
  };
  const far = createChannelManager(env, { handler: echoing, credentials: () => b! });
  const near = createChannelManager(env, { handler: nobody, credentials: () => a! });
  const listener = await far.listen({ host: '127.0.0.1', port: 0 });
  const target = { addresses: [listener.local], rsaId: b!.rsaId, ed25519Id: b!.ed25519Id };
  const channel = await near.get(target);
  t.true(channel.authenticated);

  let sent = 0;
  let received = 0;
  let stalls = 0;
  const write = (leg: Leg) => {
    while (sent < CELLS && sent - received < WINDOW && !leg.full) {
      const body = Buffer.alloc(BODY_SIZE);
      body.writeUInt32BE(sent++);
      leg.control(Command.RELAY, body);
    }
    if (leg.full) stalls++;
  };
  await new Promise<void>((resolve, reject) => {
    const leg = channel.openLeg({
      control: write,
      writable: write,
      destroyed: (_, reason) => reject(new Error(`destroyed ${reason}`)),
      relayCells(_, batch) {
        for (let i = 0; i < batch.n; i++) {
          if (batch.buf.readUInt32BE(batch.at[i]!) !== received++) reject(new Error('out of order'));
        }
        if (received === CELLS) resolve();
        else write(leg);
      },
    });
    leg.control(Command.CREATE2, new Uint8Array(0));
  });
  t.is(received, CELLS);
  t.true(stalls > 0);
  t.is(far.stats.cellsIn[Command.RELAY], CELLS);
  const [there] = [...far.channels];
  t.deepEqual(Buffer.from(there!.peer.rsaId!), Buffer.from(a!.rsaId));
  await Promise.all([near.close(), far.close()]);
  t.is(near.stats.queuedBytes + far.stats.queuedBytes, 0);
});
