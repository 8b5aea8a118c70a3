/** What the tests of the launcher share. */
import { fileURLToPath } from 'node:url';
import type { NodePlan } from '../plan.js';
import type { AuthorityIdentity } from '../torrc-of.js';

export const FAKE_NODE = fileURLToPath(new URL('./fake-node.js', import.meta.url));
export const FAKE_CLI = fileURLToPath(new URL('./fake-cli.js', import.meta.url));

/** An identity made of the name. */
export const fakeIdentity = async (node: NodePlan): Promise<AuthorityIdentity> => {
  const hex = Buffer.from(node.name).toString('hex').toUpperCase().padEnd(40, 'A');
  return { fingerprint: hex, v3ident: hex };
};
