import test from 'ava';
import { bytesOf, concat, fromHex, toHex } from '../shared/bytes/text.js';
import { fc } from '../shared/testing/properties.js';
import type { ProxyRequest } from './proxy-request.js';
import { MAX_HANDSHAKE, MAX_HTTP_HEAD, ProxyParser, type ProxyStep } from './socks.js';
import { connectedReply, failureReply, resolvedReply } from './socks-replies.js';

const hex = (text: string) => fromHex(text.replaceAll(' ', ''), 'test');

/** Pushes everything in one go; the reply bytes, the request and the leftover. */
function run(bytes: Uint8Array): ProxyStep & { rest: Uint8Array } {
  const parser = new ProxyParser();
  const step = parser.push(bytes);
  return { ...step, rest: parser.rest() };
}

/** Pushes byte by byte and joins what is sent. */
function runBytewise(bytes: Uint8Array): ProxyStep & { rest: Uint8Array } {
  const parser = new ProxyParser();
  const sent: Uint8Array[] = [];
  for (let i = 0; i < bytes.length; i++) {
    const step = parser.push(bytes.subarray(i, i + 1));
    if (step.send) sent.push(step.send);
    if (step.request || step.error)
      return { ...step, send: concat(...sent), rest: concat(parser.rest(), bytes.subarray(i + 1)) };
  }
  return { send: concat(...sent), rest: parser.rest() };
}

const valid: { name: string; bytes: Uint8Array; sent: string; want: Partial<ProxyRequest> }[] = [
  {
    name: 'SOCKS4 with an address',
    bytes: hex('04 01 0050 01020304 6d65 00'),
    sent: '',
    want: {
      protocol: 'socks4',
      command: 'connect',
      host: { kind: 'ipv4', text: '1.2.3.4' },
      port: 80,
      username: 'me',
      resolvedByApplication: true,
    },
  },
  {
    name: 'SOCKS4a with a name',
    bytes: concat(hex('04 01 01bb 00000001 00'), bytesOf('Example.COM\0')),
    sent: '',
    want: {
      protocol: 'socks4a',
      host: { kind: 'name', text: 'example.com' },
      port: 443,
      resolvedByApplication: false,
    },
  },
  {
    name: 'SOCKS4a RESOLVE',
    bytes: concat(hex('04 f0 0000 00000001 00'), bytesOf('a.example\0')),
    sent: '',
    want: { protocol: 'socks4a', command: 'resolve', port: 0 },
  },
  {
    name: 'SOCKS5 without authentication, name',
    bytes: concat(hex('05 01 00 05 01 00 03 0b'), bytesOf('example.com'), hex('0050')),
    sent: '0500',
    want: { protocol: 'socks5', host: { kind: 'name', text: 'example.com' }, port: 80, username: '' },
  },
  {
    name: 'SOCKS5 with user name and password, IPv4',
    bytes: hex('05 02 00 02 01 01 61 02 6262 05 01 00 01 7f000001 1f90'),
    sent: '05020100',
    want: {
      host: { kind: 'ipv4', text: '127.0.0.1' },
      port: 8080,
      username: 'a',
      password: 'bb',
      resolvedByApplication: true,
    },
  },
  {
    name: 'SOCKS5 with empty user name and password, IPv6',
    bytes: hex('05 01 02 01 00 00 05 01 00 04 20010db8000000000000000000000001 0016'),
    sent: '05020100',
    want: { host: { kind: 'ipv6', text: '2001:db8::1' }, port: 22, resolvedByApplication: true },
  },
  {
    name: 'SOCKS5 with a user-name message that was not agreed on',
    bytes: hex('05 01 00 01 01 61 01 62 05 01 00 01 01020304 0050'),
    sent: '05000100',
    want: { username: 'a', password: 'b' },
  },
  {
    name: 'SOCKS5 RESOLVE',
    bytes: concat(hex('05 01 00 05 f0 00 03 03'), bytesOf('a.b'), hex('0000')),
    sent: '0500',
    want: { command: 'resolve', host: { kind: 'name', text: 'a.b' }, resolvedByApplication: false },
  },
  {
    name: 'SOCKS5 RESOLVE_PTR',
    bytes: hex('05 01 00 05 f1 00 01 01020304 0000'),
    sent: '0500',
    want: { command: 'resolve-ptr', host: { kind: 'ipv4', text: '1.2.3.4' }, resolvedByApplication: false },
  },
  {
    name: 'SOCKS5 with an address in a name field',
    bytes: concat(hex('05 01 00 05 01 00 03 07'), bytesOf('1.2.3.4'), hex('0050')),
    sent: '0500',
    want: { host: { kind: 'ipv4', text: '1.2.3.4' }, resolvedByApplication: false },
  },
  {
    name: 'HTTP CONNECT',
    bytes: bytesOf(
      'CONNECT example.com:443 HTTP/1.1\r\nHost: x\r\nX-Tor-Stream-Isolation: red\r\nProxy-Authorization: Basic eA==\r\n\r\n',
    ),
    sent: '',
    want: {
      protocol: 'http',
      host: { kind: 'name', text: 'example.com' },
      port: 443,
      username: 'red',
      password: 'Basic eA==',
    },
  },
  {
    name: 'HTTP CONNECT with the isolation header of proposal 365',
    bytes: bytesOf('CONNECT example.com:443 HTTP/1.1\r\nTor-Stream-Isolation: red\r\n\r\n'),
    sent: '',
    want: { protocol: 'http', username: 'red\x01\xff\x01\xff', password: '' },
  },
  {
    name: 'HTTP CONNECT to an IPv6 literal',
    bytes: bytesOf('CONNECT [2001:db8::1]:443 HTTP/1.0\r\n\r\n'),
    sent: '',
    want: { host: { kind: 'ipv6', text: '2001:db8::1' }, port: 443 },
  },
];

for (const { name, bytes, sent, want } of valid)
  test(name, (t) => {
    const rest = bytesOf('hello');
    for (const got of [run(concat(bytes, rest)), runBytewise(concat(bytes, rest))]) {
      t.is(got.error, undefined);
      t.is(toHex(got.send ?? new Uint8Array(0)), sent);
      t.like(got.request, want);
      t.deepEqual(Buffer.from(got.rest), Buffer.from(rest), 'pipelined bytes are kept');
    }
  });

const invalid: { name: string; bytes: Uint8Array; field: string; sent: string | RegExp }[] = [
  { name: 'version 6', bytes: hex('06 01'), field: 'SOCKS version', sent: '' },
  {
    name: 'SOCKS4 BIND',
    bytes: hex('04 02 0050 01020304 00'),
    field: 'SOCKS4.command',
    sent: '005B000000000000',
  },
  {
    name: 'SOCKS4 to 0.0.0.0',
    bytes: hex('04 01 0050 00000000 00'),
    field: 'SOCKS4.address',
    sent: '005B000000000000',
  },
  {
    name: 'SOCKS4a bad name',
    bytes: hex('04 01 0050 00000001 00 2f2f 00'),
    field: 'SOCKS4.address',
    sent: '005B000000000000',
  },
  { name: 'SOCKS5 GSSAPI only', bytes: hex('05 01 01'), field: 'SOCKS5.methods', sent: '05FF' },
  { name: 'RFC1929 version', bytes: hex('05 01 02 05 00'), field: 'RFC1929.version', sent: '05020101' },
  {
    name: 'extended parameters of an unknown kind',
    bytes: concat(hex('05 01 02 01 0a'), bytesOf('<torS0X>9x'), hex('00')),
    field: 'RFC1929.uname',
    sent: '05020101',
  },
  {
    name: 'SOCKS5 BIND',
    bytes: hex('05 01 00 05 02 00 01 01020304 0050'),
    field: 'SOCKS5.command',
    sent: '050005070001000000000000',
  },
  {
    name: 'SOCKS5 UDP',
    bytes: hex('05 01 00 05 03 00 01 01020304 0050'),
    field: 'SOCKS5.command',
    sent: '050005070001000000000000',
  },
  {
    name: 'SOCKS5 address type',
    bytes: hex('05 01 00 05 01 00 02 01020304 0050'),
    field: 'SOCKS5.atyp',
    sent: '050005080001000000000000',
  },
  {
    name: 'RESOLVE_PTR of a name',
    bytes: hex('05 01 00 05 f1 00 03 01 61 0000'),
    field: 'SOCKS5.address',
    sent: '050005080001000000000000',
  },
  {
    name: 'SOCKS5 empty name',
    bytes: hex('05 01 00 05 01 00 03 00 0050'),
    field: 'SOCKS5.address',
    sent: '050005010001000000000000',
  },
  {
    name: 'SOCKS5 name with NUL',
    bytes: hex('05 01 00 05 01 00 03 03 610062 0050'),
    field: 'SOCKS5.address',
    sent: '050005010001000000000000',
  },
  {
    name: 'SOCKS5 port 0',
    bytes: hex('05 01 00 05 01 00 01 01020304 0000'),
    field: 'SOCKS5.port',
    sent: '050005010001000000000000',
  },
  {
    name: 'HTTP GET',
    bytes: bytesOf('GET / HTTP/1.1\r\n\r\n'),
    field: 'HTTP method',
    sent: /^HTTP\/1\.0 501 /,
  },
  {
    name: 'HTTP without port',
    bytes: bytesOf('CONNECT a.example HTTP/1.1\r\n\r\n'),
    field: 'HTTP authority',
    sent: /^HTTP\/1\.0 400 /,
  },
  {
    name: 'HTTP port',
    bytes: bytesOf('CONNECT a.example:70000 HTTP/1.1\r\n\r\n'),
    field: 'HTTP authority',
    sent: /400/,
  },
  {
    name: 'HTTP header',
    bytes: bytesOf('CONNECT a.example:80 HTTP/1.1\r\nx\r\n\r\n'),
    field: 'HTTP header',
    sent: /400/,
  },
  {
    name: 'HTTP for an object of Arti',
    bytes: bytesOf('CONNECT a.example:80 HTTP/1.1\r\nTor-RPC-Target: x\r\n\r\n'),
    field: 'HTTP header',
    sent: /^HTTP\/1\.0 501 /,
  },
];

for (const { name, bytes, field, sent } of invalid)
  test(`refused: ${name}`, (t) => {
    for (const got of [run(bytes), runBytewise(bytes)]) {
      t.is(got.request, undefined);
      t.is(got.error?.field, field);
      const reply = got.send ?? new Uint8Array(0);
      if (typeof sent === 'string') t.is(toHex(reply), sent);
      else t.regex(Buffer.from(reply).toString(), sent);
    }
  });

test('PreferSOCKSNoAuth takes no authentication where that is offered, and only there', (t) => {
  for (const [greeting, want] of [
    ['05 02 00 02', '0500'],
    ['05 02 02 00', '0500'],
    ['05 01 02', '0502'],
  ] as const) {
    const parser = new ProxyParser({ preferNoAuth: true, tunnel: false });
    t.is(toHex(parser.push(hex(greeting)).send!), want);
  }
});

test('a tunnel answers other methods to who means this machine, and nobody else', (t) => {
  const answer = (request: string): string => {
    const parser = new ProxyParser({ preferNoAuth: false, tunnel: true });
    const { send, error } = parser.push(bytesOf(`${request}\r\n\r\n`));
    t.is(error?.field, 'HTTP method');
    return Buffer.from(send ?? []).toString();
  };
  for (const host of ['localhost', 'LocalHost:9080', '127.0.0.1:9080', '127.9.9.9', '[::1]:9080']) {
    t.regex(answer(`GET / HTTP/1.1\r\nAccept: x\r\nhost:${host}`), /^HTTP\/1\.0 405 /, host);
    t.regex(
      answer(`OPTIONS * HTTP/1.1\r\nHost: ${host}`),
      /^HTTP\/1\.0 200 OK\r\nAllow: OPTIONS, CONNECT\r\n/,
    );
  }
  for (const header of [
    'Host: evil.example',
    'Host: localhost.evil.example:9080',
    'Host: 127.0.0.1.evil.example',
    'Host: 1.2.3.4',
    'Host: localhost:x',
    'Host:',
    'X-Host: localhost',
  ])
    for (const method of ['GET', 'POST', 'OPTIONS'])
      t.is(answer(`${method} / HTTP/1.1\r\n${header}`), '', header);
  t.is(answer('GET / HTTP/1.0'), '');
});

test('an endless greeting is cut off', (t) => {
  const socks4 = new ProxyParser();
  t.falsy(socks4.push(hex('04 01 0050 01020304')).error);
  t.is(socks4.push(new Uint8Array(MAX_HANDSHAKE).fill(0x61)).error?.field, 'SOCKS request');
  const http = new ProxyParser();
  t.is(http.push(new Uint8Array(MAX_HTTP_HEAD + 1).fill(0x43)).error?.field, 'HTTP head');
});

test('any bytes give a request, an error, or a wait within bounds', (t) => {
  const start = fc.constantFrom(
    hex(''),
    hex('04'),
    hex('05'),
    hex('050100'),
    hex('050102'),
    bytesOf('CONNECT '),
  );
  fc.assert(
    fc.property(start, fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 8 }), (head, chunks) => {
      const parser = new ProxyParser();
      for (const chunk of [head, ...chunks]) {
        const step = parser.push(chunk);
        if (step.request || step.error) return !(step.request && step.error);
      }
      return true;
    }),
  );
  t.pass();
});

test('replies', (t) => {
  const request = valid[3]!.bytes;
  const socks5 = run(request).request!;
  t.is(toHex(connectedReply(socks5)), '05000001000000000000');
  t.is(toHex(failureReply('socks5', 'not-allowed', false)), '05020001000000000000');
  t.is(toHex(failureReply('socks5', 'connection-refused', false)), '05050001000000000000');
  t.is(toHex(failureReply('socks5', 'host-unreachable', false)), '05040001000000000000');
  t.is(toHex(failureReply('socks5', 'timeout', false)), '05060001000000000000');
  t.is(toHex(failureReply('socks5', 'network-unreachable', false)), '05030001000000000000');
  t.is(toHex(failureReply('socks5', 'onion-not-found', true)), '05F00001000000000000');
  t.is(toHex(failureReply('socks5', 'onion-not-found', false)), '05040001000000000000');
  t.is(toHex(resolvedReply(socks5, '1.2.3.4')), '05000001010203040000');
  t.is(toHex(resolvedReply(socks5, '::1')), '05000004000000000000000000000000000000010000');
  t.is(toHex(resolvedReply(socks5, 'ab')), '050000030261620000');
  const socks4 = run(valid[0]!.bytes).request!;
  t.is(toHex(resolvedReply(socks4, '1.2.3.4')), '005A000001020304');
  t.is(toHex(resolvedReply(socks4, '::1')), '005B000000000000');
  const http = run(valid[10]!.bytes).request!;
  const marks = /\r\nTor-Capabilities: \r\nVia: tor\/1\.0 tor-network \(.+\)\r\n\r\n$/;
  const connected = Buffer.from(connectedReply(http)).toString();
  t.regex(connected, /^HTTP\/1\.0 200 OK\r\n/);
  const failed = Buffer.from(failureReply('http', 'timeout', false)).toString();
  t.regex(failed, /^HTTP\/1\.0 504 /);
  const refused = Buffer.from(run(bytesOf('CONNECT a.example HTTP/1.1\r\n\r\n')).send!).toString();
  for (const reply of [connected, failed, refused])
    t.regex(reply, marks, 'who asks can tell that this is Tor');
});
