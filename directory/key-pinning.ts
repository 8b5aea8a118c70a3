/**
 * Key pinning: an RSA identity and an ed25519 identity that were once seen together stay together (proposal 220;
 * C tor `keypin.c`). The journal is C tor's `key-pinning-journal`: a line for each pair, both in unpadded base64; lines
 * that begin with `@` or `#` are notes.
 *
 * @module
 */
import { fromBase64, toBase64Bare } from '../shared/bytes/text.js';

/** What is known of a pair. */
export type PinStatus = 'pinned' | 'new' | 'mismatch';

/** `RSA-id(27) SP ed25519-id(43)`. */
const LINE = /^([A-Za-z0-9+/]{27}) ([A-Za-z0-9+/]{43})$/;

/** The pairs seen so far. */
export class KeyPins {
  private readonly edByRsa = new Map<string, string>();
  private readonly rsaByEd = new Map<string, string>();

  /** Number of pairs. */
  get size(): number {
    return this.edByRsa.size;
  }

  /** Reads a journal; of pairs that contradict each other the later one holds. Returns how many lines are corrupt. */
  load(journal: string): number {
    let corrupt = 0;
    for (const line of journal.split('\n')) {
      if (line.trim() === '' || line.startsWith('@') || line.startsWith('#')) continue;
      const match = LINE.exec(line);
      if (match && isCanonical(match[1]!, 20) && isCanonical(match[2]!, 32)) this.put(match[1]!, match[2]!);
      else corrupt++;
    }
    return corrupt;
  }

  /** Whether the pair is known, or contradicts one that is. */
  check(rsaId: Uint8Array, ed25519Id: Uint8Array): PinStatus {
    const rsa = toBase64Bare(rsaId);
    const ed = toBase64Bare(ed25519Id);
    if (this.edByRsa.get(rsa) === ed) return 'pinned';
    return this.edByRsa.has(rsa) || this.rsaByEd.has(ed) ? 'mismatch' : 'new';
  }

  /** Pins a pair, superseding what contradicts it. False when it was pinned already. */
  pin(rsaId: Uint8Array, ed25519Id: Uint8Array): boolean {
    if (this.check(rsaId, ed25519Id) === 'pinned') return false;
    this.put(toBase64Bare(rsaId), toBase64Bare(ed25519Id));
    return true;
  }

  /** The journal of all pairs. */
  toJournal(): string {
    return [...this.edByRsa].map(([rsa, ed]) => `${rsa} ${ed}\n`).join('');
  }

  private put(rsa: string, ed: string): void {
    const oldEd = this.edByRsa.get(rsa);
    const oldRsa = this.rsaByEd.get(ed);
    if (oldEd !== undefined) this.rsaByEd.delete(oldEd);
    if (oldRsa !== undefined) this.edByRsa.delete(oldRsa);
    this.edByRsa.set(rsa, ed);
    this.rsaByEd.set(ed, rsa);
  }
}

/** Whether text is what these bytes are written as: the last character has bits to spare. */
const isCanonical = (text: string, size: number): boolean =>
  toBase64Bare(fromBase64(text, 'key-pinning-journal', size)) === text;
