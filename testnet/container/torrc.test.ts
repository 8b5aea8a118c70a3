import test from 'ava';
import type { ConsensusParam } from '../../shared/onion/flow.js';
import { vegasParams } from '../../shared/onion/vegas.js';
import { loadOptions } from '../../shared/torrc/parse.js';
import { POLICY_RULES } from '../process/policy-rules.js';
import { type ContainerNode, containerTorrc, networkTorrc, processRole } from './torrc.js';

const identity = (digit: string) => ({ fingerprint: digit.repeat(40), v3ident: digit.repeat(40) });
const shared = networkTorrc(
  new Map([
    ['auth1', identity('A')],
    ['auth2', identity('B')],
  ]),
);

const node = (over: Pick<ContainerNode, 'role' | 'name'>): ContainerNode => ({
  data: '/data',
  network: '/net/torrc',
  address: '10.207.0.4',
  socks: '0.0.0.0:9050',
  site: 'demo.cepa.test:8080',
  ...over,
});

const load = (made: ContainerNode) =>
  loadOptions({
    files: [{ name: 'torrc', text: containerTorrc(made) }],
    include: (path) => (path === '/net/torrc' ? [{ name: path, text: shared }] : undefined),
    role: processRole(made.role),
    home: '/data',
    rules: POLICY_RULES,
  });

test('every role has a torrc that its process takes without a complaint', (t) => {
  for (const role of ['authority', 'relay', 'exit', 'client', 'service'] as const) {
    const { options, warnings } = load(node({ role, name: `${role}1` }));
    // What is open to others in a container is published on this machine alone.
    const told = warnings.filter((warning) => !warning.includes('SocksPort on 0.0.0.0'));
    t.deepEqual(told, [], role);
    t.is(options.DataDirectory, `/data/${role}1`);
    t.deepEqual(
      options.DirAuthority.map(({ address, dirPort, orPort }) => [address, dirPort, orPort]),
      [
        ['auth1.cepa.test', 9030, 9001],
        ['auth2.cepa.test', 9030, 9001],
      ],
    );
    t.true(options.EnforceDistinctSubnets);
  }
});

test('a relay advertises its home, an exit lets out, a service has a server behind it', (t) => {
  const relay = load(node({ role: 'relay', name: 'relay3' })).options;
  t.is(relay.Nickname, 'relay3');
  t.deepEqual(relay.Address, ['10.207.0.4']);
  t.is(relay.ExitRelay, false);
  t.is(load(node({ role: 'exit', name: 'exit1' })).options.ExitRelay, true);
  const [service] = load(node({ role: 'service', name: 'service' })).options.HiddenServiceDir;
  t.deepEqual(service?.ports, [{ virtualPort: 80, target: { host: 'demo.cepa.test', port: 8080 } }]);
});

test('authorities vote what suits a network on one machine, within the bounds of the parameters', (t) => {
  const told = load(node({ role: 'authority', name: 'auth1' })).options.ConsensusParams ?? '';
  const words = new Map(told.split(' ').map((word) => word.split('=') as [string, string]));
  const asked: string[] = [];
  const bounds: ConsensusParam = (name, fallback, low, high) => {
    const value = Number(words.get(name) ?? fallback);
    if (words.has(name)) asked.push(name);
    t.true(value >= low && value <= high, name);
    return value;
  };
  const [exit, onion] = [vegasParams(bounds, 'exit'), vegasParams(bounds, 'onion')];
  // Every one of them is a parameter that is read.
  t.deepEqual(asked.sort(), [...words.keys()].sort());
  for (const { alpha, beta, gamma, delta } of [exit, onion])
    t.true(alpha <= beta && alpha <= gamma && beta <= delta && gamma <= delta);
});
