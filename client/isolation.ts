/**
 * Stream isolation (C tor: `connection_edge_compatible_with_circuit`, or.h ISO_*): which streams may share a circuit.
 * A stream says in which fields it must not differ from its neighbours; a circuit remembers what its streams said.
 *
 * @module
 */

/** What a stream can be told apart by. */
export interface IsolationFields {
  /** User name and password, joined so that ("a", "bc") and ("ab", "c") differ; empty when none was given. */
  readonly auth: string;
  /** Canonical destination. */
  readonly destAddr: string;
  readonly destPort: number;
  /** IP of the application's end. */
  readonly clientAddr: string;
  /** The proxy language (SOCKS4 and SOCKS4a count as one, as in C tor). */
  readonly clientProtocol: string;
  /** Port lines have a group of their own unless they name one. */
  readonly sessionGroup: string;
}

/** Names of the fields. */
export type IsolationField = keyof IsolationFields;

/** A stream's demand. */
export interface Isolation {
  readonly fields: IsolationFields;
  /** Fields in which this stream shares a circuit only with its like. */
  readonly by: ReadonlySet<IsolationField>;
  /** Its circuit is not retired for its age while it has streams (KeepAliveIsolateSOCKSAuth). */
  readonly keepAlive?: boolean;
}

const EVERY_FIELD: readonly IsolationField[] = [
  'auth',
  'destAddr',
  'destPort',
  'clientAddr',
  'clientProtocol',
  'sessionGroup',
];

/** Flags of a SocksPort line that add to, and take from, what isolates by default. */
const ADDING = new Map<string, IsolationField>([
  ['isolatedestaddr', 'destAddr'],
  ['isolatedestport', 'destPort'],
  ['isolateclientprotocol', 'clientProtocol'],
  ['isolateclientaddr', 'clientAddr'],
  ['isolatesocksauth', 'auth'],
]);
const REMOVING = new Map<string, IsolationField>([
  ['noisolateclientaddr', 'clientAddr'],
  ['noisolatesocksauth', 'auth'],
  ['noisolatedestaddr', 'destAddr'],
  ['noisolatedestport', 'destPort'],
  ['noisolateclientprotocol', 'clientProtocol'],
]);

/** What a port's flags ask for; by default SOCKS auth, client address and session group isolate. */
export function isolationOfFlags(flags: ReadonlySet<string>): ReadonlySet<IsolationField> {
  const by = new Set<IsolationField>(['auth', 'clientAddr', 'sessionGroup']);
  for (const flag of flags) {
    const add = ADDING.get(flag);
    if (add) by.add(add);
    const remove = REMOVING.get(flag);
    if (remove) by.delete(remove);
  }
  return by;
}

/** The session group of a port line: what it names, or a group nobody else is in. */
export function sessionGroupOf(flags: ReadonlySet<string>, own: string): string {
  for (const flag of flags) if (flag.startsWith('sessiongroup=')) return flag;
  return own;
}

/** Joins user name and password unambiguously. */
export const authKey = (username: string, password: string): string =>
  username === '' && password === '' ? '' : JSON.stringify([username, password]);

/** What the streams of one circuit have said so far. */
export class CircuitIsolation {
  private first: IsolationFields | undefined;
  private readonly mixed = new Set<IsolationField>();
  private readonly by = new Set<IsolationField>();

  /** Whether a stream was ever attached. */
  get used(): boolean {
    return this.first !== undefined;
  }

  /** Whether a stream may join: no field that it or an earlier stream isolates by would then have two values. */
  allows(stream: Isolation): boolean {
    const first = this.first;
    if (!first) return true;
    return EVERY_FIELD.every((field) => {
      if (!stream.by.has(field) && !this.by.has(field)) return true;
      return !this.mixed.has(field) && first[field] === stream.fields[field];
    });
  }

  /** Records a stream that joins. What was said stays said after the stream is gone. */
  join(stream: Isolation): void {
    for (const field of stream.by) this.by.add(field);
    const first = this.first;
    if (!first) {
      this.first = stream.fields;
      return;
    }
    for (const field of EVERY_FIELD) if (first[field] !== stream.fields[field]) this.mixed.add(field);
  }
}
