/**
 * Identities for tests of links.
 *
 * @module
 */
import { CertType, makeEd25519Cert } from '../crypto/certs.js';
import { generateEd25519 } from '../crypto/ed25519.js';
import { type LinkCredentials, makeLinkCredentials } from '../crypto/link-credentials.js';
import { generateRsa } from '../crypto/rsa.js';
import { realClock } from '../runtime/real.js';
import { testRandom } from './random.js';

const DAY = 86_400_000;

/** A relay's link credentials, made at `now` (milliseconds); the signing key's certificate lasts 30 days. */
export async function testLinkCredentials(label: string, now: number): Promise<LinkCredentials> {
  const random = testRandom(label);
  const master = generateEd25519(random);
  const signer = generateEd25519(random);
  const cert = makeEd25519Cert({
    type: CertType.SIGNING,
    key: signer.publicKey,
    expires: now + 30 * DAY,
    signer: master,
    includeSigner: true,
  });
  const owner = {
    rsa: await generateRsa(1024),
    ed25519Id: master.publicKey,
    signing: { signer, cert },
  };
  // A short key for TLS: 2048 bits take a tenth of a second.
  return makeLinkCredentials(owner, { random, clock: { ...realClock, now: () => now } }, () =>
    generateRsa(1024),
  );
}
