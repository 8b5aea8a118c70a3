/**
 * DirPortFrontPage: what a directory server shows to a person who asks for `/`. Operators of exits tell there what an
 * exit is (C tor: handle_get_frontpage).
 *
 * @module
 */
import { basename, dirname } from 'node:path';
import type { Env } from '../runtime/env.js';
import type { Answer } from './server.js';

/** Seconds (C tor: DIRPORTFRONTPAGE_CACHE_LIFETIME). */
const LIFETIME = 20 * 60;

/** Holds the page. */
export class FrontPage {
  private readonly env: Pick<Env, 'storeAt' | 'log'>;
  private page: Uint8Array | undefined;

  constructor(env: Pick<Env, 'storeAt' | 'log'>) {
    this.env = env;
  }

  /** Reads the page of that file. Where it cannot, there is none, and the log says so. */
  async read(file: string | undefined): Promise<void> {
    this.page = undefined;
    if (file === undefined) return;
    try {
      this.page = await this.env.storeAt?.(dirname(file)).read(basename(file));
      if (!this.page) this.env.log.warn(`DirPortFrontPage: there is no file ${file}; going on without.`);
    } catch (error) {
      this.env.log.warn(`DirPortFrontPage: ${(error as Error).message}; going on without.`);
    }
  }

  /** What is answered to a request for `path`; undefined where it is not this that is asked for. */
  answer(path: string): Answer | undefined {
    if (path !== '/' || !this.page) return undefined;
    return { status: 200, headers: { 'content-type': 'text/html' }, body: this.page, lifetime: LIFETIME };
  }
}
