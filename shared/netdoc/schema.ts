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

function readItem(item: Item, row: Row, fields: Record<string, unknown>): void {
  const { codec, name } = row;
  if (item.object !== undefined && codec.object === undefined) item.fail('an object that does not belong');
  if (item.object === undefined && codec.object === 'required') item.fail('its object is missing');
  const before = fields[name];
  if (!row.many) {
    if (before !== undefined) item.fail('comes twice');
    fields[name] = codec.read(item);
    return;
  }
  const value = codec.read(item);
  if (before === undefined || before === NONE) fields[name] = [value];
  else (before as unknown[]).push(value);
}

/** A table; see the module. */
export class Schema<R> {
  readonly document: string;
  private readonly rows: readonly Row[];
  private readonly needed: readonly Row[];
  private readonly rowOf: ReadonlyMap<string, Row>;
  private readonly blank: Readonly<Record<string, unknown>>;

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
    this.needed = this.rows.filter(({ needed }) => needed);
    this.rowOf = new Map(this.rows.flatMap((row) => row.keywords.map((keyword) => [keyword, row] as const)));
    this.blank = Object.fromEntries(
      this.rows.map(({ name, many, needed }) => [name, many && !needed ? NONE : undefined]),
    );
  }

  /**
   * Reads items up to the end, or up to the first (other than the very first item) whose keyword is in `stop`.
   *
   * @throws DecodeError naming the item.
   */
  read(tokens: Tokenizer, stop: ReadonlySet<string> = NO_STOP): RecordOf<R> {
    // Copied rather than grown, and read into directly: a consensus has thousands of such records.
    const fields: Record<string, unknown> = { ...this.blank };
    const atEnd: number[] = [];
    let count = 0;
    for (let keyword = tokens.peek(); keyword !== undefined; keyword = tokens.peek()) {
      if (count > 0 && stop.has(keyword)) break;
      const item = tokens.next() as Item;
      const row = this.rowOf.get(keyword);
      if (row !== undefined) {
        if (row.place !== undefined) this.checkPlace(row, row.place, count, atEnd);
        readItem(item, row, fields);
      }
      count++;
    }
    for (let i = 0; i < atEnd.length; i += 2)
      if (atEnd[i] !== count) throw this.error(this.rows[atEnd[i + 1] ?? 0], 'out of place');
    for (const row of this.needed) if (fields[row.name] === undefined) throw this.error(row, 'missing');
    return fields as RecordOf<R>;
  }

  /** Checks a place from the start; keeps one from the end, as the count it implies and the row, for later. */
  private checkPlace(row: Row, place: number, at: number, atEnd: number[]): void {
    if (place < 0) atEnd.push(at - place, this.rows.indexOf(row));
    else if (place !== at) throw this.error(row, 'out of place');
  }

  private error(row: Row | undefined, message: string): DecodeError {
    return new DecodeError(`${this.document}.${row?.keywords[0]}`, message);
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
