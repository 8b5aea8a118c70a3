/**
 * A document's items in one table that reads, checks and writes them. The table is an object; its keys name the
 * fields of the value, and their order is the order in which items are written:
 *
 *     const TABLE = schema('descriptor', {
 *       router: one('router', routerLine, { place: 0 }),
 *       uptime: maybe('uptime', seconds),
 *       family: any('family-cert', object('FAMILY CERT')),
 *     });
 *     type DescriptorFields = Fields<typeof TABLE>;
 *
 * Reading accepts the items in any order (save those with a place), ignores unknown keywords with their objects, and
 * names the item at fault.
 *
 * @module
 */
import { DecodeError } from '../bytes/errors.js';
import { formatObject, type Item, type ItemObject, type Tokenizer } from './tokenizer.js';

/** How an item looks when written. `rest` undefined: the bare keyword; '' leaves a blank after it. */
export interface WrittenItem {
  readonly keyword?: string;
  readonly rest?: string;
  readonly object?: ItemObject;
}

/** Turns an item into a value and back. */
export interface ItemCodec<T> {
  /** Whether an object may follow the line. */
  readonly object?: 'required' | 'optional';
  read(item: Item): T;
  write(value: T): WrittenItem;
}

/** How often an item may come. */
export type Count = 'one' | 'maybe' | 'any' | 'some';

/** One row of a table. */
export interface Rule<T, C extends Count> {
  readonly keywords: readonly string[];
  readonly codec: ItemCodec<T>;
  readonly count: C;
  /** Index among all items, from the end if negative. */
  readonly place: number | undefined;
}

interface RuleOptions {
  readonly place?: number;
}

const rule =
  <C extends Count>(count: C) =>
  <T>(keyword: string | readonly string[], codec: ItemCodec<T>, options: RuleOptions = {}): Rule<T, C> => ({
    keywords: typeof keyword === 'string' ? [keyword] : keyword,
    codec,
    count,
    place: options.place,
  });

/** An item that comes exactly once. */
export const one = rule('one');
/** An item that comes at most once. */
export const maybe = rule('maybe');
/** An item that comes any number of times. */
export const any = rule('any');
/** An item that comes at least once. */
export const some = rule('some');

type AnyRule = Rule<never, Count>;
type ValueOf<R> =
  R extends Rule<infer T, infer C>
    ? C extends 'one'
      ? T
      : C extends 'maybe'
        ? T | undefined
        : readonly T[]
    : never;

/** The value a table reads and writes. */
export type Fields<S> = S extends Schema<infer R> ? { readonly [K in keyof R]: ValueOf<R[K]> } : never;

type RecordOf<R> = { readonly [K in keyof R]: ValueOf<R[K]> };

interface Row {
  readonly name: string;
  readonly keywords: readonly string[];
  readonly codec: ItemCodec<unknown>;
  readonly place: number | undefined;
  readonly many: boolean;
  readonly needed: boolean;
}

const NO_STOP: ReadonlySet<string> = new Set();
const NONE: readonly never[] = Object.freeze([]);

/** A table; see the module. */
export class Schema<R> {
  readonly document: string;
  private readonly rows: readonly Row[];
  private readonly rowOf: ReadonlyMap<string, number>;

  constructor(document: string, rules: R) {
    this.document = document;
    this.rows = Object.entries(rules as Record<string, AnyRule>).map(([name, r]) => ({
      name,
      keywords: r.keywords,
      codec: r.codec as ItemCodec<unknown>,
      place: r.place,
      many: r.count === 'any' || r.count === 'some',
      needed: r.count === 'one' || r.count === 'some',
    }));
    this.rowOf = new Map(this.rows.flatMap((row, i) => row.keywords.map((keyword) => [keyword, i] as const)));
  }

  /**
   * Reads items up to the end, or up to the first (other than the very first item) whose keyword is in `stop`.
   *
   * @throws DecodeError naming the item.
   */
  read(tokens: Tokenizer, stop: ReadonlySet<string> = NO_STOP): RecordOf<R> {
    const { rows } = this;
    const values: unknown[] = new Array(rows.length).fill(undefined);
    const places: number[] = [];
    let count = 0;
    for (let keyword = tokens.peek(); keyword !== undefined; keyword = tokens.peek()) {
      if (count > 0 && stop.has(keyword)) break;
      const item = tokens.next() as Item;
      const index = this.rowOf.get(keyword);
      if (index !== undefined) {
        if (rows[index]?.place !== undefined) places.push(index, count);
        this.readItem(item, rows[index] as Row, values, index);
      }
      count++;
    }
    this.checkPlaces(places, count);
    return this.collect(values);
  }

  private readItem(item: Item, row: Row, values: unknown[], index: number): void {
    if (item.object !== undefined && row.codec.object === undefined)
      item.fail('an object that does not belong');
    if (item.object === undefined && row.codec.object === 'required') item.fail('its object is missing');
    if (!row.many) {
      if (values[index] !== undefined) item.fail('comes twice');
      values[index] = row.codec.read(item);
      return;
    }
    const list = (values[index] as unknown[] | undefined) ?? [];
    if (list.length === 0) values[index] = list;
    list.push(row.codec.read(item));
  }

  private checkPlaces(places: readonly number[], count: number): void {
    for (let i = 0; i < places.length; i += 2) {
      const row = this.rows[places[i] ?? 0] as Row;
      const wanted = row.place ?? 0;
      if (places[i + 1] !== (wanted < 0 ? count + wanted : wanted))
        throw new DecodeError(`${this.document}.${row.keywords[0]}`, 'out of place');
    }
  }

  private collect(values: readonly unknown[]): RecordOf<R> {
    const fields: Record<string, unknown> = {};
    for (let i = 0; i < this.rows.length; i++) {
      const row = this.rows[i] as Row;
      const value = values[i];
      if (value === undefined && row.needed)
        throw new DecodeError(`${this.document}.${row.keywords[0]}`, 'missing');
      fields[row.name] = value === undefined && row.many ? NONE : value;
    }
    return fields as RecordOf<R>;
  }

  /** Writes the items of a value in the order of the table. */
  write(fields: RecordOf<R>): string {
    let text = '';
    for (const row of this.rows) {
      const value = (fields as Record<string, unknown>)[row.name];
      if (value === undefined) continue;
      for (const each of row.many ? (value as readonly unknown[]) : [value])
        text += this.formatItem(row, row.codec.write(each));
    }
    return text;
  }

  private formatItem(row: Row, item: WrittenItem): string {
    const { keyword = row.keywords[0] ?? '', rest, object } = item;
    const line = rest === undefined ? keyword : `${keyword} ${rest}`;
    // A newline in a value would smuggle in items of its own.
    if (line.includes('\n')) throw new DecodeError(`${this.document}.${keyword}`, 'a line break in a value');
    return object === undefined ? `${line}\n` : `${line}\n${formatObject(object)}`;
  }
}

/** Makes a table for a document; `document` starts the field names of errors. */
export const schema = <R>(document: string, rules: R): Schema<R> => new Schema(document, rules);
