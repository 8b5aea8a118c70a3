/**
 * The health check of a container: `node health.js [PORT [PATH]]`. Asks the node for its state and says what it says;
 * the status is 0 when it is as it should be. Loads next to nothing, since it runs every few seconds in every container.
 *
 * @module
 */
import { get } from 'node:http';
import { METRICS_PORT } from './ports.js';

const TIMEOUT = 5_000;

const [port = METRICS_PORT, path = '/readyz'] = process.argv.slice(2);

const request = get({ host: '127.0.0.1', port, path, timeout: TIMEOUT }, (answer) => {
  process.exitCode = answer.statusCode === 200 ? 0 : 1;
  answer.pipe(process.stdout);
});
request.on('timeout', () => request.destroy(new Error(`none within ${TIMEOUT / 1000} s`)));
request.on('error', (error) => {
  process.stdout.write(`no answer: ${error.message}\n`);
  process.exitCode = 1;
});
