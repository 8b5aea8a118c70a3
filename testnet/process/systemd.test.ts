import test from 'ava';
import { memoryLog } from '../../shared/log/memory.js';
import { connectSystemd, type Runner } from './systemd.js';

const turn = () => new Promise((resolve) => setImmediate(resolve));

test('without NOTIFY_SOCKET nobody is told', async (t) => {
  const systemd = connectSystemd(memoryLog(), {}, () => t.fail());
  systemd.tell({ READY: 1 });
  await turn();
  systemd.stop();
  t.pass();
});

test('states are told one after the other, and children do not inherit the socket', async (t) => {
  const environment = { NOTIFY_SOCKET: '/run/x', WATCHDOG_USEC: '30000000', WATCHDOG_PID: '1' };
  const said: string[] = [];
  const done: (() => void)[] = [];
  const run: Runner = (args, finished) => {
    said.push(args.join(' '));
    done.push(() => finished(null));
  };
  const systemd = connectSystemd(memoryLog(), environment, run);
  systemd.tell({ READY: 1, STATUS: 'relay runs' });
  systemd.tell({ STOPPING: 1 });
  t.deepEqual(said, ['READY=1 STATUS=relay runs']);
  done.shift()!();
  t.deepEqual(said, ['READY=1 STATUS=relay runs', 'STOPPING=1']);
  t.deepEqual(environment as Record<string, string>, {});
  systemd.stop();
});

test('a systemd-notify that does not work is warned about once', (t) => {
  const log = memoryLog();
  const systemd = connectSystemd(log, { NOTIFY_SOCKET: '@x' }, (_args, done) => done(new Error('ENOENT')));
  systemd.tell({ READY: 1 });
  systemd.tell({ READY: 1 });
  t.is(log.text().match(/ENOENT/g)?.length, 1);
  systemd.stop();
});
