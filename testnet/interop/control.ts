/**
 * The control port of a C tor (control-spec), as far as tests of paths and bootstrapping need it.
 *
 * @module
 */
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { CepaError } from '../../shared/bytes/errors.js';

/** One reply line; `data` is what a `+` line brought. */
interface ReplyLine {
  readonly text: string;
  readonly data?: string;
}

interface Waiting {
  resolve(lines: string[]): void;
  reject(error: Error): void;
}

/** A controller that is logged in. */
export class TorControl {
  private readonly socket: Socket;
  private readonly waiting: Waiting[] = [];
  private readonly listeners = new Set<(event: string) => void>();
  private held = '';
  private lines: ReplyLine[] = [];
  private data: string[] | undefined;

  private constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding('latin1');
    socket.on('data', (chunk: string) => this.take(chunk));
    socket.on('close', () => {
      for (const { reject } of this.waiting.splice(0)) reject(new CepaError('control', 'tor closed it'));
    });
    socket.on('error', () => {});
  }

  /** Connects to the ControlSocket of a tor with CookieAuthentication. */
  static async connect(folder: string): Promise<TorControl> {
    const socket = connect(join(folder, 'control'));
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    const control = new TorControl(socket);
    await control.command(
      `AUTHENTICATE ${readFileSync(join(folder, 'control_auth_cookie')).toString('hex')}`,
    );
    return control;
  }

  /** Hears `650` events, without the number. */
  listen(listener: (event: string) => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Sends a command; the lines of its answer, multi-line data behind a newline. Rejects when tor refuses. */
  command(line: string): Promise<string[]> {
    return new Promise((resolve, reject) => {
      this.waiting.push({
        resolve,
        reject: (error) => reject(new CepaError('control', `${line}: ${error.message}`)),
      });
      this.socket.write(`${line}\r\n`);
    });
  }

  /** The lines of a GETINFO value. */
  async info(key: string): Promise<string[]> {
    const [first = ''] = await this.command(`GETINFO ${key}`);
    return first
      .slice(key.length + 1)
      .split('\n')
      .filter((line) => line !== '');
  }

  /** Resolves with the first event the function makes something of. */
  until<T>(pick: (event: string) => T | undefined, what: string, timeout = 180_000): Promise<T> {
    return new Promise((resolve, reject) => {
      const done = this.listen((event) => {
        const found = pick(event);
        if (found === undefined) return;
        clearTimeout(timer);
        done();
        resolve(found);
      });
      const timer = setTimeout(() => {
        done();
        reject(new CepaError('control', `no ${what} within ${timeout / 1000} s`));
      }, timeout);
    });
  }

  close(): void {
    this.socket.destroy();
  }

  private take(chunk: string): void {
    this.held += chunk;
    for (;;) {
      const end = this.held.indexOf('\r\n');
      if (end < 0) return;
      const line = this.held.slice(0, end);
      this.held = this.held.slice(end + 2);
      this.line(line);
    }
  }

  private line(line: string): void {
    if (this.data) {
      if (line !== '.') return void this.data.push(line.startsWith('.') ? line.slice(1) : line);
      const { text } = this.lines.pop()!;
      this.lines.push({ text, data: this.data.join('\n') });
      this.data = undefined;
      return;
    }
    const kind = line[3];
    this.lines.push({ text: line.slice(4) });
    if (kind === '+') this.data = [];
    if (kind !== ' ') return;
    const texts = this.lines.map(({ text, data }) => (data === undefined ? text : `${text}\n${data}`));
    this.lines = [];
    if (line.startsWith('650')) for (const listener of [...this.listeners]) listener(texts.join('\n'));
    else if (line.startsWith('250')) this.waiting.shift()?.resolve(texts);
    else this.waiting.shift()?.reject(new CepaError('control', line));
  }
}

/** Takes the choice of circuits from tor; needed before `buildCircuit` and `attachNext`. */
export async function takePaths(control: TorControl): Promise<void> {
  await control.command('SETCONF __LeaveStreamsUnattached=1');
  await control.command('SETEVENTS CIRC STREAM');
}

/** Builds a circuit over relays given by fingerprint, or as tor chooses; its id and path. Needs `takePaths`. */
export async function buildCircuit(
  control: TorControl,
  fingerprints: readonly string[] = [],
): Promise<{ id: string; path: string[] }> {
  const early: string[] = [];
  const stop = control.listen((event) => early.push(event));
  const [extended = ''] = await control.command(
    `EXTENDCIRCUIT 0 ${fingerprints.map((fingerprint) => `$${fingerprint}`).join(',')}`.trim(),
  );
  const id = /^EXTENDED (\d+)$/.exec(extended)?.[1];
  if (!id) throw new CepaError('control', `unexpected answer: ${extended}`);
  const end = (event: string) => {
    const found = /^CIRC (\d+) (BUILT|FAILED|CLOSED) ?(.*)$/.exec(event);
    return found?.[1] === id ? { state: found[2]!, rest: found[3]! } : undefined;
  };
  const known = early.map(end).find((found) => found !== undefined);
  stop();
  const { state, rest } = known ?? (await control.until(end, `end of the building of circuit ${id}`));
  if (state !== 'BUILT')
    throw new CepaError('control', `circuit over ${fingerprints.join(',')}: ${state} ${rest}`);
  const path = rest
    .split(' ', 1)[0]!
    .split(',')
    .map((hop) => hop.slice(1, 41));
  return { id, path };
}

/** Milliseconds before a stream that an exit refused is tried again. */
const RETRY = 2000;

/**
 * Puts the next stream that an application opens on the circuit. Needs `takePaths`. Streams of tor's own, which fetches
 * documents when it likes, look the same but for their purpose, and are attached by tor.
 */
export async function attachNext(control: TorControl, circuit: string): Promise<void> {
  const stream = await control.until(
    (event) => /^STREAM (\d+) NEW 0 .* PURPOSE=USER\b/.exec(event)?.[1],
    'new stream',
  );
  const attach = () => control.command(`ATTACHSTREAM ${stream} ${circuit}`);
  // An exit that has not heard yet of the relay before it refuses, and tor leaves it to its controller to try again. Where
  // that fails too the application waits in vain, which its test tells.
  const stop = control.listen((event) => {
    const [, id, state] = /^STREAM (\d+) (DETACHED|CLOSED|FAILED)\b/.exec(event) ?? [];
    if (id !== stream) return;
    if (state === 'DETACHED') setTimeout(() => attach().catch(() => {}), RETRY);
    else stop();
  });
  await attach();
}

/** Waits until tor has the microdescriptors of these relays: before that it extends to none of them. */
export async function untilKnown(
  control: TorControl,
  fingerprints: readonly string[],
  timeout = 300_000,
): Promise<void> {
  const until = performance.now() + timeout;
  for (const fingerprint of fingerprints)
    for (;;) {
      const known = await control
        .command(`GETINFO md/id/${fingerprint} ns/id/${fingerprint}`)
        .catch(() => []);
      if (known.length > 0) break;
      if (performance.now() > until)
        throw new CepaError('control', `tor does not know ${fingerprint} after ${timeout / 1000} s`);
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
}
