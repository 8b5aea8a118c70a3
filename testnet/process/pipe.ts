/**
 * What a node tells the process that started it: NodeEvents in MessagePack over an inherited pipe.
 *
 * ```
 * length  4 bytes, big-endian
 * event   `length` bytes of MessagePack
 * ```
 *
 * The parent never writes. When the parent is gone, however it went, the pipe closes, and the node ends itself: that
 * is how a killed launcher leaves no orphans.
 *
 * @module
 */
import { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { Packr } from 'msgpackr';
import { DecodeError } from '../../shared/bytes/errors.js';
import type { NodeEvent } from '../../shared/runtime/env.js';

/** The environment variable that names the inherited file descriptor. */
export const REPORT_FD = 'CEPA_REPORT_FD';

/** Longest event; one has a few short texts. */
const MAX_EVENT = 64 * 1024;

const packr = new Packr({ useRecords: false });

/** The bytes of an event on the pipe. */
export function encodeEvent(event: NodeEvent): Buffer {
  const body = packr.pack(event);
  const framed = Buffer.allocUnsafe(4 + body.length);
  framed.writeUInt32BE(body.length, 0);
  framed.set(body, 4);
  return framed;
}

/** Takes events out of what comes through the pipe. */
export class EventDecoder {
  private held = Buffer.alloc(0);

  /** The events that are complete now; throws a DecodeError on anything else. */
  push(chunk: Uint8Array): NodeEvent[] {
    this.held = Buffer.concat([this.held, chunk]);
    const events: NodeEvent[] = [];
    while (this.held.length >= 4) {
      const length = this.held.readUInt32BE(0);
      if (length > MAX_EVENT) throw new DecodeError('event.length', `${length} bytes, at most ${MAX_EVENT}`);
      if (this.held.length < 4 + length) break;
      events.push(decodeEvent(this.held.subarray(4, 4 + length)));
      this.held = this.held.subarray(4 + length);
    }
    return events;
  }
}

function decodeEvent(body: Uint8Array): NodeEvent {
  let event: unknown;
  try {
    event = packr.unpack(body);
  } catch (error) {
    throw new DecodeError('event', 'not MessagePack', { cause: error });
  }
  if (typeof event !== 'object' || event === null || typeof (event as { type?: unknown }).type !== 'string')
    throw new DecodeError('event.type', 'missing');
  return event as NodeEvent;
}

/** The parent's end: calls `heard` for each event of a child. */
export function hear(
  pipe: Readable,
  heard: (event: NodeEvent) => void,
  broken: (error: Error) => void,
): void {
  const decoder = new EventDecoder();
  pipe.on('data', (chunk: Buffer) => {
    try {
      for (const event of decoder.push(chunk)) heard(event);
    } catch (error) {
      pipe.destroy();
      broken(error as Error);
    }
  });
  // A child that dies may reset its end; its exit is what is acted upon.
  pipe.on('error', () => {});
}

/** The child's end. */
export interface Reporter {
  report(event: NodeEvent): void;
  close(): void;
}

/** Opens the inherited pipe, if there is one; `orphaned` is called once when the parent has gone. */
export function openReporter(orphaned: () => void): Reporter | undefined {
  const fd = Number(process.env[REPORT_FD] ?? '');
  if (!Number.isInteger(fd) || fd < 3) return undefined;
  // What this process starts itself must not take the descriptor for its own.
  delete process.env[REPORT_FD];
  const socket = new Socket({ fd, readable: true, writable: true });
  let closing = false;
  socket.resume();
  socket.on('error', () => {});
  socket.on('close', () => {
    if (!closing) orphaned();
  });
  return {
    report(event) {
      if (!closing && !socket.destroyed) socket.write(encodeEvent(event));
    },
    close() {
      closing = true;
      socket.end();
      socket.unref();
    },
  };
}
