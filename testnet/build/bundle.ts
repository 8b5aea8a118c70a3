/**
 * Bundles the compiled program: one file instead of some 500, and V8's code cache for it. A process then loads in a
 * fifth of the time, and a private network has a dozen of them. testnet/bin/start.cjs reads what is written here.
 *
 * ```
 * dist/bundle/NAME.cjs      the program; NAME has a digest of it
 * dist/bundle/NAME.cjs.map  where each line of it came from, without the sources: read when a stack is told (process/stack.ts)
 * dist/bundle/NAME.cache    its code cache; taken by the same V8 only, and not missed elsewhere
 * dist/bundle/current.json  { name, inputs }: written last
 * ```
 *
 * @module
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const DIST = fileURLToPath(new URL('../..', import.meta.url));
const START = fileURLToPath(new URL('../../../testnet/bin/start.cjs', import.meta.url));
const BUNDLES = join(DIST, 'bundle');

/** The bundle's text, and the files of dist/ it is made of. */
async function bundle(): Promise<{ text: string; map: string; inputs: string[] }> {
  const { build } = await import('esbuild');
  const { outputFiles, metafile } = await build({
    absWorkingDir: DIST,
    entryPoints: [join(DIST, 'testnet', 'process', 'program.js')],
    outdir: BUNDLES,
    write: false,
    metafile: true,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
    // Numbers that modules share are put where they are used: as variables, which a bundle makes of them, they cost the
    // data path a fifth.
    minifySyntax: true,
    // dist/bundle is as deep as dist/testnet, from where files outside of dist/ are named.
    banner: { js: "const importMetaUrl = require('node:url').pathToFileURL(__filename).href;" },
    define: {
      'import.meta.url': 'importMetaUrl',
      // Loading its compiled part takes longer than all that it speeds up here.
      'process.env.MSGPACKR_NATIVE_ACCELERATION_DISABLED': '"true"',
    },
    external: ['msgpackr-extract'],
    logLevel: 'warning',
    // Named nowhere in the bundle, so that no start pays for it.
    sourcemap: 'external',
    sourcesContent: false,
  });
  const textOf = (end: string) => outputFiles.find(({ path }) => path.endsWith(end))!.text;
  const inputs = Object.keys(metafile.inputs)
    .map((path) => relative(DIST, join(DIST, path)))
    .filter((path) => !path.startsWith('..') && !path.split(sep).includes('node_modules'));
  return { text: textOf('.js'), map: textOf('.map'), inputs };
}

async function main(): Promise<void> {
  const { text, map, inputs } = await bundle();
  const digest = createHash('sha256').update(text).digest('hex').slice(0, 16);
  const name = `cepa-${digest}`;
  mkdirSync(BUNDLES, { recursive: true });
  writeFileSync(join(BUNDLES, `${name}.cjs`), text);
  writeFileSync(join(BUNDLES, `${name}.cjs.map`), map);
  execFileSync(process.execPath, [START, 'write-cache', name], { stdio: 'inherit' });
  const current = join(BUNDLES, 'current.json');
  writeFileSync(`${current}.new`, JSON.stringify({ name, inputs }));
  renameSync(`${current}.new`, current);
  for (const file of readdirSync(BUNDLES))
    if (file.startsWith('cepa-') && !file.startsWith(`${name}.`)) rmSync(join(BUNDLES, file));
}

await main().catch((error: unknown) => {
  // Everything works without it, if slower: no reason to fail an installation.
  process.stderr.write(`cepa: no bundle was made, the modules will be used: ${error}\n`);
});
