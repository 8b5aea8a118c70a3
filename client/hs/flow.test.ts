import test from 'ava';
import { agreedSendmeInc } from './flow.js';

test('a client asks for congestion control where the service has it, FlowCtrl=2, and the consensus has it on', (t) => {
  const param = (_name: string, fallback: number) => fallback;
  const agreed = (versions: string) => agreedSendmeInc({ versions, sendmeInc: 31 }, param);
  t.is(agreed('1-2'), 31);
  t.is(agreed('2'), 31);
  t.is(agreed('1'), undefined);
  t.is(agreed('3-4'), undefined);
  t.is(agreedSendmeInc(undefined, param), undefined);
  t.is(
    agreedSendmeInc({ versions: '1-2', sendmeInc: 31 }, (name, fallback) =>
      name === 'cc_alg' ? 0 : fallback,
    ),
    undefined,
  );
});
