/**
 * Rules about options whose values are policies: that they can be read.
 *
 * @module
 */
import { parsePolicyLines } from '../../shared/netdoc/policy.js';
import type { Rule } from '../../shared/torrc/checks.js';

const POLICIES = ['ExitPolicy', 'SocksPolicy', 'MetricsPortPolicy'] as const;

/** Complaints about policies that cannot be read. */
export const POLICY_RULES: readonly Rule[] = POLICIES.map((name) => ({
  about: [name],
  severity: 'error',
  check({ options }) {
    try {
      parsePolicyLines(options[name]);
      return undefined;
    } catch (error) {
      return `${name}: ${(error as Error).message}`;
    }
  },
}));
