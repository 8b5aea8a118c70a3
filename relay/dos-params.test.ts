import test from 'ava';
import { Defense, DosParams } from './dos-params.js';
import { optionsOf } from './testing.js';

const consensus =
  (values: Record<string, number>) => (name: string, fallback: number, min: number, max: number) =>
    Math.min(max, Math.max(min, values[name] ?? fallback));

test('without a word from torrc and consensus the defences are off, with C tor’s numbers', (t) => {
  const { circuits, connections, streams } = new DosParams(optionsOf('ORPort 9001'), consensus({}));
  t.false(circuits.enabled || connections.enabled || streams.enabled);
  t.like(circuits, { minConnections: 3, rate: 3, burst: 90, period: 3_600_000, maxFullQueues: 3 });
  t.like(connections, { maxConcurrent: 100, rate: 20, burst: 40, period: 86_400_000 });
  t.like(streams, { rate: 100, burst: 300, defense: Defense.REFUSE });
});

test('the consensus says, and the torrc stands above it', (t) => {
  const param = consensus({
    DoSConnectionEnabled: 1,
    DoSConnectionMaxConcurrentCount: 50,
    DoSCircuitCreationEnabled: 1,
    DoSCircuitCreationRate: 7,
    DoSCircuitCreationDefenseTimePeriod: 60,
    DoSRefuseSingleHopClientRendezvous: 1,
  });
  const options = optionsOf(
    'ORPort 9001',
    'DoSConnectionEnabled 0',
    'DoSCircuitCreationRate 9',
    'DoSCircuitCreationDefenseTimePeriod 5 minutes',
    'DoSRefuseSingleHopClientRendezvous 0',
  );
  const dos = new DosParams(options, param);
  t.false(dos.connections.enabled);
  t.is(dos.connections.maxConcurrent, 50);
  t.true(dos.circuits.enabled);
  t.is(dos.circuits.rate, 9);
  t.is(dos.circuits.period, 300_000);
  t.is(dos.param('DoSRefuseSingleHopClientRendezvous', 1, 0, 1), 0);
  t.is(dos.param('circwindow', 1000, 100, 1000), 1000);
  // What SIGHUP changes is seen at once.
  options.DoSConnectionEnabled = 'auto';
  t.true(dos.connections.enabled);
});

test('MaxOnionQueueDelay is the option, else the consensus parameter, in milliseconds', (t) => {
  const delay = (...lines: string[]) =>
    new DosParams(optionsOf('ORPort 9001', ...lines), consensus({ MaxOnionQueueDelay: 900 })).param(
      'MaxOnionQueueDelay',
      1750,
      1,
      0x7fffffff,
    );
  t.is(delay(), 900);
  t.is(delay('MaxOnionQueueDelay 0'), 900);
  t.is(delay('MaxOnionQueueDelay 300'), 300);
  t.is(delay('MaxOnionQueueDelay 2 seconds'), 2000);
});
