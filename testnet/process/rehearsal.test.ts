import test from 'ava';
import { rehearse } from './rehearsal.js';

test('a rehearsal carries a page through an exit and through an onion service', async (t) => {
  t.timeout(300_000);
  t.true(await rehearse());
});
