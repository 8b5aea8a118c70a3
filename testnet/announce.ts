/**
 * What a testnet says once it works, and as JSON events.
 *
 * @module
 */
import type { LaunchEvent, Testnet } from './launch.js';
import { nodeDirectory, pathLine } from './torrc-of.js';

const hostPort = ({ host, port }: { host: string; port: number }) =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;

/** `host:port` of the network's SOCKS proxy. */
export const socksText = (testnet: Testnet): string => hostPort(testnet.socks);

/** The block for people. */
export function readyText(testnet: Testnet, seconds: number, temporary: boolean): string {
  const socks = socksText(testnet);
  return [
    '',
    `The network is ready after ${seconds.toFixed(1)} s.`,
    '',
    `  SOCKS5 proxy   ${socks}`,
    `  Try it         curl --socks5-hostname ${socks} ${testnet.demo}`,
    testnet.onionReady
      ? `  Onion service  curl --socks5-hostname ${socks} ${testnet.onion}`
      : `  Onion service  ${testnet.onion} (not up yet)`,
    `  Join it        a Tor program whose torrc has  ${pathLine('%include', testnet.torrc)}`,
    `  Data and logs  ${testnet.directory}/nodes/*/notice.log${temporary ? '  (removed at the end; keep them with --dir)' : ''}`,
    '  Stop it        Ctrl-C',
    '',
  ].join('\n');
}

/** Every node, for programs. */
export function nodeList(testnet: Testnet): Record<string, unknown>[] {
  return [...testnet.network.nodes.values()].map((state) => ({
    name: state.plan.name,
    role: state.plan.role,
    exit: state.plan.exit,
    address: state.plan.address,
    orPort: state.plan.orPort || undefined,
    dirPort: state.plan.dirPort || undefined,
    fingerprint: state.fingerprint,
    ed25519: state.ed25519,
    v3ident: state.v3ident,
    pid: state.child?.pid,
    directory: nodeDirectory(testnet.directory, state.plan),
  }));
}

/** The `ready` event. */
export function readyEvent(testnet: Testnet, seconds: number): Record<string, unknown> {
  return {
    event: 'ready',
    seconds: Number(seconds.toFixed(2)),
    socks: socksText(testnet),
    torrc: testnet.torrc,
    demo: testnet.demo,
    onion: testnet.onion,
    onionReady: testnet.onionReady,
    directory: testnet.directory,
    nodes: nodeList(testnet),
  };
}

/** A launch event as a JSON event; undefined for what `ready` says better. */
export function jsonEvent(event: LaunchEvent): Record<string, unknown> | undefined {
  switch (event.type) {
    case 'planned':
      return { event: 'planned', directory: event.directory, ...event.plan.size };
    case 'node': {
      const { type, ...rest } = event.event;
      return { event: type, node: event.name, ...rest };
    }
    case 'exit':
      return { event: 'exit', node: event.name, ...event.end, expected: event.expected };
    case 'keys':
    case 'started':
    case 'fetching':
      return { event: event.type };
    case 'fetched':
    case 'visit':
    case 'ready':
      return undefined;
  }
}
