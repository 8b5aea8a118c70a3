/**
 * The program of a thread that answers CREATE2 handshakes (`handshake-job.ts`).
 *
 * @module
 */
import { osRandom } from '../shared/runtime/real.js';
import { serveCrew } from '../shared/runtime/workers/crew-member.js';
import { handshakeWorker } from './handshake-job.js';

serveCrew(handshakeWorker(osRandom));
