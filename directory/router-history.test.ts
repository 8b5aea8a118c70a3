import test from 'ava';
import { RouterHistory } from './router-history.js';
import { NOW } from './testing.js';

const A = 'A'.repeat(40);
const HOUR = 3600;
const at = (seconds: number): number => NOW + seconds * 1000;
const PENALTY = 3600_000;

/** Up for 3 h, down for 1 h, up again. */
function watched(): RouterHistory {
  const history = new RouterHistory();
  history.reachable(A, '1.2.3.4:9001', at(0), PENALTY);
  history.unreachable(A, at(3 * HOUR));
  history.reachable(A, '1.2.3.4:9001', at(4 * HOUR), PENALTY);
  return history;
}

test('a relay nobody has seen has no history', (t) => {
  const history = new RouterHistory();
  t.is(history.uptime(A, NOW), 0);
  t.is(history.meanTimeBetweenFailures(A, NOW), 0);
  t.is(history.fractionalUptime(A, NOW), 0);
  t.is(history.timeKnown(A, NOW), 0);
});

test('a clock that is set back makes no negative times: our own vote would be malformed', (t) => {
  const history = new RouterHistory();
  history.reachable(A, '1.2.3.4:9001', at(600), PENALTY);
  t.is(history.timeKnown(A, at(0)), 0);
  t.is(history.meanTimeBetweenFailures(A, at(0)), 0);
  t.is(history.fractionalUptime(A, at(0)), 0);
  history.unreachable(A, at(700));
  t.is(history.timeKnown(A, at(0)), 100);
  t.is(history.fractionalUptime(A, at(0)), 1);
  history.reachable(A, '1.2.3.4:9001', at(0), PENALTY);
  t.is(history.timeKnown(A, at(0)), 100);
});

test('runs, downtime and the run under way all count', (t) => {
  const history = watched();
  const now = at(5 * HOUR);
  t.is(history.uptime(A, now), HOUR);
  // Two runs, of three hours and of one so far.
  t.is(history.meanTimeBetweenFailures(A, now), 2 * HOUR);
  t.is(history.timeKnown(A, now), 5 * HOUR);
  t.is(history.fractionalUptime(A, now), 4 / 5);
});

test('being found up or down again changes nothing', (t) => {
  const history = watched();
  history.reachable(A, '1.2.3.4:9001', at(4.5 * HOUR), PENALTY);
  t.is(history.meanTimeBetweenFailures(A, at(5 * HOUR)), 2 * HOUR);
  history.unreachable(A, at(5 * HOUR));
  history.unreachable(A, at(6 * HOUR));
  t.is(history.uptime(A, at(6 * HOUR)), 0);
  t.is(history.fractionalUptime(A, at(6 * HOUR)), 4 / 6);
});

test('having moved counts as some downtime', (t) => {
  const history = new RouterHistory();
  history.reachable(A, '1.2.3.4:9001', at(0), PENALTY);
  history.reachable(A, '1.2.3.5:9001', at(4 * HOUR), PENALTY);
  t.is(history.uptime(A, at(5 * HOUR)), HOUR);
  t.is(history.fractionalUptime(A, at(5 * HOUR)), 4 / 5);
});

test('a Sybil has never been up', (t) => {
  const history = watched();
  history.makePessimal(A, at(5 * HOUR));
  t.is(history.fractionalUptime(A, at(5 * HOUR)), 0);
  t.is(history.meanTimeBetweenFailures(A, at(5 * HOUR)), 0);
});

test('old runs lose 5 % each 12 hours', (t) => {
  const history = watched();
  history.downrate(at(5 * HOUR));
  history.unreachable(A, at(5 * HOUR));
  history.downrate(at(29 * HOUR));
  // Both runs are discounted alike, so their mean stays; time known shrinks, and grows by the downtime since.
  t.is(history.meanTimeBetweenFailures(A, at(29 * HOUR)), Math.floor(4 * HOUR * 0.95 ** 2) / (2 * 0.95 ** 2));
  t.is(history.timeKnown(A, at(29 * HOUR)), Math.floor(5 * HOUR * 0.95 ** 2) + 24 * HOUR);
});

test('four hours of observation are enough', (t) => {
  const history = new RouterHistory();
  history.reachable(A, 'x', at(0), PENALTY);
  t.false(history.hasEnoughData(at(4 * HOUR)));
  t.true(history.hasEnoughData(at(4 * HOUR + 1)));
});

test('the time an authority was away counts as nothing', (t) => {
  const kept = watched().snapshot(at(5 * HOUR));
  const back = new RouterHistory(kept, at(15 * HOUR));
  t.is(back.uptime(A, at(15 * HOUR)), HOUR);
  t.is(back.fractionalUptime(A, at(15 * HOUR)), 4 / 5);
  t.is(back.meanTimeBetweenFailures(A, at(15 * HOUR)), 2 * HOUR);
});

test('a clock that went backwards does no harm', (t) => {
  const history = new RouterHistory();
  history.reachable(A, 'x', at(HOUR), PENALTY);
  history.unreachable(A, at(0));
  t.is(history.fractionalUptime(A, at(2 * HOUR)), 0);
  t.true(history.meanTimeBetweenFailures(A, at(2 * HOUR)) >= 0);
});
