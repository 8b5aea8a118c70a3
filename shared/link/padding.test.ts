import test from 'ava';
import { PADDING_NEGOTIATE, PaddingCommand } from '../cell/channel-cells.js';
import { Command } from '../cell/commands.js';
import type { Clock, Random } from '../runtime/types.js';
import {
  ChannelPadding,
  DEFAULT_PADDING_TIMES,
  type PaddingConfig,
  type PaddingRole,
  type PaddingTimes,
} from './padding.js';

/** What time passes between two turns, milliseconds: enough to tell a write from the call that wanted it. */
const TURN = 0.25;

/** A clock that goes on while code runs, as a real one does, and a link on it that writes at the end of the turn. */
function setUp(
  role: PaddingRole,
  draws: number[],
  times = () => DEFAULT_PADDING_TIMES,
  { mode = 'on', linkProtocol = 5 }: { mode?: PaddingConfig['mode']; linkProtocol?: number } = {},
) {
  let time = 0;
  const timers: { at: number; wake: () => void }[] = [];
  const deferred: (() => void)[] = [];
  const clock: Clock = {
    now: () => time,
    monotonic: () => time,
    hold: (work) => work,
    keepAlive: () => ({ cancel() {} }),
    defer: (run) => deferred.push(run),
    setTimer(delay, wake) {
      const timer = { at: time + delay, wake };
      timers.push(timer);
      return { cancel: () => void (timers.includes(timer) && timers.splice(timers.indexOf(timer), 1)) };
    },
  };
  const random = { below: () => draws.shift() ?? 0 } as unknown as Random;
  const sent: number[] = [];
  const channel = {
    open: true,
    linkProtocol,
    lastActive: 0,
    lastWrite: 0,
    carriesCircuits: true,
    queued: 0,
    sendControl(command: number) {
      if (command !== Command.PADDING) return;
      clock.defer(() => {
        channel.lastWrite = time;
        sent.push(Math.round(time));
      });
    },
  };
  const padding = new ChannelPadding(channel, { mode, times }, () => role, { clock, random });
  const advance = (until: number) => {
    for (;;) {
      timers.sort((a, b) => a.at - b.at);
      if (!timers[0] || timers[0].at > until) break;
      const { at, wake } = timers.shift()!;
      time = Math.max(time, at);
      wake();
      time += TURN;
      for (let run = deferred.shift(); run; run = deferred.shift()) run();
    }
    time = until;
  };
  return { padding, sent, advance };
}

test('a cell of padding is followed by the next after one draw, though it is written a little later', (t) => {
  // A draw is the larger of two. When the timer fires there is one for what may have come since (here: long), and one
  // for what follows the padding.
  const draws = [0, 0, 7900, 0, 1000, 0, 7900, 0, 6000, 0, 7900, 0, 500, 0];
  const { sent, advance } = setUp('client', draws);
  advance(13_600);
  const gaps = sent.map((at, i) => at - (sent[i - 1] ?? 0));
  t.deepEqual(
    gaps.map((gap) => Math.round(gap / 100) * 100),
    [1500, 2500, 7500, 2000],
  );
});

const negotiate = (command: number, low: number, high: number) =>
  PADDING_NEGOTIATE.encode({ version: 0, command, low, high });

test('a client that asks for padding and names no times gets those of the consensus', (t) => {
  const { padding, sent, advance } = setUp('relay', [0, 0, 6000, 0]);
  padding.negotiate(negotiate(PaddingCommand.STOP, 0, 0));
  advance(60_000);
  t.deepEqual(sent, []);
  padding.negotiate(negotiate(PaddingCommand.START, 0, 0));
  advance(60_000 + 7_400);
  t.deepEqual(sent, []);
  advance(60_000 + 7_600);
  t.is(sent.length, 1);
});

test('a command nobody knows changes nothing, and costs no link', (t) => {
  const { padding, sent, advance } = setUp('relay', []);
  t.notThrows(() => padding.negotiate(negotiate(9, 5000, 5000)));
  advance(1_600);
  t.is(sent.length, 1);
});

test('what a consensus says later holds for links that are open', (t) => {
  let times: PaddingTimes = DEFAULT_PADDING_TIMES;
  const { sent, advance } = setUp('between', [], () => times);
  advance(300_000);
  t.deepEqual(sent, []);
  times = { ...times, padRelays: true };
  advance(370_000);
  t.true(sent.length > 0);
  times = { ...times, low: 0, high: 0 };
  advance(380_000);
  const before = sent.length;
  advance(600_000);
  t.is(sent.length, before);
  times = { ...DEFAULT_PADDING_TIMES, padRelays: true };
  advance(670_000);
  t.true(sent.length > before);
});

test('a relay that does not know of padding gets it only from a client that insists', (t) => {
  for (const [mode, wanted] of [
    ['on', []],
    ['reduced', []],
    ['always', [1500, 3000]],
  ] as const) {
    const { sent, advance } = setUp('client', [], undefined, { mode, linkProtocol: 4 });
    advance(4000);
    t.deepEqual(
      sent.map((at) => Math.round(at / 100) * 100),
      [...wanted],
      mode,
    );
  }
});
