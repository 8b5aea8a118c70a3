import test from 'ava';
import { DecodeError } from '../bytes/errors.js';
import { fc } from '../testing/properties.js';
import { vectors } from '../testing/vectors.js';
import { DEFAULT_EXIT_POLICY, effectiveExitPolicy, REDUCED_EXIT_POLICY } from './exit-policy.js';
import { parsePolicyLines } from './policy.js';
import { makePortSummary, parsePortSummary } from './port-summary.js';

interface SummaryVector {
  policy: string;
  p: string;
  p6: string;
}

for (const { policy, p, p6 } of vectors<{ vectors: SummaryVector[] }>('exit-policy-summary.json').vectors)
  test(`summary of ${policy}`, (t) => {
    const parsed = parsePolicyLines([policy]);
    t.is(parsed.summary().toString(), p);
    t.is(parsed.ipv6Summary().toString(), p6);
  });

test('the first rule that matches decides, and the end of the list accepts', (t) => {
  const policy = parsePolicyLines([
    'reject 10.0.0.0/8:*, accept 10.1.2.3:80',
    'accept *:443',
    'reject *4:1-1023',
  ]);
  t.false(policy.allows('10.1.2.3', 80));
  t.true(policy.allows('8.8.8.8', 443));
  t.false(policy.allows('8.8.8.8', 80));
  t.true(policy.allows('8.8.8.8', 8080));
  t.true(policy.allows('2001:db8::1', 80));
  t.false(policy.allows('example.com', 443));
  t.false(policy.allows('8.8.8.8', 0));
});

test('both forms of mask', (t) => {
  const policy = parsePolicyLines([
    'reject 192.0.2.0/255.255.255.128:*',
    'reject 198.51.100.0/25',
    'accept *:*',
  ]);
  t.false(policy.allows('192.0.2.127', 1));
  t.true(policy.allows('192.0.2.128', 1));
  t.false(policy.allows('198.51.100.127', 1));
  t.true(policy.allows('198.51.100.128', 1));
});

test('private covers both families, and IPv4 behind a mapped address', (t) => {
  const policy = parsePolicyLines(['reject private:*', 'accept *:*']);
  const refused = ['127.0.0.1', '10.9.8.7', '192.168.1.1', '172.31.0.1', '169.254.1.1', '0.1.2.3', '::1'];
  for (const host of [...refused, 'fe80::1', 'fc00::1', 'ff02::1', '::ffff:127.0.0.1'])
    t.false(policy.allows(host, 80), host);
  for (const host of ['128.0.0.1', '172.32.0.1', '2001:db8::1']) t.true(policy.allows(host, 80), host);
});

test('accept6 and reject6 are for IPv6', (t) => {
  const policy = parsePolicyLines(['accept6 [2001:db8::]/32:80', 'reject6 *:*', 'accept *:80', 'reject *:*']);
  t.true(policy.allows('2001:db8:1::1', 80));
  t.false(policy.allows('2001:db9::1', 80));
  t.true(policy.allows('192.0.2.1', 80));
  t.is(policy.summary().toString(), 'accept 80');
});

test('descriptor syntax: * is IPv4', (t) => {
  const policy = parsePolicyLines(['accept *:80', 'reject *:*'], { syntax: 'descriptor' });
  t.is(policy.summary().toString(), 'accept 80');
  t.is(policy.entries.length, 2);
});

test('lines read back to the same rules', (t) => {
  const lines = [
    'reject 10.0.0.0/8:*',
    'accept6 [2001:db8::]/32:80-90',
    'reject6 [::]/0:*',
    'accept 192.0.2.1:22',
    'reject *:*',
  ];
  const policy = parsePolicyLines(lines, { syntax: 'descriptor' });
  t.deepEqual(policy.toLines('both'), lines);
  t.deepEqual(policy.toLines(), [lines[0], lines[3], lines[4]]);
});

test('the Exit flag needs 80 and 443 to some /8', (t) => {
  const flag = (line: string, allowPrivate = false) => parsePolicyLines([line]).isGeneralExit(allowPrivate);
  t.true(flag('accept *:80, accept *:443, reject *:*'));
  t.false(flag('accept *:80, reject *:*'));
  t.false(flag('reject *:443, accept *:*'));
  t.true(flag('accept 9.0.0.0/8:*, reject *:*'));
  t.false(flag('accept 9.0.0.0/9:*, reject *:*'));
  t.false(flag('accept 127.0.0.0/8:*, reject *:*'));
  t.true(flag('accept 127.0.0.0/8:*, reject *:*', true));
  t.true(flag('reject 128.0.0.0/1:80, accept *:*'));
});

test('what a relay applies', (t) => {
  const exit = { lines: ['accept *:80', 'reject *:*'], exit: true, ipv6: false, rejectPrivate: true };
  const policy = effectiveExitPolicy({ ...exit, ownAddresses: ['192.0.2.7'] });
  t.false(policy.allows('127.0.0.1', 80));
  t.false(policy.allows('192.0.2.7', 80));
  t.true(policy.allows('192.0.2.8', 80));
  t.false(policy.allows('2001:db8::1', 80));
  t.is(policy.toLines().at(-1), 'reject *:*');
  t.true(policy.rejectsAll(6));
  t.false(policy.rejectsAll(4));
  t.true(effectiveExitPolicy({ ...exit, exit: false }).rejectsAll(4));
  const byDefault = effectiveExitPolicy({ ...exit, lines: [], ipv6: true, rejectPrivate: false });
  t.deepEqual(byDefault.toLines('both'), parsePolicyLines([DEFAULT_EXIT_POLICY]).toLines('both'));
  const reduced = effectiveExitPolicy({ ...exit, lines: ['reject *:22'], reduced: true });
  t.deepEqual(
    [20, 22, 23, 24, 25, 80, 443, 6881, 64_738].map((port) => reduced.allows('192.0.2.8', port)),
    [true, false, true, false, false, true, true, false, true],
  );
  t.is(REDUCED_EXIT_POLICY.split(',').length, 72);
});

const INVALID: readonly [line: string, field: string][] = [
  ['allow *:80', 'policy'],
  ['accept', 'policy'],
  ['accept *:80 *:81', 'policy'],
  ['accept *:0', 'accept'],
  ['accept *:65536', 'accept'],
  ['accept *:90-80', 'accept'],
  ['accept *:', 'accept'],
  ['accept *:080', 'accept'],
  ['reject 256.0.0.1:80', 'reject'],
  ['reject 1.2.3:80', 'reject'],
  ['reject 1.2.3.4/33:80', 'reject'],
  ['reject 1.2.3.4/255.0.255.0:80', 'reject'],
  ['reject */8:80', 'reject'],
  ['reject private/8:80', 'reject'],
  ['reject [::1:80', 'reject'],
  ['reject [::1]/129:80', 'reject'],
  ['reject [::1]x:80', 'reject'],
  ['accept6 1.2.3.4:80', 'accept6'],
];
for (const [line, field] of INVALID)
  test(`refuses ${line}`, (t) => {
    t.is(t.throws(() => parsePolicyLines([line]), { instanceOf: DecodeError })?.field, field);
  });
for (const line of ['accept *4:80', 'accept *6:80', 'accept [::1]:80', 'accept6 1.2.3.4:80', 'reject6 *:*'])
  test(`a descriptor may not say ${line}`, (t) => {
    t.throws(() => parsePolicyLines([line], { syntax: 'descriptor' }), { instanceOf: DecodeError });
  });
for (const text of [
  '',
  'accept',
  'accept ',
  'allow 80',
  'accept 80,',
  'reject 0',
  'accept 90-80',
  'accept 1-65536',
])
  test(`no summary: ${JSON.stringify(text)}`, (t) => {
    t.is(t.throws(() => parsePortSummary(text, 'p6'), { instanceOf: DecodeError })?.field, 'p6');
  });

test('a summary too long is cut to 1000 characters, at a comma', (t) => {
  const lines = Array.from({ length: 500 }, (_, i) => `accept *:${10001 + 2 * i}`);
  const summary = parsePolicyLines([...lines, 'reject *:*']).summary();
  t.true(summary.accept);
  t.true(summary.toString().length <= 1000 && summary.toString().length > 990);
  t.true(summary.allows(10001));
});

const ports = fc.tuple(fc.integer({ min: 1, max: 65535 }), fc.integer({ min: 1, max: 65535 }));
const rules = fc.array(fc.tuple(fc.boolean(), ports), { maxLength: 12 });

test('a summary says of each port what the rules for every address say', (t) => {
  fc.assert(
    fc.property(rules, fc.integer({ min: 1, max: 65535 }), (list, probe) => {
      const lines = list.map(
        ([accept, [a, b]]) => `${accept ? 'accept' : 'reject'} *:${Math.min(a, b)}-${Math.max(a, b)}`,
      );
      const policy = parsePolicyLines([...lines, 'reject *:*']);
      t.is(policy.summary().allows(probe), policy.allows('8.8.8.8', probe));
      t.is(policy.ipv6Summary().allows(probe), policy.allows('2001:db8::1', probe));
      t.is(
        effectiveExitPolicy({ lines, exit: true, ipv6: true, rejectPrivate: false }).allows('8.8.8.8', probe),
        parsePolicyLines([...lines, DEFAULT_EXIT_POLICY]).allows('8.8.8.8', probe),
      );
    }),
  );
});

test('summaries round-trip', (t) => {
  fc.assert(
    fc.property(fc.boolean(), fc.array(ports, { minLength: 1, maxLength: 40 }), (accept, list) => {
      const summary = makePortSummary(
        accept,
        list.map(([a, b]) => [Math.min(a, b), Math.max(a, b)]),
      );
      t.deepEqual(parsePortSummary(summary.toString()), summary);
    }),
  );
});

test('random lines are read or refused, never a crash', (t) => {
  const part = fc.constantFrom(
    'accept ',
    'reject6 ',
    '*',
    '[',
    ']',
    '::1',
    '/',
    '8',
    ':',
    '80',
    '-',
    'private',
    ',',
    '1.2.3.4',
  );
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string({ unit: 'binary' }),
        fc.array(part).map((p) => p.join('')),
      ),
      (line) => {
        try {
          parsePolicyLines([line]);
        } catch (error) {
          if (!(error instanceof DecodeError)) throw error;
        }
      },
    ),
    { numRuns: 2000 },
  );
  t.pass();
});
