import test from 'ava';
import { homeFor, homesOf, PlaceError } from './place.js';

const at = (address: string, netmask = '255.255.0.0', internal = false) => ({
  address,
  netmask,
  internal,
  family: 'IPv4' as const,
  mac: '02:42:0a:c9:00:02',
  cidr: null,
});

test('homes are the addresses in a /16, in the order of the networks', (t) => {
  const homes = homesOf({
    lo: [at('127.0.0.1', '255.0.0.0', true)],
    eth0: [at('10.210.0.3'), { ...at('fe80::1'), family: 'IPv6', scopeid: 2 }],
    eth1: [at('10.29.0.7')],
    eth2: [at('10.201.255.9')],
    eth3: [at('10.213.0.2', '255.255.255.0')],
    none: undefined,
  });
  t.deepEqual(homes, ['10.29.0.7', '10.201.255.9', '10.210.0.3']);
});

test('nodes of a service follow each other from home to home, and share when homes run out', (t) => {
  const homes = ['10.1.0.2', '10.2.0.2', '10.3.0.2'];
  t.deepEqual(
    [1, 2, 3, 4].map((number) => homeFor(homes, 2, number)),
    ['10.2.0.2', '10.3.0.2', '10.1.0.2', '10.2.0.2'],
  );
  t.throws(() => homeFor([], 1, 1), { instanceOf: PlaceError, message: /docker-compose\.yml/ });
});
