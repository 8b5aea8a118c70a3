import test from 'ava';
import { DecodeError } from '../bytes/errors.js';
import { fc } from '../testing/properties.js';
import { vectors } from '../testing/vectors.js';
import { applyConsensusDiff, makeConsensusDiff, sha3AsSigned } from './consensus-diff.js';

interface DiffVector {
  flavour: string;
  request_header_X_Or_Diff_From_Consensus: string;
  base: string;
  diff: string;
  target: string;
}

for (const vector of vectors<{ vectors: DiffVector[] }>('consensus-diff.json').vectors) {
  test(`${vector.flavour}: C tor's diff gives C tor's consensus, and ours gives the same`, (t) => {
    t.is(sha3AsSigned(vector.base), vector.request_header_X_Or_Diff_From_Consensus);
    t.is(applyConsensusDiff(vector.base, vector.diff), vector.target);
    t.is(applyConsensusDiff(vector.base, makeConsensusDiff(vector.base, vector.target)), vector.target);
  });
}

const consensus = fc
  .record({
    head: fc.array(fc.constantFrom('a 1', 'b 2', 'c 3', 'params x=1'), { maxLength: 5 }),
    routers: fc.uniqueArray(fc.integer({ min: 0, max: 12 }), { maxLength: 8 }),
    detail: fc.array(fc.constantFrom('s Fast', 's Guard', 'w Bandwidth=1'), { minLength: 1, maxLength: 3 }),
    foot: fc.constantFrom('directory-footer\n', 'directory-footer\nbandwidth-weights Wbd=0\n'),
    signatures: fc.array(fc.constantFrom('x', 'y'), { minLength: 1, maxLength: 3 }),
  })
  .map(
    ({ head, routers, detail, foot, signatures }) =>
      `network-status-version 3\n${head.map((line) => `${line}\n`).join('')}${routers
        .sort((a, b) => a - b)
        .map((id) => `r n ${String(id).padStart(3, '0')} x\n${detail.join('\n')}\n`)
        .join(
          '',
        )}${foot}${signatures.map((signature) => `directory-signature ${signature}\nAAAA\n`).join('')}`,
  );

test('a diff between any two consensuses applies', (t) => {
  fc.assert(
    fc.property(consensus, consensus, (base, target) => {
      t.is(applyConsensusDiff(base, makeConsensusDiff(base, target)), target);
    }),
    { numRuns: 300 },
  );
});

test('a broken script is refused, whatever is broken', (t) => {
  const base = 'a\nb\nc\ndirectory-signature x\nAAAA\n';
  const head = `network-status-diff-version 1\nhash ${sha3AsSigned(base)} ${'0'.repeat(64)}\n`;
  for (const [script, field] of [
    ['', /diff.version/],
    ['network-status-diff-version 2\n', /diff.version/],
    ['network-status-diff-version 1\nhash 00 11\n', /diff.hash/],
    [`network-status-diff-version 1\nhash ${'0'.repeat(64)} ${'0'.repeat(64)}\n1d\n`, /another base/],
    [`${head}1x\n`, /diff.command/],
    [`${head}0d\n`, /diff.command/],
    [`${head}3,2d\n`, /diff.command/],
    [`${head}9d\n`, /diff/],
    [`${head}1d\n3d\n`, /backwards/],
    [`${head}1,$c\nx\n.\n`, /diff.command/],
    [`${head}2a\nx\n`, /diff.text/],
    [`${head}2d\n`, /promised/],
  ] as const) {
    t.throws(() => applyConsensusDiff(base, script), { instanceOf: DecodeError, message: field }, script);
  }
});

test('applying survives any script', (t) => {
  const base = 'a\nb\nc\ndirectory-signature x\nAAAA\n';
  const head = `network-status-diff-version 1\nhash ${sha3AsSigned(base)} ${'0'.repeat(64)}\n`;
  const line = fc.oneof(
    fc.stringMatching(/^\d{1,3}(,(\d{1,3}|\$))?[acd]$/),
    fc.constantFrom('.', 'x'),
    fc.string(),
  );
  fc.assert(
    fc.property(fc.array(line, { maxLength: 8 }), (lines) => {
      try {
        applyConsensusDiff(base, head + lines.join('\n'));
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error;
      }
    }),
  );
  t.pass();
});
