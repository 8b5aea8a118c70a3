import { deflateSync, gzipSync } from 'node:zlib';
import test from 'ava';
import { DecodeError } from '../bytes/errors.js';
import { fc } from '../testing/properties.js';
import {
  decodeBody,
  encodeRequest,
  encodeResponse,
  MAX_HEAD,
  RequestParser,
  ResponseParser,
} from './http.js';

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString('latin1');

test('a request goes through, in pieces of any size', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.integer({ min: 1, max: 40 }), (body, step) => {
      const bytes = encodeRequest({ method: 'POST', path: '/tor/', headers: { 'x-a': 'b' }, body });
      const parser = new RequestParser(1000);
      let got: ReturnType<RequestParser['push']>;
      for (let at = 0; at < bytes.length && !got; at += step)
        got = parser.push(bytes.subarray(at, at + step));
      return (
        got?.path === '/tor/' &&
        got.headers?.['x-a'] === 'b' &&
        Buffer.from(got.body!).equals(Buffer.from(body))
      );
    }),
  );
  t.pass();
});

test('an answer ends by its length or with the connection', (t) => {
  const response = { status: 200, reason: 'OK', headers: { 'x-b': 'c' }, body: Buffer.from('hello') };
  const sized = new ResponseParser();
  t.true(sized.push(encodeResponse(response)));
  t.is(text(sized.finish().body), 'hello');
  const unsized = new ResponseParser();
  t.false(unsized.push(Buffer.from('HTTP/1.0 200 OK\r\n\r\nhel')));
  t.false(unsized.push(Buffer.from('lo')));
  t.is(text(unsized.finish().body), 'hello');
});

test('an answer cut off is an error, not a short document', (t) => {
  const parser = new ResponseParser();
  parser.push(Buffer.from('HTTP/1.0 200 OK\r\nContent-Length: 10\r\n\r\nhello'));
  t.throws(() => parser.finish(), { instanceOf: DecodeError, message: /response.body/ });
});

test('compressed bodies, also several streams in a row', (t) => {
  const two = Buffer.concat([deflateSync('one '), deflateSync('two')]);
  t.is(text(decodeBody('deflate', two, 100)), 'one two');
  t.is(text(decodeBody('gzip', gzipSync('three'), 100)), 'three');
  t.is(text(decodeBody(undefined, Buffer.from('plain'), 100)), 'plain');
  t.throws(() => decodeBody('x-tor-lzma', two, 100), { message: /content-encoding/ });
  t.throws(() => decodeBody('deflate', two.subarray(0, 6), 100), { message: /response.body/ });
});

test('a decompression bomb stops at the limit', (t) => {
  const bomb = deflateSync(Buffer.alloc(10_000_000));
  t.throws(() => decodeBody('deflate', bomb, 100_000), { instanceOf: DecodeError });
  const many = Buffer.concat(Array.from({ length: 50 }, () => deflateSync(Buffer.alloc(1000))));
  t.throws(() => decodeBody('deflate', many, 20_000), { instanceOf: DecodeError });
});

const badRequests: [string, RegExp][] = [
  ['DELETE / HTTP/1.0\r\n\r\n', /request.line/],
  ['GET tor HTTP/1.0\r\n\r\n', /request.line/],
  ['GET / HTTP/2\r\n\r\n', /request.line/],
  ['POST /tor/ HTTP/1.0\r\n\r\n', /content-length/],
  ['POST /tor/ HTTP/1.0\r\nContent-Length: -1\r\n\r\n', /content-length/],
  ['POST /tor/ HTTP/1.0\r\nContent-Length: 99999\r\n\r\n', /content-length/],
  ['GET / HTTP/1.0\r\nnonsense\r\n\r\n', /headers/],
  [`GET /${'a'.repeat(MAX_HEAD)} HTTP/1.0\r\n`, /head/],
];

for (const [request, message] of badRequests) {
  test(`refuses ${JSON.stringify(request.slice(0, 50))}`, (t) => {
    t.throws(() => new RequestParser(1000).push(Buffer.from(request)), { instanceOf: DecodeError, message });
  });
}

test('parsers survive any bytes', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 2000 }), (bytes) => {
      for (const act of [
        () => new RequestParser(1000).push(bytes),
        () => {
          const parser = new ResponseParser(1000);
          parser.push(bytes);
          parser.finish();
        },
        () => decodeBody('deflate', bytes, 1000),
      ]) {
        try {
          act();
        } catch (error) {
          if (!(error instanceof DecodeError)) throw error;
        }
      }
    }),
  );
  t.pass();
});

test('a header cannot smuggle a line', (t) => {
  t.throws(() => encodeRequest({ method: 'GET', path: '/', headers: { a: 'b\r\nc: d' } }), {
    instanceOf: DecodeError,
  });
  t.throws(() => encodeRequest({ method: 'GET', path: '/ HTTP/1.0\r\n', headers: {} }), {
    instanceOf: DecodeError,
  });
});
