/**
 * A thread of a crew (`crew.ts`), seen from inside.
 *
 * @module
 */
import { parentPort } from 'node:worker_threads';

/** Does what the crew is asked, one job after the other. An exception ends the thread, and is told as its end. */
export function serveCrew<Job, Answer>(work: (job: Job) => Answer): void {
  parentPort?.on('message', (job: Job) => parentPort?.postMessage(work(job)));
}
