/** `cepa testnet` with fake nodes: `node fake-cli.js JSON`, the JSON being a TestnetCommand. */
import { fileURLToPath } from 'node:url';
import { runTestnet, type TestnetCommand } from '../command.js';
import { fakeIdentity } from './fakes.js';

const command = JSON.parse(process.argv[2] ?? '{}') as TestnetCommand;
const entry = fileURLToPath(new URL('./fake-node.js', import.meta.url));
process.exit(await runTestnet(command, { entry, identify: fakeIdentity }));
