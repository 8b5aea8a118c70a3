/**
 * The figures of C tor's own benchmark, `src/test/bench` of its source tree, which prints CPU time. Debian's package has
 * none: `./configure && make src/test/bench`.
 *
 * @module
 */
import { execFileSync } from 'node:child_process';

/** Microseconds of the steps that both have. */
export interface TorSteps {
  /** A layer on a relayed cell, decode and encode not in it. */
  readonly relay: number;
  /** A cell that starts at a relay: digest, one layer. */
  readonly originate: number;
  readonly ntorRelay: number;
  readonly ntorClient: number;
  readonly microdescriptor: number;
}

/** The least figure of each kind: tor chooses the faster of its implementations, too (curve25519_init). */
export function parseTorBench(text: string): TorSteps {
  const least = (pattern: RegExp): number => {
    const found = [...text.matchAll(pattern)].map(([, figure]) => Number(figure));
    if (found.length === 0) throw new Error(`C tor's bench printed nothing like ${pattern.source}`);
    return Math.min(...found);
  };
  return {
    relay: least(/bound cells: ([\d.]+) ns/g) / 1000,
    originate: least(/originate inbound : ([\d.]+) ns/g) / 1000,
    ntorRelay: least(/Server-side: ([\d.]+) usec/g),
    ntorClient: least(/Client-side, part 1: ([\d.]+) usec/g) + least(/Client-side, part 2: ([\d.]+) usec/g),
    microdescriptor: least(/Microdesc parse: ([\d.]+) nsec/g) / 1000,
  };
}

/** Runs a built `src/test/bench`; some ten seconds. */
export const runTorBench = (program: string): TorSteps =>
  parseTorBench(execFileSync(program, ['onion_ntor', 'cell_ops_tor1', 'md_parse'], { encoding: 'latin1' }));
