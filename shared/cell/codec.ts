/**
 * The pieces that message codecs are made of: a codec is a table of named fields, and the same table reads and writes.
 *
 * @module
 */
import { DecodeError } from '../bytes/errors.js';
import { Reader } from '../bytes/reader.js';
import { Writer } from '../bytes/writer.js';

/** Both directions of one message body. */
export interface Codec<T> {
  /** For errors and logs. */
  readonly name: string;
  /** The bytes of a value. Throws RangeError for a value the format has no room for. */
  encode(value: T): Uint8Array;
  /** Reads a body; views in the result share its memory. Throws DecodeError. Bytes after the message are ignored. */
  decode(bytes: Uint8Array): T;
}

/** Both directions of one field. `name` is the full name, e.g. `CREATE2.length`. */
export interface Field<T> {
  read(from: Reader, name: string): T;
  write(to: Writer, value: T, name: string): void;
}

function checkUint(value: number, limit: number, name: string): number {
  if (!Number.isInteger(value) || value < 0 || value >= limit)
    throw new RangeError(`${name}: ${value} does not fit`);
  return value;
}

/** One byte. */
export const u8: Field<number> = {
  read: (from, name) => from.u8(name),
  write: (to, value, name) => to.u8(checkUint(value, 0x100, name)),
};

/** Two bytes. */
export const u16: Field<number> = {
  read: (from, name) => from.u16(name),
  write: (to, value, name) => to.u16(checkUint(value, 0x1_0000, name)),
};

/** Four bytes. */
export const u32: Field<number> = {
  read: (from, name) => from.u32(name),
  write: (to, value, name) => to.u32(checkUint(value, 0x1_0000_0000, name)),
};

/** Eight bytes. */
export const u64: Field<bigint> = {
  read: (from, name) => from.u64(name),
  write: (to, value) => to.u64(value),
};

/** Exactly `n` bytes. */
export const fixed = (n: number): Field<Uint8Array> => ({
  read: (from, name) => from.slice(n, name),
  write(to, value, name) {
    if (value.length !== n) throw new RangeError(`${name}: wanted ${n} bytes, got ${value.length}`);
    to.bytes(value);
  },
});

/** Bytes behind their own count, which `length` holds. */
export const counted = (length: Field<number>): Field<Uint8Array> => ({
  read: (from, name) => from.slice(length.read(from, `${name}.length`), name),
  write(to, value, name) {
    length.write(to, value.length, `${name}.length`);
    to.bytes(value);
  },
});

/** A count, which `count` holds, then so many items. */
export const list = <T>(count: Field<number>, item: Field<T>): Field<T[]> => ({
  read(from, name) {
    const n = count.read(from, `${name}.count`);
    const items: T[] = [];
    for (let i = 0; i < n; i++) items.push(item.read(from, `${name}[${i}]`));
    return items;
  },
  write(to, items, name) {
    count.write(to, items.length, `${name}.count`);
    items.forEach((value, i) => {
      item.write(to, value, `${name}[${i}]`);
    });
  },
});

/** Fields in their order, as a field. */
export const group = <T extends object>(fields: { [K in keyof T]: Field<T[K]> }): Field<T> => {
  const names = Object.keys(fields) as (keyof T & string)[];
  return {
    read(from, name) {
      const value: Partial<T> = {};
      for (const key of names) value[key] = fields[key].read(from, `${name}.${key}`);
      return value as T;
    },
    write(to, value, name) {
      for (const key of names) fields[key].write(to, value[key], `${name}.${key}`);
    },
  };
};

/** A field by itself as a message. */
export const message = <T>(name: string, field: Field<T>): Codec<T> => ({
  name,
  encode(value) {
    const writer = new Writer();
    field.write(writer, value, name);
    return writer.finish();
  },
  decode: (bytes) => field.read(new Reader(bytes), name),
});

/** Fields in their order as a message. */
export const struct = <T extends object>(name: string, fields: { [K in keyof T]: Field<T[K]> }): Codec<T> =>
  message(name, group(fields));

/** Narrows a field to the one value this software speaks. */
export const only = (field: Field<number>, wanted: number): Field<number> => ({
  read(from, name) {
    const value = field.read(from, name);
    if (value !== wanted) throw new DecodeError(name, `wanted ${wanted}, got ${value}`);
    return value;
  },
  write(to, value, name) {
    if (value !== wanted) throw new RangeError(`${name}: wanted ${wanted}, got ${value}`);
    field.write(to, value, name);
  },
});
