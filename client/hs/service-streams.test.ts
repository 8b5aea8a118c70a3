import test from 'ava';
import { EndReason, RelayCommand } from '../../shared/cell/commands.js';
import { BEGIN } from '../../shared/cell/relay-cells.js';
import { memoryLog } from '../../shared/log/memory.js';
import type { IncomingStream } from '../../shared/onion/types.js';
import { SimWorld } from '../../shared/runtime/sim/world.js';
import type { Conn, Transport } from '../../shared/runtime/types.js';
import type { HiddenServicePortOption } from '../../shared/torrc/options.js';
import { AppTraffic } from './app-traffic.js';
import { ServiceStreams, type StreamRules } from './service-streams.js';

/** A stream a client asks for, and what it is answered. */
class Asked {
  readonly command: number;
  readonly request: Uint8Array;
  closed = false;
  handlers = { data() {}, drain() {}, end(_reason: number, _local: boolean) {} };
  answer: 'accepted' | number | undefined;
  constructor(port: number, command: number = RelayCommand.BEGIN) {
    this.command = command;
    this.request = BEGIN.encode({ host: '', port, flags: 0 });
  }
  accept(): void {
    this.answer = 'accepted';
  }
  end(reason: number): void {
    this.answer ??= reason;
    this.closed = true;
  }
  abort(reason: number): void {
    this.end(reason);
  }
  pause(): void {}
  resume(): void {}
  write(): boolean {
    return true;
  }
  /** The client ends it. */
  hangUp(): void {
    this.closed = true;
    this.handlers.end(EndReason.MISC, false);
  }
}

const conn = (): Conn => ({
  remote: { host: '127.0.0.1', port: 1 },
  local: { host: '127.0.0.1', port: 2 },
  writableLength: 0,
  start() {},
  write: () => true,
  end() {},
  destroy() {},
  pause() {},
  resume() {},
});

function service(ports: readonly HiddenServicePortOption[], rules: Partial<StreamRules> = {}) {
  const world = new SimWorld('service streams', 1_700_000_000_000);
  const { clock, random, resolver } = world.host('127.8.0.1');
  const dialled: string[] = [];
  const state = {
    circuits: 1,
    rules: { ports, maxStreams: 0, maxStreamsCloseCircuit: false, allowUnknownPorts: false, ...rules },
  };
  const dial = (name: string) => {
    dialled.push(name);
    return Promise.resolve(conn());
  };
  const transport: Pick<Transport, 'dialTcp' | 'dialUnix'> = {
    dialTcp: ({ host, port }) => dial(`${host}:${port}`),
    dialUnix: (path) => dial(path),
  };
  world.names.set('backend.example', ['127.9.0.9']);
  const traffic = new AppTraffic();
  const streams = new ServiceStreams({
    clock,
    random,
    log: memoryLog(),
    transport: transport as Transport,
    resolver,
    traffic,
    leaving: new Set(),
    rules: () => state.rules,
    closeCircuit: () => {
      state.circuits--;
    },
  });
  const ask = async (port: number, command?: number) => {
    const asked = new Asked(port, command);
    streams.take(asked as unknown as IncomingStream);
    await world.advance(0);
    return asked;
  };
  return { world, state, dialled, ask };
}

const to = (virtualPort: number, target: HiddenServicePortOption['target']) => ({ virtualPort, target });

test('each port goes to its server: by address, by name, over a unix socket', async (t) => {
  const { ask, dialled } = service([
    to(80, { host: '127.0.0.1', port: 8080 }),
    to(81, { host: 'backend.example', port: 9 }),
    to(82, { unix: '/run/site' }),
  ]);
  for (const port of [80, 81, 82]) t.is((await ask(port)).answer, 'accepted');
  t.deepEqual(dialled, ['127.0.0.1:8080', '127.9.0.9:9', '/run/site']);
});

test('several servers behind one port share its streams', async (t) => {
  const { ask, dialled } = service([to(80, { unix: '/a' }), to(80, { unix: '/b' })]);
  for (let i = 0; i < 40; i++) await ask(80);
  t.deepEqual([...new Set(dialled)].sort(), ['/a', '/b']);
});

test('a port that is not there costs the circuit, unless it is allowed to ask', async (t) => {
  const open = service([to(80, { unix: '/a' })], { allowUnknownPorts: true });
  t.is((await open.ask(81)).answer, EndReason.DONE);
  await open.world.advance(5000);
  t.is(open.state.circuits, 1);

  const { world, state, ask } = service([to(80, { unix: '/a' })]);
  t.is((await ask(81)).answer, EndReason.DONE);
  t.is(state.circuits, 1);
  // What comes while the refusal is on its way is left to the circuit's end.
  t.is((await ask(80)).answer, undefined);
  await world.advance(5000);
  t.is(state.circuits, 0);
});

test('only BEGIN is taken', async (t) => {
  const { ask, dialled } = service([to(80, { unix: '/a' })]);
  t.is((await ask(80, RelayCommand.BEGIN_DIR)).answer, EndReason.TORPROTOCOL);
  t.is((await ask(80, RelayCommand.RESOLVE)).answer, EndReason.TORPROTOCOL);
  t.deepEqual(dialled, []);
});

test('HiddenServiceMaxStreams bounds the streams of a circuit, and may end it', async (t) => {
  const { ask, state, world } = service([to(80, { unix: '/a' })], { maxStreams: 2 });
  const first = await ask(80);
  await ask(80);
  t.is((await ask(80)).answer, EndReason.DONE);
  first.hangUp();
  await world.advance(20_000);
  t.is((await ask(80)).answer, 'accepted');
  t.is(state.circuits, 1);

  // As the torrc is now, not as it was when the circuit came.
  state.rules = { ...state.rules, maxStreamsCloseCircuit: true };
  t.is((await ask(80)).answer, EndReason.DONE);
  await world.advance(5000);
  t.is(state.circuits, 0);
});
