import test from 'ava';
import { TestNet } from '../../shared/circuit/testing.js';
import { memoryLog } from '../../shared/log/memory.js';
import type { GuardTicket } from '../guards.js';
import { clientOptions, GUARD, sketchNetwork, sketchRules } from '../testing.js';
import { type HsBuilderParts, HsCircuitBuilder, HsCircuitError } from './circuit-builder.js';

const PROTOCOLS = 'Relay=2 HSRend=2';
const MINUTE = 60_000;

/** A network of four relays that answer, the first of them the guard; better guards may yet come. */
function builderOfDoubtfulGuard() {
  const net = new TestNet();
  const network = sketchNetwork(Array.from({ length: 4 }, () => ({ flags: GUARD, protocols: PROTOCOLS })));
  for (const { status, micro } of network.relays) {
    const { target } = net.add(PROTOCOLS);
    Object.assign(status, { rsaId: target.rsaId });
    Object.assign(micro!, { ntorOnionKey: target.ntorKey, ed25519Id: target.ed25519Id });
  }
  const released: GuardTicket[] = [];
  const waiting: GuardTicket[] = [];
  const state = { noBetter: false };
  const relay = network.relays[0]!;
  const guards = {
    any: true,
    choose: () => ({ relay, ticket: { id: relay.id, state: 'usable-if-no-better', since: 0 } }),
    succeeded(ticket: GuardTicket) {
      waiting.push(ticket);
      ticket.state = 'waiting-for-better';
      return 'later';
    },
    upgrade(tickets: Iterable<GuardTicket>) {
      if (state.noBetter) for (const ticket of tickets) ticket.state = 'complete';
    },
    release: (ticket: GuardTicket) => void released.push(ticket),
    failed() {},
  };
  const builder = new HsCircuitBuilder({
    clock: net.clock,
    random: net.random,
    log: memoryLog(),
    options: clientOptions(),
    rules: sketchRules(),
    guards,
    buildTimes: { timeouts: () => ({ timeout: MINUTE, close: MINUTE }) },
    channels: net.channels,
    param: (_name: string, fallback: number) => fallback,
    network: () => network,
  } as unknown as HsBuilderParts);
  return { net, builder, waiting, released, state };
}

test('a circuit that is called off while it waits for a better guard is closed, not handed over', async (t) => {
  const { net, builder, waiting, released, state } = builderOfDoubtfulGuard();
  // Nothing is to be built ahead.
  builder.stop();
  const stop = new AbortController();
  const building = builder.build('client-rendezvous', builder.rendezvousPoint, stop.signal);
  for (let i = 0; i < 100 && waiting.length === 0; i++) await net.settle();
  t.is(net.legs.length, 6);
  stop.abort();
  state.noBetter = true;
  net.clock.pass(1000);
  await t.throwsAsync(net.until(building), { instanceOf: HsCircuitError });
  t.is(released.length, 1);
  t.true(net.legs.every(({ dead }) => dead));
});
