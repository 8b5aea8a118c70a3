/**
 * Threads for work that is a function of what it is given.
 *
 * @module
 */
import { Worker } from 'node:worker_threads';
import type { Crew } from '../types.js';

/** What a crew is made of. */
export interface CrewOptions {
  readonly size: number;
  /** The program of each thread; it calls `serveCrew`. */
  readonly script: URL;
  /** A thread came to an unexpected end: a mistake in Cepa. Its jobs are never answered. */
  readonly failed: (error: Error) => void;
}

/** A crew to be closed. */
export interface ClosingCrew extends Crew {
  /** Ends the threads; what they are at is never answered. */
  close(): Promise<void>;
}

/** One thread; it answers in the order in which it is asked. */
class Member {
  private readonly worker: Worker;
  private readonly waiting: ((answer: unknown) => void)[] = [];
  private closing = false;

  constructor({ script, failed }: CrewOptions) {
    let reported = false;
    const fail = (cause: string) => {
      if (!reported && !this.closing) failed(new Error(`a thread of the crew failed: ${cause}`));
      reported = true;
    };
    this.worker = new Worker(script, { name: 'crew', execArgv: [] });
    this.worker.on('message', (answer) => this.waiting.shift()?.(answer));
    this.worker.on('error', (error) => fail(error.message));
    this.worker.on('exit', (code) => fail(`it ended with code ${code}`));
  }

  get busy(): number {
    return this.waiting.length;
  }

  ask(job: unknown, done: (answer: unknown) => void): void {
    this.waiting.push(done);
    this.worker.postMessage(job);
  }

  async close(): Promise<void> {
    this.closing = true;
    this.waiting.length = 0;
    await this.worker.terminate();
  }
}

/** Starts the threads. */
export function startCrew(options: CrewOptions): ClosingCrew {
  const members = Array.from({ length: options.size }, () => new Member(options));
  return {
    size: members.length,
    ask: (job, done) => members.reduce((a, b) => (b.busy < a.busy ? b : a)).ask(job, done),
    close: async () => {
      await Promise.all(members.map((member) => member.close()));
    },
  };
}
