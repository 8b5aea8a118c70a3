import test from 'ava';
import { toHex } from '../bytes/text.js';
import { vectorText } from '../testing/vectors.js';
import { parseConsensus } from './consensus.js';
import { encodeDetachedSignatures, parseDetachedSignatures } from './detached.js';
import { refuses, survives } from './testing.js';

const NS = vectorText('real-tor/consensus-ns.txt');
const MD = vectorText('real-tor/consensus-microdesc.txt');
const DETACHED = vectorText('real-tor/detached-signatures.txt');

test('detached signatures of a real network', (t) => {
  const detached = parseDetachedSignatures(DETACHED);
  t.is(encodeDetachedSignatures(detached), DETACHED);
  const ns = parseConsensus(NS);
  const md = parseConsensus(MD);
  t.deepEqual(detached.signatures.get('ns'), ns.signatures);
  t.deepEqual(detached.signatures.get('microdesc'), md.signatures);
  t.is(toHex(detached.digests.get('ns') ?? new Uint8Array(0)), toHex(ns.signedDigests.sha1));
  t.is(toHex(detached.digests.get('microdesc') ?? new Uint8Array(0)), toHex(md.signedDigests.sha256));
});

const BAD_DETACHED: readonly [name: string, text: string, field: string][] = [
  ['nothing', '', 'consensus-digest'],
  ['a short digest', DETACHED.replace(/consensus-digest ../, 'consensus-digest '), 'consensus-digest'],
  ['no time', DETACHED.replace(/\nvalid-until .*/, ''), 'valid-until'],
  ['two digests', DETACHED.replace(/(\nadditional-digest .*)/, '$1$1'), 'additional-digest'],
  [
    'a short microdesc digest',
    DETACHED.replace(/(additional-digest microdesc sha256) ../, '$1 '),
    'additional-digest',
  ],
  [
    'a short identity',
    DETACHED.replace(/\ndirectory-signature ../, '\ndirectory-signature '),
    'directory-signature',
  ],
  [
    'a short signature',
    DETACHED.replace(/(\nadditional-signature .*\n[^\n]*\n)(.{64}\n)+/, '$1'),
    'additional-signature',
  ],
  ['too much', `${DETACHED}${'x\n'.repeat(270_000)}`, ''],
];
for (const [name, text, field] of BAD_DETACHED)
  test(`detached signatures: refuses ${name}`, (t) =>
    refuses(
      t,
      () => parseDetachedSignatures(text),
      field === '' ? 'detached-signatures' : `detached-signatures.${field}`,
    ));

test('detached signatures of flavours and algorithms to come are ignored', (t) => {
  const text = DETACHED.replaceAll('microdesc sha256', 'nanodesc sha3-256');
  const detached = parseDetachedSignatures(text);
  t.false(detached.digests.has('microdesc'));
  t.deepEqual(detached.signatures.get('microdesc'), []);
  t.is(detached.signatures.get('ns')?.length, 4);
});

test('mutated ones are read or refused', (t) => {
  survives(t, DETACHED, parseDetachedSignatures);
});
