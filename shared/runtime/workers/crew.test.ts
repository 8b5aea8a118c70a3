import test, { type ExecutionContext } from 'ava';
import { type ClosingCrew, startCrew } from './crew.js';

const program = (body: string) =>
  new URL(
    `data:text/javascript,${encodeURIComponent(`
      import { serveCrew } from ${JSON.stringify(new URL('./crew-member.js', import.meta.url).href)};
      import { threadId } from 'node:worker_threads';
      serveCrew(${body});`)}`,
  );

function crewOf(t: ExecutionContext, size: number, body: string): ClosingCrew & { failures: Promise<Error> } {
  let failed!: (error: Error) => void;
  const failures = new Promise<Error>((resolve) => {
    failed = resolve;
  });
  const crew = startCrew({ size, script: program(body), failed });
  t.teardown(() => crew.close());
  return { ...crew, failures };
}

const asking = (crew: ClosingCrew, job: unknown) => new Promise<unknown>((resolve) => crew.ask(job, resolve));

test('each job gets its own answer, and all threads have work', async (t) => {
  const crew = crewOf(t, 2, '({ n }) => ({ n: n * 2, threadId })');
  t.is(crew.size, 2);
  const answers = await Promise.all(Array.from({ length: 50 }, (_, n) => asking(crew, { n })));
  const told = answers as { n: number; threadId: number }[];
  t.deepEqual(
    told.map(({ n }) => n),
    Array.from({ length: 50 }, (_, n) => n * 2),
  );
  t.is(new Set(told.map(({ threadId }) => threadId)).size, 2);
});

test('a thread that breaks says so', async (t) => {
  const crew = crewOf(t, 1, '() => { throw new Error("a bug"); }');
  crew.ask({}, () => t.fail('nothing was answered'));
  t.is((await crew.failures).message, 'a thread of the crew failed: a bug');
});

test('closing ends the threads, and answers nothing more', async (t) => {
  const crew = crewOf(t, 1, '() => { for (;;); }');
  crew.ask({}, () => t.fail('there is no answer'));
  await crew.close();
  t.pass();
});
