import test from 'ava';
import { TorrcError } from './errors.js';
import { loadOptions } from './parse.js';

const AUTHORITY = `DirAuthority a orport=7001 v3ident=${'A'.repeat(40)} 127.250.0.1:7000 ${'B'.repeat(40)}`;

const load = (...lines: string[]) =>
  loadOptions({
    files: [{ name: 'torrc', text: [AUTHORITY, 'ORPort 9001', ...lines].join('\n') }],
    role: 'relay',
  });

function problems(...lines: string[]): string[] {
  try {
    load(...lines);
  } catch (error) {
    if (error instanceof TorrcError) return error.problems.map(({ message }) => message);
    throw error;
  }
  return [];
}

test('accounting options are read as C tor writes them', (t) => {
  const { options } = load('AccountingMax 1.5 TBytes', 'AccountingStart week 7 13:05', 'AccountingRule sum');
  t.is(options.AccountingMax, 1.5 * 1024 ** 4);
  t.deepEqual(options.AccountingStart, { unit: 'week', day: 7, hour: 13, minute: 5 });
  t.is(options.AccountingRule, 'sum');
  t.deepEqual(load().options.AccountingStart, { unit: 'month', day: 1, hour: 0, minute: 0 });
  t.deepEqual(load('AccountingStart day 0:00').options.AccountingStart, {
    unit: 'day',
    day: 0,
    hour: 0,
    minute: 0,
  });
});

for (const [value, message] of [
  ['year 1 00:00', /none of month, week, day/],
  ['month 29 00:00', /1 to 28/],
  ['week 0 00:00', /1 is Monday/],
  ['month 00:00', /1 words behind the month, not 2/],
  ['day 1 00:00', /2 words behind the day, not 1/],
  ['day 24:00', /HH:MM/],
  ['day 1:60', /HH:MM/],
] as const)
  test(`AccountingStart ${value} is refused`, (t) => {
    const found = problems(`AccountingStart ${value}`);
    t.is(found.length, 1);
    t.regex(found[0]!, message);
  });

test('everything that is wrong is said in one go', (t) => {
  const found = problems(
    'AccountingRule most',
    'FamilyId ed25519:short',
    'MyFamily $ABC',
    'DoSCircuitCreationEnabled perhaps',
    'DoSStreamCreationDefenseType 4',
    'DoSConnectionConnectDefenseTimePeriod 5',
    'SigningKeyLifetime 1 hour',
    'RelayBandwidthRate 10 KB',
  );
  t.is(found.length, 8, found.join('\n'));
});

test('a bandwidth with which C tor would not start is refused', (t) => {
  for (const line of [
    'BandwidthRate 0',
    'BandwidthBurst 0',
    'RelayBandwidthBurst 70 KB',
    'MaxAdvertisedBandwidth 0',
    'MaxAdvertisedBandwidth 37 KB',
  ])
    t.is(problems(line).length, 1, line);
  t.deepEqual(problems('RelayBandwidthRate 70 KB', 'RelayBandwidthBurst 60 KB').length, 2);
  const taken = ['RelayBandwidthRate 0', 'RelayBandwidthBurst 80 KB', 'MaxAdvertisedBandwidth 38 KB'];
  t.deepEqual(problems(...taken), []);
});

test('DoS options default to what the consensus says', (t) => {
  const { options } = load('DoSConnectionEnabled 1', 'DoSConnectionMaxConcurrentCount 50');
  t.is(options.DoSConnectionEnabled, true);
  t.is(options.DoSConnectionMaxConcurrentCount, 50);
  t.is(options.DoSCircuitCreationEnabled, 'auto');
  t.is(options.DoSCircuitCreationRate, 0);
});
