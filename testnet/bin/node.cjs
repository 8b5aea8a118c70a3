// The program of a testnet's node: `node node.cjs ROLE -f TORRC`. The command `cepa ROLE` does the same after it has
// read its own options; this one loads nothing it does not need, since a testnet starts a dozen at once.
const { program } = require('./start.cjs');

const [, , role, , torrc] = process.argv;
void program().then(({ runNode }) => runNode({ role, files: [torrc], args: [] }));
