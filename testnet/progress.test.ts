import test from 'ava';
import { planNetwork } from './plan.js';
import { Progress } from './progress.js';

test('nothing is drawn over what comes after the network is ready', (t) => {
  for (const tty of [true, false]) {
    let written = '';
    const write = (text: string) => {
      written += text;
    };
    const progress = new Progress({ write, tty }, () => 1);
    const plan = planNetwork({ authorities: 1, relays: 3, exits: 1 }, 20_000);
    progress.heard({ type: 'planned', directory: '/net', plan });
    progress.heard({ type: 'fetched' });
    progress.heard({ type: 'ready', onion: false });
    t.true(written.includes('the demo page came through three hops'));
    written = '';
    // A relay that was not waited for.
    progress.heard({ type: 'node', name: 'relay1', event: { type: 'published', authorities: 1 } });
    for (const { name } of plan.nodes)
      progress.heard({
        type: 'node',
        name,
        event: { type: 'listening', what: 'or', host: '127.1.0.1', port: 20_000 },
      });
    t.is(written, '');
  }
});
