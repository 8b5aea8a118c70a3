import test from 'ava';
import {
  authKey,
  CircuitIsolation,
  type Isolation,
  type IsolationFields,
  isolationOfFlags,
  sessionGroupOf,
} from './isolation.js';

const base: IsolationFields = {
  auth: '',
  destAddr: 'a.example',
  destPort: 80,
  clientAddr: '127.0.0.1',
  clientProtocol: 'socks5',
  sessionGroup: 'port 1',
};
const stream = (fields: Partial<IsolationFields>, ...flags: string[]): Isolation => ({
  fields: { ...base, ...fields },
  by: isolationOfFlags(new Set(flags)),
});
function shares(a: Isolation, b: Isolation): boolean {
  const circuit = new CircuitIsolation();
  circuit.join(a);
  return circuit.allows(b);
}

test('by default SOCKS auth, client address and session group keep streams apart, destinations do not', (t) => {
  t.true(shares(stream({}), stream({ destAddr: 'b.example', destPort: 443, clientProtocol: 'http' })));
  t.false(shares(stream({}), stream({ auth: authKey('a', 'b') })));
  t.false(shares(stream({ auth: authKey('a', 'bc') }), stream({ auth: authKey('ab', 'c') })));
  t.false(shares(stream({}), stream({ clientAddr: '127.0.0.2' })));
  t.false(shares(stream({}), stream({ sessionGroup: 'port 2' })));
});

test('flags add and take away', (t) => {
  t.false(shares(stream({}, 'isolatedestaddr'), stream({ destAddr: 'b.example' }, 'isolatedestaddr')));
  t.false(shares(stream({}, 'isolatedestport'), stream({ destPort: 81 }, 'isolatedestport')));
  t.false(
    shares(stream({}, 'isolateclientprotocol'), stream({ clientProtocol: 'http' }, 'isolateclientprotocol')),
  );
  const free = ['noisolatesocksauth', 'noisolateclientaddr'];
  t.true(shares(stream({ auth: 'x' }, ...free), stream({ auth: 'y', clientAddr: '::1' }, ...free)));
});

test('one side that isolates is enough, whichever came first', (t) => {
  const strict = stream({ destPort: 80 }, 'isolatedestport');
  const lax = stream({ destPort: 81 });
  t.false(shares(strict, lax));
  t.false(shares(lax, strict));
});

test('a circuit that mixed a field is closed to whoever isolates by it', (t) => {
  const circuit = new CircuitIsolation();
  t.false(circuit.used);
  circuit.join(stream({ destPort: 80 }));
  circuit.join(stream({ destPort: 81 }));
  t.true(circuit.used);
  t.false(circuit.allows(stream({ destPort: 80 }, 'isolatedestport')));
  t.true(circuit.allows(stream({ destPort: 80 })));
});

test('session groups', (t) => {
  t.is(sessionGroupOf(new Set(['sessiongroup=7']), 'own'), 'sessiongroup=7');
  t.is(sessionGroupOf(new Set(['isolatedestaddr']), 'own'), 'own');
});
