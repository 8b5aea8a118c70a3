/**
 * A name server for one name: only the exits of a testnet ask it, so a name that resolves was resolved by an exit.
 *
 * @module
 */
import { createSocket } from 'node:dgram';
import { type Answer, decode, encode, type Packet } from 'dns-packet';
import type { Closable } from './demo-site.js';

const TTL = 60;
const NO_SUCH_NAME = 3;
const AUTHORITATIVE = 1 << 10;

/** What the server knows. */
export interface Zone {
  readonly host: string;
  readonly address: string;
}

/**
 * An address of a documentation network (RFC 5737) that has the name as well: exits look no internal address up, and
 * a testnet has no other.
 */
export const NAMED_ADDRESS = '192.0.2.80';

const reverseName = (address: string) => `${address.split('.').reverse().join('.')}.in-addr.arpa`;

/** The answer to a query; undefined for what is none. */
export function answerQuery(message: Uint8Array, zone: Zone): Uint8Array | undefined {
  let query: Packet;
  try {
    query = decode(Buffer.from(message));
  } catch {
    return undefined;
  }
  const [question] = query.questions ?? [];
  if (query.type !== 'query' || !question) return undefined;
  const name = question.name.toLowerCase();
  const answers: Answer[] = [];
  const hasName = name === reverseName(zone.address) || name === reverseName(NAMED_ADDRESS);
  const known = name === zone.host || hasName;
  if (name === zone.host && question.type === 'A')
    answers.push({ type: 'A', name: question.name, ttl: TTL, data: zone.address });
  if (hasName && question.type === 'PTR')
    answers.push({ type: 'PTR', name: question.name, ttl: TTL, data: zone.host });
  return encode({
    type: 'response',
    id: query.id ?? 0,
    flags: AUTHORITATIVE | (known ? 0 : NO_SUCH_NAME),
    questions: [question],
    answers,
  });
}

/** Opens the name server on UDP. */
export async function startDemoDns(
  host: string,
  port: number,
  zone: Zone,
): Promise<Closable & { port: number }> {
  const socket = createSocket('udp4');
  socket.on('message', (message, from) => {
    const reply = answerQuery(message, zone);
    if (reply) socket.send(reply, from.port, from.address);
  });
  await new Promise<void>((resolve, reject) => {
    socket.once('error', reject);
    socket.bind(port, host, resolve);
  });
  return {
    port: socket.address().port,
    close: () => new Promise((resolve) => socket.close(() => resolve())),
  };
}
