import test from 'ava';
import { authorityMissing, clientMissing, relayMissing } from './readiness.js';

const NOW = 1_700_000_000_000;

test('an authority needs a consensus of now', (t) => {
  t.regex(authorityMissing({ consensus: undefined }, NOW) ?? '', /no consensus yet/);
  t.regex(authorityMissing({ consensus: { validAfter: 0, validUntil: NOW - 1 } }, NOW) ?? '', /expired/);
  t.is(authorityMissing({ consensus: { validAfter: 0, validUntil: NOW + 1 } }, NOW), undefined);
});

test('a relay needs to be in it', (t) => {
  t.regex(relayMissing({ consensusValidUntil: undefined, listed: false }, NOW) ?? '', /no consensus yet/);
  t.regex(relayMissing({ consensusValidUntil: NOW + 1, listed: false }, NOW) ?? '', /does not list/);
  t.regex(relayMissing({ consensusValidUntil: NOW - 1, listed: true }, NOW) ?? '', /expired/);
  t.is(relayMissing({ consensusValidUntil: NOW + 1, listed: true }, NOW), undefined);
});

test('a client needs circuits, and its services need to be found', (t) => {
  const done = { percent: 100, tag: 'done' };
  const service = (...heldBy: number[]) => ({
    address: 'x.onion',
    introductions: 3,
    descriptors: heldBy.map((each) => ({ heldBy: each })),
  });
  const status = (over: object) =>
    ({ bootstrap: done, ready: true, onionServices: [], ...over }) as unknown as Parameters<
      typeof clientMissing
    >[0];
  t.is(clientMissing(status({})), undefined);
  t.regex(
    clientMissing(status({ bootstrap: { percent: 45, tag: 'requesting_descriptors' } })) ?? '',
    /45% \(requ/,
  );
  t.regex(clientMissing(status({ ready: false })) ?? '', /too little is known/);
  t.regex(clientMissing(status({ onionServices: [service(3, 3), service()] })) ?? '', /no descriptor/);
  t.regex(clientMissing(status({ onionServices: [service(0, 0)] })) ?? '', /no descriptor/);
  t.is(clientMissing(status({ onionServices: [service(0, 2)] })), undefined);
});
