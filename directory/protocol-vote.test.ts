import test from 'ava';
import { parseProtocols } from '../shared/netdoc/protover.js';
import { vectors } from '../shared/testing/vectors.js';
import { voteOnProtocols } from './protocol-vote.js';

interface Vector {
  votes: string[];
  threshold: number;
  out: string;
}

test('protocol votes come out as in C tor', (t) => {
  for (const v of vectors<{ vectors: Vector[] }>('protover-vote.json').vectors) {
    const lists = v.votes.map((list) => parseProtocols(list));
    t.is(voteOnProtocols(lists, v.threshold), v.out);
  }
});

test('no votes, or none that agree, make an empty list', (t) => {
  t.is(voteOnProtocols([], 1), '');
  t.is(voteOnProtocols([parseProtocols('Link=4'), parseProtocols('Link=5')], 2), '');
});

test('the highest version counts too', (t) => {
  t.is(voteOnProtocols([parseProtocols('A=0,62-63')], 1), 'A=0,62-63');
});
