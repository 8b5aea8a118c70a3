/**
 * The software that nobody here wrote and that judges what is: C tor and stem. Where it is missing, tests are skipped
 * and say so; with CEPA_REQUIRE_INTEROP=1 they fail instead.
 *
 * @module
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { findProgram, PLACES } from './find-program.js';

/** What a test cannot do without. */
export type Need = 'tor' | 'tor-gencert' | 'stem';

let pythonFound: { path: string | undefined } | undefined;

/** A Python that has stem: often not the first one of the PATH, since distributions install it for their own. */
export function pythonWithStem(): string | undefined {
  pythonFound ??= {
    path: [...new Set(PLACES)]
      .map((folder) => join(folder, 'python3'))
      .find((path) => existsSync(path) && imports(path, 'stem')),
  };
  return pythonFound.path;
}

function imports(python: string, name: string): boolean {
  try {
    execFileSync(python, ['-c', `import ${name}`], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

const PACKAGES: Record<Need, string> = { tor: 'tor', 'tor-gencert': 'tor', stem: 'python3-stem' };

function missing(needs: readonly Need[]): string | undefined {
  for (const need of needs) {
    const found = need === 'stem' ? pythonWithStem() : findProgram(need);
    if (!found) return `${need} is not installed (Debian package ${PACKAGES[need]})`;
  }
  return undefined;
}

/** Registers a test that needs programs: skipped, with a line that says why, or failed where they are missing. */
export function interopTest(
  needs: readonly Need[],
  title: string,
  body: (t: ExecutionContext) => Promise<void>,
): void {
  const reason = missing(needs);
  if (reason === undefined) return void test.serial(title, body);
  if (process.env.CEPA_REQUIRE_INTEROP === '1') return void test(title, (t) => t.fail(reason));
  console.log(`Skipped, ${reason}: ${title}`);
  test.skip(title, body);
}
