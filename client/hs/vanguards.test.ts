import test from 'ava';
import { idOf, seededRandom, sketchNetwork, sketchRules } from '../testing.js';
import { Vanguards } from './vanguards.js';

const RELAYS = 30;
const NOBODY: ReadonlySet<string> = new Set();

/** Relays; of some the microdescriptor is not there. */
const networkWithout = (unknown: ReadonlySet<string>) =>
  sketchNetwork(Array.from({ length: RELAYS }, (_, n) => ({ unknown: unknown.has(idOf(n)) })));

test('a vanguard whose new microdescriptor is still to be fetched is passed over, not replaced', (t) => {
  const vanguards = new Vanguards(seededRandom(1), sketchRules());
  /** All that are chosen in a hundred times. */
  const chosen = (unknown: ReadonlySet<string>) => {
    const network = networkWithout(unknown);
    return [...new Set(Array.from({ length: 100 }, () => vanguards.choose(network, 0, NOBODY)!.id))].sort();
  };
  const all = chosen(NOBODY);
  t.is(all.length, 4);
  const [one, ...others] = all as [string, ...string[]];
  t.deepEqual(chosen(new Set([one])), others);
  t.deepEqual(chosen(NOBODY), all);
});

test('a vanguard that is not Stable or Fast any more makes room for one that is, if there is any', (t) => {
  const vanguards = new Vanguards(seededRandom(2), sketchRules());
  /** All that are chosen in a hundred times, where these relays alone are steady. */
  const chosen = (steady: (id: string) => boolean) => {
    const network = sketchNetwork(
      Array.from({ length: RELAYS }, (_, n) => ({
        flags: steady(idOf(n)) ? 'Fast Stable Running Valid' : 'Fast Running Valid',
      })),
    );
    return [...new Set(Array.from({ length: 100 }, () => vanguards.choose(network, 0, NOBODY)!.id))].sort();
  };
  const all = chosen(() => true);
  const [one, ...others] = all as [string, ...string[]];
  const next = chosen((id) => id !== one);
  t.false(next.includes(one));
  t.is(next.length, 4);
  t.true(others.every((id) => next.includes(id)));
  t.deepEqual(
    chosen(() => false),
    next,
  );
});
