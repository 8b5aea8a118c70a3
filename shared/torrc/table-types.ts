/**
 * The shape of an option's row in the table.
 *
 * @module
 */
import type { Kind } from './kinds.js';
import type { Options } from './options.js';

/** What a Cepa process may be. */
export type Role = 'authority' | 'relay' | 'client';

export const ROLES: readonly Role[] = ['authority', 'relay', 'client'];

/** All there is to know about an option. */
export interface OptionRow<T> {
  readonly kind: Kind<T>;
  /** As it would be written in a torrc. Without it the value is the kind's `unset`. */
  readonly default?: string;
  /** The default where TestingTorNetwork is 1 (C tor: testnet.inc). */
  readonly testing?: string;
  /** The option whose list these lines belong to, in order with those of others. */
  readonly partOf?: keyof Options;
  /** Who reads it; an authority is a relay too. Others take it and do nothing, so that one file serves all. */
  readonly roles: readonly Role[];
  /** One or two sentences for `--help`. */
  readonly help: string;
}

/** Rows of some options, each of the type that `Options` states. */
export type Rows<K extends keyof Options> = { readonly [P in K]: OptionRow<Options[P]> };
