import test from 'ava';
import {
  compareVersionStrings,
  parseTorVersion,
  platformVersion,
  sortVersions,
  versionOfPlatform,
} from './versions.js';

test('versions sort by number, then status, then tag', (t) => {
  const sorted = [
    '0.1.2pre1',
    '0.1.2rc1',
    '0.1.2.1',
    '0.4.8.0-alpha-dev',
    '0.4.9.1-alpha',
    '0.4.9.1-rc',
    '0.4.9.2',
    '0.4.9.11',
    'not a version',
    'or this',
  ];
  t.deepEqual([...sorted].reverse().sort(compareVersionStrings), sorted);
});

test('a leading "Tor" and a git revision', (t) => {
  t.deepEqual(parseTorVersion('Tor 0.4.9.11 (git-0a0B)')?.git, '0a0b');
  t.is(compareVersionStrings('Tor 0.4.9.11', '0.4.9.11'), 0);
  t.deepEqual(sortVersions(['0.4.9.11', '0.4.8.1', 'Tor 0.4.9.11']), ['0.4.8.1', '0.4.9.11']);
});

test('what is no version', (t) => {
  for (const text of [
    '',
    '0',
    '0.',
    '0.4.x',
    '0.4.9.',
    '0.4.9x1',
    '0.4.9.99999999999',
    '0.1.1.-alpha',
    '0.4.9 (git-0)',
  ])
    t.is(parseTorVersion(text), undefined, text);
});

test('the v line of a platform', (t) => {
  t.is(versionOfPlatform('Tor 0.4.9.11 on Linux'), 'Tor 0.4.9.11');
  t.is(versionOfPlatform('Tor 0.1.0.1 (r1234) on Linux'), 'Tor 0.1.0.1 (r1234)');
  t.is(versionOfPlatform('Cepa 0.1.0 on Node.js'), undefined);
  t.is(versionOfPlatform(undefined), undefined);
});

test('what a platform line says of its version', (t) => {
  t.is(platformVersion('Cepa 0.1.0 on Node.js'), 'other');
  t.is(platformVersion('Tor bogus on Linux'), 'malformed');
  t.is(platformVersion('Tor  '), 'malformed');
  const version = platformVersion('Tor 0.4.9.11 on Linux');
  t.deepEqual(typeof version === 'object' && version.numbers, [0, 4, 9, 2, 11]);
});
