import test from 'ava';
import { parseTorBench } from './tor-bench.js';

const OUTPUT = `===== onion_ntor =====
Ed25519-based basepoint multiply = disabled.
Client-side, part 1: 50.500000 usec.
Server-side: 250.000000 usec
Client-side, part 2: 170.000000 usec.
Ed25519-based basepoint multiply = enabled.
Client-side, part 1: 20.500000 usec.
Server-side: 200.000000 usec
Client-side, part 2: 175.000000 usec.
===== cell_ops_tor1 =====
 Inbound cells: 140.00 ns per cell. (0.30 ns per byte of payload, 0.78 cpb)
Outbound cells: 120.00 ns per cell. (0.25 ns per byte of payload, 0.65 cpb)
originate inbound : 580.00 ns per cell. (1.17 ns per payload byte, 3.06 cpb)
===== md_parse =====
Microdesc parse: 5500.000000 nsec
`;

test("C tor's bench is read, the faster implementation of each step", (t) => {
  t.deepEqual(parseTorBench(OUTPUT), {
    relay: 0.12,
    originate: 0.58,
    ntorRelay: 200,
    ntorClient: 190.5,
    microdescriptor: 5.5,
  });
});

test('a figure that is not there is named', (t) => {
  t.throws(() => parseTorBench(OUTPUT.replace('Microdesc', 'Other')), { message: /Microdesc parse/ });
});
