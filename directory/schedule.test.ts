import test from 'ava';
import { isLive, scheduleAfter, startOfIntervalAfter, timingAt, votingSchedule } from './schedule.js';

const at = (text: string): number => Date.parse(`${text}Z`);
const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

const options = {
  TestingV3AuthInitialVotingInterval: 30 * MINUTE,
  TestingV3AuthInitialVoteDelay: 5 * MINUTE,
  TestingV3AuthInitialDistDelay: 5 * MINUTE,
  TestingV3AuthVotingStartOffset: 0,
};

test('intervals are counted from midnight and never cross it', (t) => {
  t.is(startOfIntervalAfter(at('2026-03-01T10:20:00'), HOUR, 0), at('2026-03-01T11:00:00'));
  t.is(startOfIntervalAfter(at('2026-03-01T11:00:00'), HOUR, 0), at('2026-03-01T12:00:00'));
  t.is(startOfIntervalAfter(at('2026-03-01T23:30:00'), HOUR, 0), at('2026-03-02T00:00:00'));
  // 7 h does not divide the day: 21:00 would leave 3 h, less than half, so the last interval ends at midnight.
  t.is(startOfIntervalAfter(at('2026-03-01T13:59:59'), 7 * HOUR, 0), at('2026-03-01T14:00:00'));
  t.is(startOfIntervalAfter(at('2026-03-01T14:00:00'), 7 * HOUR, 0), at('2026-03-01T17:00:00'));
  t.is(startOfIntervalAfter(at('2026-03-01T17:00:00'), 7 * HOUR, 0), at('2026-03-02T00:00:00'));
  // 9 h: 18:00 leaves 6 h of 9, enough.
  t.is(startOfIntervalAfter(at('2026-03-01T09:00:00'), 9 * HOUR, 0), at('2026-03-01T18:00:00'));
});

test('an offset shifts the starts and skips none', (t) => {
  t.is(startOfIntervalAfter(at('2026-03-01T10:20:00'), HOUR, 10 * MINUTE), at('2026-03-01T11:10:00'));
  t.is(startOfIntervalAfter(at('2026-03-01T10:05:00'), HOUR, 10 * MINUTE), at('2026-03-01T10:10:00'));
});

test('fractions of a second do not matter', (t) => {
  t.is(startOfIntervalAfter(at('2026-03-01T10:59:59.999'), HOUR, 0), at('2026-03-01T11:00:00'));
});

test('the steps of an hour with the default delays', (t) => {
  const consensus = {
    validAfter: at('2026-03-01T10:00:00'),
    freshUntil: at('2026-03-01T11:00:00'),
    validUntil: at('2026-03-01T13:00:00'),
    votingDelay: { vote: 300, dist: 300 },
  };
  const schedule = votingSchedule(at('2026-03-01T10:20:00'), options, consensus);
  t.deepEqual(schedule, {
    interval: HOUR,
    voteAt: at('2026-03-01T10:50:00'),
    fetchVotesAt: at('2026-03-01T10:52:30'),
    computeAt: at('2026-03-01T10:55:00'),
    fetchSignaturesAt: at('2026-03-01T10:57:30'),
    validAfter: at('2026-03-01T11:00:00'),
    consensus: consensus.validAfter,
  });
});

test('without a live consensus the initial timing holds', (t) => {
  const expired = {
    validAfter: at('2026-03-01T07:00:00'),
    freshUntil: at('2026-03-01T08:00:00'),
    validUntil: at('2026-03-01T10:00:00'),
    votingDelay: { vote: 300, dist: 300 },
  };
  t.true(isLive(expired, at('2026-03-01T10:00:00')));
  t.false(isLive(expired, at('2026-03-01T10:00:01')));
  for (const consensus of [undefined, expired]) {
    const timing = timingAt(at('2026-03-01T10:20:00'), options, consensus);
    t.deepEqual(timing, {
      interval: 30 * MINUTE,
      voteDelay: 5 * MINUTE,
      distDelay: 5 * MINUTE,
      consensus: undefined,
    });
  }
});

test('delays that do not fit into half an interval become a quarter of it, in whole seconds', (t) => {
  const timing = { interval: 10_000, voteDelay: 4000, distDelay: 2000, consensus: undefined };
  const schedule = scheduleAfter(at('2026-03-01T10:00:01'), timing, 0);
  t.is(schedule.validAfter, at('2026-03-01T10:00:10'));
  t.is(schedule.computeAt, at('2026-03-01T10:00:08'));
  t.is(schedule.voteAt, at('2026-03-01T10:00:06'));
  t.is(schedule.fetchVotesAt, at('2026-03-01T10:00:07'));
  t.is(schedule.fetchSignaturesAt, at('2026-03-01T10:00:09'));
});
