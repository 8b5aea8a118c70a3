import test from 'ava';
import { ProtocolError } from '../bytes/errors.js';
import { fromHex, toHex } from '../bytes/text.js';
import { fc } from '../testing/properties.js';
import { vectors } from '../testing/vectors.js';
import { MAX_BATCH } from './batch.js';
import { AUTH_CHALLENGE, CERTS, NETINFO, VERSIONS } from './channel-cells.js';
import { BODY_SIZE, Command, isVariable } from './commands.js';
import { CellDecoder, type CellSink, encodeFixed, encodeNarrow, encodeVariable } from './frame.js';

interface Seen {
  circuitId: number;
  command: number;
  body: string;
  batch?: number;
}

function collect(): { seen: Seen[]; sink: CellSink; batches: number } {
  const result = {
    seen: [] as Seen[],
    batches: 0,
    sink: {
      relay(circuitId, batch) {
        result.batches++;
        for (let i = 0; i < batch.n; i++) {
          const at = batch.at[i]!;
          result.seen.push({
            circuitId,
            command: batch.buf[at - 1]!,
            body: batch.buf.toString('hex', at, at + BODY_SIZE),
          });
          if (batch.buf.readUInt32BE(at - 5) !== circuitId) throw new Error('a cell in the wrong batch');
        }
      },
      fixed: (circuitId, command, body) =>
        result.seen.push({ circuitId, command, body: body.toString('hex') }),
      variable: (circuitId, command, body) =>
        result.seen.push({ circuitId, command, body: body.toString('hex') }),
    } as CellSink,
  };
  return result;
}

const versions = encodeNarrow(Command.VERSIONS, VERSIONS.encode({ versions: [4, 5] }));
const relayCell = (circuitId: number, fill: number, command: number = Command.RELAY) =>
  encodeFixed(circuitId, command, Buffer.alloc(BODY_SIZE, fill));

test('cells captured from C tor are framed and decoded', (t) => {
  const [{ responder_versions, responder_certs_cell, auth_challenge_cell, netinfo_cell, cert_types }] =
    vectors<{ vectors: Record<string, string>[] }>('link-handshake.json').vectors as [Record<string, string>];
  const wire = [responder_versions, responder_certs_cell, auth_challenge_cell, netinfo_cell]
    .map((cell) => fromHex(cell!, 'vector'))
    .map((cell) => Buffer.from(cell));
  const { seen, sink } = collect();
  new CellDecoder(sink).push(Buffer.concat(wire));
  t.deepEqual(
    seen.map(({ command }) => command),
    [Command.VERSIONS, Command.CERTS, Command.AUTH_CHALLENGE, Command.NETINFO],
  );
  const bodies = seen.map(({ body }) => fromHex(body, 'body'));
  t.deepEqual(VERSIONS.decode(bodies[0]!), { versions: [3, 4, 5] });
  const certs = CERTS.decode(bodies[1]!);
  t.deepEqual(
    certs.certs.map(({ type }) => type),
    cert_types as unknown as number[],
  );
  t.is(toHex(encodeVariable(0, Command.CERTS, CERTS.encode(certs))), responder_certs_cell!.toUpperCase());
  const challenge = AUTH_CHALLENGE.decode(bodies[2]!);
  t.deepEqual(challenge.methods, [3]);
  t.is(
    toHex(encodeVariable(0, Command.AUTH_CHALLENGE, AUTH_CHALLENGE.encode(challenge))),
    auth_challenge_cell!.toUpperCase(),
  );
  const info = NETINFO.decode(bodies[3]!);
  t.deepEqual(info, { timestamp: 0x6b017a64, peer: '127.0.0.1', own: ['127.0.0.1'] });
  t.is(toHex(encodeFixed(0, Command.NETINFO, NETINFO.encode(info))), netinfo_cell!.toUpperCase());
});

const anyCell = fc.oneof(
  fc.record({
    circuitId: fc.constantFrom(1, 2, 0x8000_0003, 0xffff_ffff),
    command: fc.constantFrom(Command.RELAY, Command.RELAY, Command.RELAY_EARLY),
    body: fc.uint8Array({ minLength: BODY_SIZE, maxLength: BODY_SIZE }),
  }),
  fc.record({
    circuitId: fc.constantFrom(0, 1, 2, 0x8000_0003),
    command: fc.constantFrom(Command.PADDING, Command.DESTROY, Command.CREATE2, Command.CREATED2, 77),
    body: fc.uint8Array({ minLength: BODY_SIZE, maxLength: BODY_SIZE }),
  }),
  fc.record({
    circuitId: fc.constantFrom(0, 1),
    command: fc.constantFrom(Command.VPADDING, Command.CERTS, 200),
    body: fc.uint8Array({ maxLength: 2000 }),
  }),
);

test('however the bytes are cut, each circuit sees its cells in order', (t) => {
  const wireOf = (cell: { circuitId: number; command: number; body: Uint8Array }) =>
    isVariable(cell.command)
      ? encodeVariable(cell.circuitId, cell.command, cell.body)
      : encodeFixed(cell.circuitId, cell.command, cell.body);
  const property = fc.property(
    fc.array(anyCell, { maxLength: 30 }),
    fc.array(fc.integer({ min: 1, max: 3000 }), { minLength: 1, maxLength: 20 }),
    (cells, cuts) => {
      const wire = Buffer.concat([versions, ...cells.map(wireOf)]);
      const { seen, sink } = collect();
      const decoder = new CellDecoder(sink);
      for (let at = 0, i = 0; at < wire.length; i++) {
        const end = Math.min(wire.length, at + cuts[i % cuts.length]!);
        decoder.push(Buffer.from(wire.subarray(at, end)));
        at = end;
      }
      t.is(decoder.buffered, 0);
      t.is(decoder.cells, cells.length + 1);
      const wanted = cells.map(({ circuitId, command, body }) => ({
        circuitId,
        command,
        body: Buffer.from(body).toString('hex'),
      }));
      const got = seen.slice(1);
      t.is(got.length, wanted.length);
      const isPadding = ({ command }: Seen) => command === Command.PADDING;
      for (const id of new Set(wanted.map(({ circuitId }) => circuitId))) {
        const only = (cell: Seen) => cell.circuitId === id && !isPadding(cell);
        t.deepEqual(got.filter(only), wanted.filter(only));
      }
    },
  );
  fc.assert(property, { numRuns: 150 });
});

test('the cells of one circuit in one chunk are one batch, whatever lies between', (t) => {
  const cells = Array.from({ length: 40 }, (_, i) => relayCell((i % 2) + 1, i));
  const result = collect();
  const decoder = new CellDecoder(result.sink);
  decoder.push(versions);
  decoder.push(Buffer.concat(cells));
  t.is(result.batches, 2);
  t.is(result.seen.length, 41);
});

test('a cell that ends a circuit waits for those before it', (t) => {
  const result = collect();
  const decoder = new CellDecoder(result.sink);
  decoder.push(versions);
  const destroy = encodeFixed(1, Command.DESTROY, Buffer.of(1));
  decoder.push(Buffer.concat([relayCell(1, 1), relayCell(2, 2), destroy, relayCell(2, 3)]));
  t.deepEqual(
    result.seen.slice(1).map(({ circuitId, command }) => [circuitId, command]),
    [
      [1, Command.RELAY],
      [2, Command.RELAY],
      [1, Command.DESTROY],
      [2, Command.RELAY],
    ],
  );
});

test('more cells than a batch holds make a second batch', (t) => {
  const result = collect();
  const decoder = new CellDecoder(result.sink);
  decoder.push(versions);
  const cells = Array.from({ length: MAX_BATCH * 2 + 3 }, (_, i) => relayCell(7, i & 255));
  decoder.push(Buffer.concat(cells));
  t.is(result.batches, 3);
  t.deepEqual(
    result.seen.slice(1).map(({ body }) => Number.parseInt(body.slice(0, 2), 16)),
    cells.map((_, i) => i & 255),
  );
});

test('more circuits than batches lose nothing', (t) => {
  const result = collect();
  const decoder = new CellDecoder(result.sink);
  decoder.push(versions);
  decoder.push(Buffer.concat(Array.from({ length: 300 }, (_, i) => relayCell(i + 1, i & 255))));
  t.deepEqual(
    result.seen.slice(1).map(({ circuitId }) => circuitId),
    Array.from({ length: 300 }, (_, i) => i + 1),
  );
});

test('nothing but VERSIONS, VPADDING and AUTHORIZE comes first', (t) => {
  const refused = collect();
  t.throws(() => new CellDecoder(refused.sink).push(relayCell(0, 0)), { instanceOf: ProtocolError });
  const http = collect();
  t.throws(() => new CellDecoder(http.sink).push(Buffer.from('GET / HTTP/1.0\r\n\r\n')), {
    instanceOf: ProtocolError,
  });
  const padded = collect();
  new CellDecoder(padded.sink).push(
    Buffer.concat([encodeNarrow(Command.VPADDING, Buffer.alloc(9)), versions]),
  );
  t.deepEqual(
    padded.seen.map(({ command }) => command),
    [Command.VPADDING, Command.VERSIONS],
  );
});

test('who gets a cell that is no RELAY cell may keep its body; the chunk is only lent', (t) => {
  const kept: Buffer[] = [];
  const keep = (_circuitId: number, _command: number, body: Buffer) => kept.push(body);
  const decoder = new CellDecoder({ relay() {}, fixed: keep, variable: keep });
  const create = Buffer.alloc(BODY_SIZE, 7);
  const chunk = Buffer.concat([
    versions,
    encodeFixed(1, Command.CREATE2, create),
    encodeVariable(0, Command.CERTS, Buffer.from('certs')),
  ]);
  decoder.push(chunk);
  chunk.fill(0xff);
  t.deepEqual(VERSIONS.decode(kept[0]!), { versions: [4, 5] });
  t.deepEqual(kept[1], create);
  t.is(kept[2]!.toString(), 'certs');
});

test('a stopped decoder delivers nothing more, from inside a call too', (t) => {
  const seen: number[] = [];
  const decoder: CellDecoder = new CellDecoder({
    relay: () => seen.push(Command.RELAY),
    fixed(_, command) {
      seen.push(command);
      decoder.stop();
    },
    variable: (_, command) => seen.push(command),
  });
  decoder.push(versions);
  decoder.push(Buffer.concat([encodeFixed(1, Command.DESTROY, Buffer.of(1)), relayCell(1, 1)]));
  decoder.push(relayCell(1, 1));
  t.deepEqual(seen, [Command.VERSIONS, Command.DESTROY]);
});

test('any bytes are framed or refused', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 3000 }), { maxLength: 5 }),
      fc.boolean(),
      (chunks, begun) => {
        const decoder = new CellDecoder(collect().sink);
        if (begun) decoder.push(versions);
        try {
          for (const chunk of chunks) decoder.push(Buffer.from(chunk));
        } catch (error) {
          if (!(error instanceof ProtocolError)) throw error;
        }
        t.true(decoder.buffered <= 65_542);
      },
    ),
    { numRuns: 300 },
  );
});
