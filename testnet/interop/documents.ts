/**
 * Hands documents to stem.
 *
 * @module
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { pythonWithStem } from './programs.js';

// Compiled files lie in dist/testnet/interop; the script is not compiled.
const SCRIPT = fileURLToPath(new URL('../../../testnet/interop/check-documents.py', import.meta.url));

const run = promisify(execFile);

/** What stem knows to parse. */
export type DocumentType =
  | 'server'
  | 'extra'
  | 'micro'
  | 'vote'
  | 'consensus'
  | 'consensus-microdesc'
  | 'certificate'
  | 'hs'
  | 'bandwidth';

/** Documents of one type, one after the other. */
export interface Documents {
  readonly type: DocumentType;
  readonly text: string;
}

/** What stem made of them. */
export interface Verdict {
  readonly type: DocumentType;
  /** How many were parsed. */
  readonly documents: number;
  /** What stem had against one of them. */
  readonly error?: string;
}

/** Parses with validation on; a verdict for each. Certificates among them are what consensuses are verified with. */
export async function judgeDocuments(documents: readonly Documents[]): Promise<Verdict[]> {
  const folder = mkdtempSync(join(tmpdir(), 'cepa-documents-'));
  try {
    documents.forEach(({ type, text }, i) => {
      writeFileSync(join(folder, `${String(i).padStart(3, '0')}.${type}`), text);
    });
    const { stdout } = await run(pythonWithStem()!, [SCRIPT, folder], { maxBuffer: 1 << 24 });
    return stdout
      .trim()
      .split('\n')
      .map((line) => {
        const {
          file,
          documents: count,
          error,
        } = JSON.parse(line) as {
          file: string;
          documents: number;
          error?: string;
        };
        const type = file.slice(file.indexOf('.') + 1) as DocumentType;
        return { type, documents: count, ...(error !== undefined && { error }) };
      });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
