// Loads the compiled program. In plain JavaScript, since it is what finds the compiled files.
//
// `npm run build` leaves the program twice: as modules (dist/**/*.js), and as one bundle of them with V8's code cache
// (dist/bundle), which loads in a fifth of the time. The bundle is taken when no module is newer than it, so that
// compiling without bundling never runs old code.
const { closeSync, fstatSync, openSync, readFileSync, statSync, writeFileSync } = require('node:fs');
const { createRequire } = require('node:module');
const { join } = require('node:path');
const vm = require('node:vm');

const DIST = join(__dirname, '..', '..', 'dist');
const BUNDLES = join(DIST, 'bundle');

function optional(read) {
  try {
    return read();
  } catch {
    return undefined;
  }
}

/** The bundle as text, and whether it is as new as the modules it was made of. */
function readBundle(name, inputs) {
  const file = openSync(join(BUNDLES, `${name}.cjs`), 'r');
  try {
    const made = fstatSync(file).mtimeMs;
    const fresh = inputs.every((input) => statSync(join(DIST, input)).mtimeMs <= made);
    // The bundle is ASCII.
    return fresh ? readFileSync(file, 'latin1') : undefined;
  } finally {
    closeSync(file);
  }
}

/** Runs a bundle; its exports, and the script they are from. */
function run(name, text, cachedData) {
  const filename = join(BUNDLES, `${name}.cjs`);
  const script = new vm.Script(`(function (exports, require, module, __filename, __dirname) {${text}\n})`, {
    filename,
    cachedData,
    importModuleDynamically: vm.constants?.USE_MAIN_CONTEXT_DEFAULT_LOADER,
  });
  const module = { exports: {} };
  script.runInThisContext()(module.exports, createRequire(filename), module, filename, BUNDLES);
  return { script, program: module.exports };
}

function bundled() {
  // The nodes of a testnet run the bundle of their launcher.
  const { CEPA_BUNDLE: given } = process.env;
  delete process.env.CEPA_BUNDLE;
  return (given && optional(() => load(given, readText(given)))) || current();
}

const readText = (name) => readFileSync(join(BUNDLES, `${name}.cjs`), 'latin1');

function load(name, text) {
  const cache = optional(() => readFileSync(join(BUNDLES, `${name}.cache`)));
  process[Symbol.for('cepa.bundle')] = name;
  return run(name, text, cache);
}

function current() {
  // One name for a bundle and its cache, with a digest of the bundle in it: V8 itself compares no more than lengths.
  const found = optional(() => JSON.parse(readFileSync(join(BUNDLES, 'current.json'), 'utf8')));
  const text = found && optional(() => readBundle(found.name, found.inputs));
  return text === undefined ? undefined : load(found.name, text);
}

/** The program: `main(argv)` and `runNode(source)`. */
exports.program = async () => {
  const bundle = process.env.CEPA_NO_BUNDLE ? undefined : bundled();
  return bundle?.program ?? (await import('../../dist/testnet/process/program.js'));
};

/** Whether the bundle is used here, and V8 takes its code cache; for tests. */
exports.state = () => {
  const bundle = bundled();
  if (!bundle) return 'modules';
  return bundle.script.cachedDataRejected === false ? 'bundle with code cache' : 'bundle';
};

/** Makes the code cache of a bundle, with what is compiled once everything is loaded and has been run. */
async function writeCache(name) {
  const { script, program } = run(name, readText(name));
  await program.prepare();
  writeFileSync(join(BUNDLES, `${name}.cache`), script.createCachedData());
}

// A process of its own makes the cache: V8 refuses one that was made under other flags.
if (require.main === module) {
  const [, , task, name] = process.argv;
  if (task === 'write-cache') void writeCache(name);
  else process.stdout.write(`${exports.state()}\n`);
}
