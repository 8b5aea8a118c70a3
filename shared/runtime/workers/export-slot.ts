/**
 * Keying material of a connection another thread owns (RFC 5705). Whoever checks a peer's AUTHENTICATE cell needs it at
 * once, so this is the one question that waits for its answer.
 *
 * ```
 * 0   state: 0 nothing, 1 asked, 2 answered, 3 the connection is gone
 * 4   bytes of the question or answer    8   them: MessagePack, or keying material
 * ```
 *
 * @module
 */
import { pack, unpack } from 'msgpackr';

const IDLE = 0;
const ASKED = 1;
const ANSWERED = 2;
const GONE = 3;
const HEADER = 8;
const SLOT_BYTES = 4096;

/** Milliseconds the other thread may take: it does nothing that long. */
const PATIENCE = 10_000;

/** The question. */
export interface ExportRequest {
  readonly id: number;
  readonly length: number;
  readonly label: string;
  readonly context: Uint8Array;
}

export const exportSlot = (): SharedArrayBuffer => new SharedArrayBuffer(SLOT_BYTES);

/** Asks, wakes the other thread by `bell`, and waits. Throws when there is no answer. */
export function askForExport(slot: SharedArrayBuffer, request: ExportRequest, bell: () => void): Uint8Array {
  const words = new Int32Array(slot, 0, 2);
  const question = pack(request);
  if (question.length > SLOT_BYTES - HEADER || request.length > SLOT_BYTES - HEADER)
    throw new RangeError(`keying material: ${question.length} bytes ask for ${request.length}`);
  new Uint8Array(slot).set(question, HEADER);
  words[1] = question.length;
  Atomics.store(words, 0, ASKED);
  bell();
  Atomics.wait(words, 0, ASKED, PATIENCE);
  const state = Atomics.exchange(words, 0, IDLE);
  if (state === ANSWERED) return new Uint8Array(slot.slice(HEADER, HEADER + request.length));
  const message = state === GONE ? 'the connection is gone' : 'the thread of the connection does not answer';
  throw Object.assign(new Error(message), { code: state === GONE ? 'ECONNRESET' : 'ETIMEDOUT' });
}

/** Answers what was asked, if anything was; undefined for a connection that is not there. */
export function answerExport(
  slot: SharedArrayBuffer,
  find: (request: ExportRequest) => Uint8Array | undefined,
): void {
  const words = new Int32Array(slot, 0, 2);
  if (Atomics.load(words, 0) !== ASKED) return;
  const request = unpack(Buffer.from(new Uint8Array(slot, HEADER, words[1]))) as ExportRequest;
  const material = find(request);
  if (material) new Uint8Array(slot).set(material, HEADER);
  Atomics.store(words, 0, material ? ANSWERED : GONE);
  Atomics.notify(words, 0);
}
