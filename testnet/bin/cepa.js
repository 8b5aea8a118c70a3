#!/usr/bin/env node
// The `cepa` command. Kept in plain JavaScript, so that it can be linked before the sources are compiled.
import start from './start.cjs';

start.program().then(
  (program) => program.main(process.argv.slice(2)),
  (error) => {
    if (error?.code !== 'ERR_MODULE_NOT_FOUND') throw error;
    console.error('cepa: not compiled yet. Run `npm ci` (or `npm run build`) in the repository first.');
    process.exitCode = 1;
  },
);
