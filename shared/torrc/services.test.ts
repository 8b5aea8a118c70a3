import test from 'ava';
import { TorrcError } from './errors.js';
import { loadOptions } from './parse.js';

const load = (text: string, args: string[] = []) =>
  loadOptions({ files: [{ name: 'torrc', text }], args, home: '/home/me' }).options.HiddenServiceDir;

test('lines belong to the service whose HiddenServiceDir is before them', (t) => {
  const services = load(`
    HiddenServiceDir ~/one
    HiddenServicePort 80
    HiddenServicePort 443 8443
    HiddenServiceMaxStreams 5
    hiddenservicemaxstreamsclosecircuit 1
    HiddenServiceDir /var/two
    HiddenServiceVersion 3
    HiddenServicePort 22 unix:/run/ssh
    HiddenServicePort 23 unix:"/run/a b"
    HiddenServicePort 24 [::1]:2400
    HiddenServicePort 25 10.0.0.1
    HiddenServicePort 26 mail.example:2600
    HiddenServiceNumIntroductionPoints 4
    HiddenServiceEnableIntroDoSDefense 1
    HiddenServiceEnableIntroDoSRatePerSec 5
    HiddenServiceEnableIntroDoSBurstPerSec 6
    HiddenServiceAllowUnknownPorts 1
  `);
  t.deepEqual(services, [
    {
      directory: '/home/me/one',
      ports: [
        { virtualPort: 80, target: { host: '127.0.0.1', port: 80 } },
        { virtualPort: 443, target: { host: '127.0.0.1', port: 8443 } },
      ],
      maxStreams: 5,
      maxStreamsCloseCircuit: true,
    },
    {
      directory: '/var/two',
      ports: [
        { virtualPort: 22, target: { unix: '/run/ssh' } },
        { virtualPort: 23, target: { unix: '/run/a b' } },
        { virtualPort: 24, target: { host: '::1', port: 2400 } },
        { virtualPort: 25, target: { host: '10.0.0.1', port: 25 } },
        { virtualPort: 26, target: { host: 'mail.example', port: 2600 } },
      ],
      introPoints: 4,
      introDos: true,
      introDosRate: 5,
      introDosBurst: 6,
      allowUnknownPorts: true,
    },
  ]);
});

test('the command line replaces the services of a file, or adds to them', (t) => {
  const file = 'HiddenServiceDir /one\nHiddenServicePort 80\n';
  const args = ['--HiddenServiceDir', '/two', '--HiddenServicePort', '81'];
  t.deepEqual(
    load(file, args).map(({ directory }) => directory),
    ['/two'],
  );
  t.deepEqual(
    load(file, ['+HiddenServiceDir', '/two', '--HiddenServicePort', '81']).map(({ directory }) => directory),
    ['/one', '/two'],
  );
  t.deepEqual(load(''), []);
});

const WRONG: [string, RegExp][] = [
  ['HiddenServicePort 80', /before its HiddenServiceDir/],
  ['HiddenServiceDir /a', /has no HiddenServicePort/],
  [
    'HiddenServiceDir /a\nHiddenServicePort 80\nHiddenServiceDir /a\nHiddenServicePort 80',
    /two onion services/,
  ],
  ['HiddenServiceDir /a\nHiddenServicePort 0', /HiddenServicePort: "0"/],
  ['HiddenServiceDir /a\nHiddenServicePort 80 1.2.3:80', /not PORT, HOST:PORT/],
  ['HiddenServiceDir /a\nHiddenServicePort 80 unix:relative', /must begin with/],
  ['HiddenServiceDir /a\nHiddenServicePort 80\nHiddenServiceVersion 2', /no longer spoken/],
  ['HiddenServiceDir /a\nHiddenServicePort 80\nHiddenServiceNumIntroductionPoints 21', /from 3 to 20/],
  ['HiddenServiceDir /a\nHiddenServicePort 80\nHiddenServiceEnableIntroDoSBurstPerSec 1', /must be at least/],
  ['HiddenServiceDirr /a', /did you mean HiddenServiceDir/],
];

test('what is wrong is told with its line', (t) => {
  for (const [text, message] of WRONG) t.throws(() => load(text), { instanceOf: TorrcError, message });
});
