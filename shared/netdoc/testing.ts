/**
 * What the tests of several documents need: keys of a relay, the real documents, ways to spoil a text.
 *
 * @module
 */
import { generateKeyPairSync } from 'node:crypto';
import type { ExecutionContext } from 'ava';
import { DecodeError } from '../bytes/errors.js';
import { CertType, makeEd25519Cert } from '../crypto/certs.js';
import { ed25519FromSeed } from '../crypto/ed25519.js';
import { type RsaKey, rsaFromKeyObject } from '../crypto/rsa.js';
import { x25519FromSecret } from '../crypto/x25519.js';
import { fc } from '../testing/properties.js';
import type { DescriptorKeys } from './server-descriptor.js';

const DAY = 86_400_000;

/** An RSA key at once: AVA wants tests declared before anything is awaited. */
export const makeTestRsa = (bits = 1024): RsaKey =>
  rsaFromKeyObject(generateKeyPairSync('rsa', { modulusLength: bits, publicExponent: 65537 }).privateKey);

/** Keys of a relay, the ed25519 and x25519 ones from a number. */
export function makeTestKeys(number: number, published: number): DescriptorKeys {
  const master = ed25519FromSeed(new Uint8Array(32).fill(number));
  const signer = ed25519FromSeed(new Uint8Array(32).fill(number + 100));
  const cert = makeEd25519Cert({
    type: CertType.SIGNING,
    key: signer.publicKey,
    expires: published + 30 * DAY,
    signer: master,
    includeSigner: true,
  });
  const ntor = { current: x25519FromSecret(new Uint8Array(32).fill(number + 50)) };
  return {
    rsa: makeTestRsa(),
    tap: makeTestRsa(),
    ed25519Id: master.publicKey,
    signing: { signer, cert },
    ntor,
  };
}

/** Texts made from a good one by cutting, doubling, swapping and overwriting pieces of it. */
export function mutations(text: string): fc.Arbitrary<string> {
  const at = fc.nat({ max: text.length });
  const junk = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 20 }),
    fc.constantFrom('\n', ' ', '', '-----', '=', '9'),
  );
  const lines = text.split('\n');
  const line = fc.nat({ max: lines.length - 1 });
  return fc.oneof(
    at.map((n) => text.slice(0, n)),
    fc.tuple(at, at, junk).map(([a, b, j]) => text.slice(0, Math.min(a, b)) + j + text.slice(Math.max(a, b))),
    fc.tuple(at, junk).map(([a, j]) => text.slice(0, a) + j + text.slice(a + j.length)),
    line.map((n) => lines.toSpliced(n, 1).join('\n')),
    fc.tuple(line, line).map(([a, b]) => lines.toSpliced(a, 0, lines[b] ?? '').join('\n')),
    fc.tuple(line, line).map(([a, b]) =>
      lines
        .with(a, lines[b] ?? '')
        .with(b, lines[a] ?? '')
        .join('\n'),
    ),
  );
}

/** Checks that mutated and random texts are read or refused with a DecodeError, nothing else. */
export function survives(
  t: ExecutionContext,
  text: string,
  parse: (text: string) => unknown,
  numRuns = 300,
): void {
  const property = fc.property(
    fc.oneof({ weight: 9, arbitrary: mutations(text) }, fc.string({ unit: 'binary' })),
    (mutated) => {
      try {
        parse(mutated);
      } catch (error) {
        if (!(error instanceof DecodeError)) throw error;
      }
    },
  );
  t.notThrows(() => fc.assert(property, { numRuns }));
}

/** Checks that a text is refused with an error naming this field. */
export function refuses(t: ExecutionContext, parse: () => unknown, field: string): void {
  t.is(t.throws(parse, { instanceOf: DecodeError })?.field, field);
}
