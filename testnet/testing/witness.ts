/**
 * What a node of a simulated network could know: the bytes on its links, the messages that were for it, what it
 * remembers, its log and its disk. For tests that hold every relay of a path to its two neighbours.
 *
 * @module
 */
import { CircuitEnd } from '../../shared/onion/circuit-end.js';
import { SimConn } from '../../shared/runtime/sim/net.js';
import type { SimHost } from '../../shared/runtime/sim/world.js';
import type { Clock, Conn, ConnHandlers, TlsConn, Transport } from '../../shared/runtime/types.js';
import type { MemoryStore } from '../../shared/store/memory.js';

/** Where a node can know something from. */
export const PLACES = ['links', 'messages', 'memory', 'log', 'disk'] as const;
export type Place = (typeof PLACES)[number];

/** Something to look for: any of its forms. */
export interface Needle {
  readonly name: string;
  readonly forms: readonly Buffer[];
}

/** Bytes of a cell's body. */
const CELL_BODY = 509;

/** A secret as bytes: looked for as they are, in hex and in base64. */
export function bytesNeedle(name: string, bytes: Uint8Array): Needle {
  const raw = Buffer.from(bytes);
  const hex = raw.toString('hex');
  const texts = [hex, hex.toUpperCase(), raw.toString('base64').replace(/=+$/, '')];
  return { name, forms: [raw, ...texts.map((text) => Buffer.from(text))] };
}

/** A secret as text. */
export const textNeedle = (name: string, text: string): Needle => ({ name, forms: [Buffer.from(text)] });

/** An IPv4 address, as text and in four bytes. */
export const addressNeedle = (name: string, address: string): Needle => ({
  name,
  // In four bytes with its length before it, as cells have it; four bytes alone turn up by chance.
  forms: [Buffer.from(address), Buffer.from([4, ...address.split('.').map(Number)])],
});

const holds = (hay: Buffer, { forms }: Needle): boolean => forms.some((form) => hay.includes(form));

/** A node that is looked at. */
interface Watched {
  readonly store: MemoryStore;
  readonly log: { text(): string };
  readonly node: unknown;
}

/** Sees with the eyes of one machine. */
export class Witness {
  readonly host: SimHost;
  private readonly links: Buffer[] = [];
  private readonly messages = new Map<CircuitEnd, Buffer[]>();

  /** Puts itself between a machine and the network: `host` is what the node is to run on. */
  constructor(host: SimHost) {
    this.host = { ...host, transport: tapped(host.transport, (bytes) => this.links.push(bytes)) };
    hear(host.clock, (circuit, cell) => {
      const cells = this.messages.get(circuit);
      if (cells) cells.push(cell);
      else this.messages.set(circuit, [cell]);
    });
  }

  /** The relay messages that were for it, circuit by circuit: from the relay command on. */
  get circuits(): readonly (readonly Buffer[])[] {
    return [...this.messages.values()];
  }

  /** Where it has a needle. */
  places(needle: Needle, site: Watched): Place[] {
    const seen: Record<Exclude<Place, 'log' | 'disk'>, () => boolean> = {
      links: () => holds(Buffer.concat(this.links), needle),
      messages: () => holds(Buffer.concat(this.circuits.flat()), needle),
      memory: () => remembered(site.node).some((item) => holds(item, needle)),
    };
    const written = writtenPlaces(needle, site);
    return PLACES.filter((place) =>
      place === 'log' || place === 'disk' ? written.includes(place) : seen[place](),
    );
  }
}

/** Where a node has a needle once it is off. */
export function writtenPlaces(needle: Needle, { store, log }: Omit<Watched, 'node'>): Place[] {
  const files = [...store.files].flatMap(([name, bytes]) => [Buffer.from(name), Buffer.from(bytes)]);
  const places: Place[] = [];
  if (holds(Buffer.from(log.text()), needle)) places.push('log');
  if (files.some((file) => holds(file, needle))) places.push('disk');
  return places;
}

/** A connection whose bytes, both ways, are copied. */
function tapped(transport: Transport, tap: (bytes: Buffer) => void): Transport {
  const tapConn = <C extends Conn>(conn: C): C => {
    const { start, write } = conn;
    conn.start = (handlers: ConnHandlers) =>
      start.call(conn, {
        data(chunk) {
          tap(Buffer.from(chunk));
          handlers.data(chunk);
        },
        end: () => handlers.end(),
        drain: () => handlers.drain(),
        close: (error) => handlers.close(error),
      });
    conn.write = (bytes) => {
      tap(Buffer.from(bytes));
      return write.call(conn, bytes);
    };
    return conn;
  };
  return {
    ...transport,
    dialTcp: async (to, options) => tapConn(await transport.dialTcp(to, options)),
    dialTls: async (to, options) => tapConn(await transport.dialTls(to, options)),
    listenTcp: (at, accept) => transport.listenTcp(at, (conn) => accept(tapConn(conn))),
    listenTls: (at, identity, accept, admit) =>
      transport.listenTls(at, identity, (conn: TlsConn) => accept(tapConn(conn)), admit),
  };
}

type Ear = (circuit: CircuitEnd, cell: Buffer) => void;

const ears = new Map<Clock, Ear>();

/** Has the relay messages for the machine with this clock, as they are when all layers for it are off. */
function hear(clock: Clock, ear: Ear): void {
  if (ears.size === 0) {
    const { receive } = CircuitEnd.prototype;
    CircuitEnd.prototype.receive = function (batch, mine, tagOf) {
      const tell = ears.get(this.clock);
      for (let i = 0; tell && i < batch.n; i++)
        if (mine[i] === 1)
          tell(this, Buffer.from(batch.buf.subarray(batch.at[i]!, batch.at[i]! + CELL_BODY)));
      receive.call(this, batch, mine, tagOf);
    };
  }
  ears.set(clock, ear);
}

/** All that can be reached from a node, as bytes: strings, buffers, addresses. What the world is made of is left out. */
export function reachable(root: unknown): object[] {
  const seen = new Set<object>();
  const left: unknown[] = [root];
  while (left.length > 0) {
    const item = left.pop();
    if (typeof item !== 'object' || item === null || seen.has(item)) continue;
    seen.add(item);
    if (ArrayBuffer.isView(item)) continue;
    if (item instanceof SimConn) left.push(item.local, item.remote);
    else if (item instanceof Map) left.push(...item.keys(), ...item.values());
    else if (item instanceof Set) left.push(...item);
    else for (const key of Reflect.ownKeys(item)) left.push(valueAt(item, key));
  }
  return [...seen];
}

/** Getters are left alone. */
const valueAt = (item: object, key: PropertyKey): unknown =>
  Object.getOwnPropertyDescriptor(item, key)?.value;

function remembered(root: unknown): Buffer[] {
  const found: Buffer[] = [];
  const texts = new Set<string>();
  for (const item of reachable(root)) {
    if (ArrayBuffer.isView(item)) {
      found.push(Buffer.from(item.buffer, item.byteOffset, item.byteLength));
      continue;
    }
    const values =
      item instanceof Map
        ? [...item.keys(), ...item.values()]
        : item instanceof Set
          ? [...item]
          : Reflect.ownKeys(item).flatMap((key) => [key, valueAt(item, key)]);
    for (const value of values) if (typeof value === 'string') texts.add(value);
  }
  for (const text of texts) found.push(Buffer.from(text));
  return found;
}
