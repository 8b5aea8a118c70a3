import test from 'ava';
import type { ConsensusParam } from '../shared/onion/flow.js';
import { testRandom } from '../shared/testing/random.js';
import { availability, idleLinks, paddingOf } from './link-life.js';
import { Predictor } from './predictor.js';
import { clientOptions } from './testing.js';

const MINUTE = 60_000;

const param =
  (values: Record<string, number> = {}): ConsensusParam =>
  (name, fallback, min, max) =>
    Math.min(max, Math.max(min, values[name] ?? fallback));

test('options say whether links are padded, the consensus how often', (t) => {
  const mode = (...lines: string[]) => paddingOf(clientOptions(...lines), param()).mode;
  t.is(mode(), 'on');
  t.is(mode('ConnectionPadding 1'), 'always');
  t.is(mode('ConnectionPadding 0', 'ReducedConnectionPadding 1'), 'off');
  t.is(mode('ConnectionPadding 1', 'ReducedConnectionPadding 1'), 'reduced');
  const { times } = paddingOf(clientOptions(), param({ nf_ito_low: 4000, nf_ito_high: 3000 }));
  t.deepEqual(times(), { low: 4000, high: 4000, lowReduced: 9000, highReduced: 14_000, padRelays: false });
});

test('links and circuits are kept ready for 30 to 60 minutes, or as options and consensus have it', (t) => {
  const random = testRandom('availability');
  const drawn = (values: Record<string, number>, ...lines: string[]) => {
    const draws = Array.from({ length: 50 }, () =>
      availability(clientOptions(...lines), param(values), random),
    );
    return [Math.min(...draws), Math.max(...draws)] as const;
  };
  for (const [values, lines, least] of [
    [{}, [], 30],
    [{ nf_conntimeout_clients: 600 }, [], 10],
    [{}, ['ReducedConnectionPadding 1'], 15],
    [{}, ['ReducedConnectionPadding 1', 'CircuitsAvailableTimeout 2 hours'], 120],
  ] as const) {
    const [low, high] = drawn(values, ...lines);
    t.true(low >= least * MINUTE && low < least * 1.2 * MINUTE, `${low}`);
    t.true(high > least * 1.8 * MINUTE && high < least * 2 * MINUTE, `${high}`);
  }
  t.is(idleLinks(clientOptions()).idleClient, 3 * MINUTE);
  t.is(idleLinks(clientOptions('ReducedConnectionPadding 1')).idleClient, 1.5 * MINUTE);
});

test('a port is expected again for as long as was drawn, and another time is drawn when nothing is expected', (t) => {
  const draws = [40 * MINUTE, 50 * MINUTE];
  const predictor = new Predictor(0, () => draws.shift()!);
  t.deepEqual(predictor.expected(0), [80, 443]);
  predictor.note(22, 10 * MINUTE);
  t.is(predictor.remaining(10 * MINUTE), 40 * MINUTE);
  t.is(predictor.remaining(30 * MINUTE), 20 * MINUTE);
  t.deepEqual(predictor.expected(41 * MINUTE), [22]);
  t.deepEqual(predictor.expected(51 * MINUTE), []);
  t.is(predictor.remaining(51 * MINUTE), 0);
  predictor.noteInternal(100 * MINUTE);
  t.is(predictor.remaining(100 * MINUTE), 50 * MINUTE);
  t.true(predictor.expectsInternal(150 * MINUTE));
  t.false(predictor.expectsInternal(151 * MINUTE));
});
