/**
 * What an exit has been asked for, as plain counts: streams by kind and by class of port, questions to the resolver
 * and how they ended. Never a destination.
 *
 * @module
 */
import { ResolveError } from '../shared/runtime/resolve-error.js';
import type { Resolver } from '../shared/runtime/types.js';

/** Ports by what they are for; anything else is `other`. */
const CLASSES: Readonly<Record<string, readonly number[]>> = {
  web: [80, 443, 8080, 8443],
  mail: [25, 110, 143, 465, 587, 993, 995],
  chat: [194, 5222, 5223, 5269, 6660, 6661, 6662, 6663, 6664, 6665, 6666, 6667, 6668, 6669, 6697],
  ssh: [22],
  dns: [53, 853],
  files: [20, 21, 873, 989, 990],
};

const classOf = new Map(
  Object.entries(CLASSES).flatMap(([name, ports]) => ports.map((port) => [port, name] as const)),
);

/** Every class. */
export const PORT_CLASSES = [...Object.keys(CLASSES), 'other'] as const;

/** How a question to the resolver ended, in C tor's words. */
export const DNS_OUTCOMES = ['success', 'notexist', 'tor_timeout', 'serverfailed', 'refused'] as const;
type DnsOutcome = (typeof DNS_OUTCOMES)[number];

const OUTCOMES: Record<ResolveError['kind'], DnsOutcome> = {
  notfound: 'notexist',
  timeout: 'tor_timeout',
  failed: 'serverfailed',
  busy: 'refused',
};

/** Counts since the start. */
export class ExitStats {
  readonly streams = { BEGIN: 0, BEGIN_DIR: 0, RESOLVE: 0 };
  readonly ports = new Map<string, number>(PORT_CLASSES.map((name) => [name, 0]));
  readonly dns = new Map<DnsOutcome, number>(DNS_OUTCOMES.map((name) => [name, 0]));
  /** Streams refused to clients without a path. */
  singleHopRefused = 0;
  /** Connections that could not be made because the machine had no port or descriptor left. */
  exhausted = 0;

  /** A connection is made to the port. */
  connecting(port: number): void {
    const name = classOf.get(port) ?? 'other';
    this.ports.set(name, this.ports.get(name)! + 1);
  }

  /** A connection failed. */
  failed(error: unknown): void {
    const code = (error as { code?: string } | undefined)?.code;
    if (code === 'EADDRNOTAVAIL' || code === 'EMFILE' || code === 'ENFILE') this.exhausted++;
  }

  /** Counts what goes through a resolver. */
  counted(resolver: Resolver): Resolver {
    const count = async <T>(asked: Promise<T>): Promise<T> => {
      try {
        const answer = await asked;
        this.outcome('success');
        return answer;
      } catch (error) {
        this.outcome(error instanceof ResolveError ? OUTCOMES[error.kind] : 'serverfailed');
        throw error;
      }
    };
    return {
      resolve: (name) => count(resolver.resolve(name)),
      reverse: (address) => count(resolver.reverse(address)),
    };
  }

  private outcome(name: DnsOutcome): void {
    this.dns.set(name, this.dns.get(name)! + 1);
  }
}
