/**
 * Where a relay listens, and what of it it tells others.
 *
 * @module
 */
import { CepaError } from '../shared/bytes/errors.js';
import type { Listener, NetAddress } from '../shared/runtime/types.js';
import type { Options, PortOption } from '../shared/torrc/options.js';
import { familyOf, isLoopback, isUnspecified } from './addresses.js';

/** One place to listen at, or one that somebody forwards to us. */
export interface PortPlan {
  /** Undefined with `NoListen`. */
  readonly listen: NetAddress | undefined;
  /** Port for the descriptor; undefined with `NoAdvertise`, 0 until known (`auto`). */
  readonly advertise: number | undefined;
  readonly family: 4 | 6;
}

/** What an ORPort or DirPort line means. A line without an address is IPv4, or IPv6 with `IPv6Only`. */
export function planPort(option: PortOption): PortPlan | undefined {
  if (option.port === 0) return undefined;
  const family = option.host === undefined ? undefined : familyOf(option.host);
  const six = family === 6 || (family === undefined && option.flags.has('ipv6only'));
  const port = option.port === 'auto' ? 0 : option.port;
  const host = option.host ?? (six ? '::' : '0.0.0.0');
  return {
    listen: option.flags.has('nolisten') ? undefined : { host, port },
    advertise: option.flags.has('noadvertise') ? undefined : port,
    family: six ? 6 : 4,
  };
}

/** All plans of an option's lines. */
export const planPorts = (options: readonly PortOption[]): PortPlan[] =>
  options.map(planPort).filter((plan) => plan !== undefined);

/** A port that is open (or forwarded), as it is told to others. */
export interface OpenPort {
  readonly listener: Listener | undefined;
  readonly plan: PortPlan;
  /** The port number in fact. */
  readonly port: number;
}

/** Opens one port. Rejects with a CepaError that names it. */
export async function openPort(
  plan: PortPlan,
  listen: (at: NetAddress) => Promise<Listener>,
): Promise<OpenPort> {
  const at = plan.listen;
  const listener =
    at &&
    (await listen(at).catch((cause: Error) => {
      throw new CepaError('relay/listen', `cannot open port ${at.host}:${at.port}: ${cause.message}`, {
        cause,
      });
    }));
  return { listener, plan, port: listener?.local.port ?? plan.advertise ?? 0 };
}

/** The first open port of a family that is advertised; 0 when there is none. */
export const advertisedPort = (ports: readonly OpenPort[], family: 4 | 6): number =>
  ports.find((open) => open.plan.family === family && open.plan.advertise !== undefined)?.port ?? 0;

const isUsable = (host: string) => familyOf(host) !== undefined && !isUnspecified(host);

/** Addresses that the ORPort lines name themselves. */
export const namedAddresses = (options: Options): string[] =>
  options.ORPort.filter((option) => !option.flags.has('noadvertise'))
    .map((option) => option.host)
    .filter((host) => host !== undefined)
    .filter(isUsable);

/** Source addresses of a kind of outgoing connections, by family; `OutboundBindAddress` where it has none of its own. */
export function bindAddresses(
  options: Options,
  kind: 'OutboundBindAddressOR' | 'OutboundBindAddressExit',
): { readonly 4?: string; readonly 6?: string } {
  const hosts = [...options[kind], ...options.OutboundBindAddress];
  const v4 = hosts.find((host) => familyOf(host) === 4);
  const v6 = hosts.find((host) => familyOf(host) === 6);
  return { ...(v4 !== undefined && { 4: v4 }), ...(v6 !== undefined && { 6: v6 }) };
}

/**
 * The source address of links and directory connections. A relay on a loopback address has one of its own there, and
 * peers that see another would not take its links for canonical.
 */
export function linkSource(options: Options): string | undefined {
  const bound = bindAddresses(options, 'OutboundBindAddressOR');
  if (bound[4] !== undefined) return bound[4];
  return namedAddresses(options).find((host) => familyOf(host) === 4 && isLoopback(host)) ?? bound[6];
}
