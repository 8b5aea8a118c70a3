/**
 * The table of every option: syntax, default, default in a testing network, who reads it, and help. Parsing, checks
 * and `--help` all come from here.
 *
 * @module
 */
import type { Options } from './options.js';
import { authorityRows } from './table-authority.js';
import { clientRows } from './table-client.js';
import { dosRows } from './table-dos.js';
import { nodeRows } from './table-node.js';
import { relayRows } from './table-relay.js';
import { serviceRows } from './table-service.js';
import type { OptionRow, Role, Rows } from './table-types.js';

/** Every option by its name. The type sees to it that none of `Options` is missing. */
export const OPTION_TABLE: Rows<keyof Options> = {
  ...nodeRows,
  ...relayRows,
  ...dosRows,
  ...authorityRows,
  ...clientRows,
  ...serviceRows,
};

/** A name of the table. */
export type OptionName = keyof Options;

/** The names, in the table's order. */
export const OPTION_NAMES = Object.keys(OPTION_TABLE) as OptionName[];

/** A row without its value's type, for code that goes over all of them. */
export const rowOf = (name: OptionName): OptionRow<unknown> => OPTION_TABLE[name] as OptionRow<unknown>;

/** Older and shorter names (C tor: option_abbrevs_). */
const ALIASES: Record<string, OptionName> = {
  dirserver: 'DirAuthority',
  entrynode: 'EntryNodes',
  excludenode: 'ExcludeNodes',
  longlivedport: 'LongLivedPorts',
  numcpu: 'NumCPUs',
  strictnode: 'StrictNodes',
  l: 'Log',
  bandwidthratebytes: 'BandwidthRate',
  bandwidthburstbytes: 'BandwidthBurst',
  maxmemincellqueues: 'MaxMemInQueues',
  resolvconf: 'ServerDNSResolvConfFile',
  usehelpernodes: 'UseEntryGuards',
  numhelpernodes: 'NumEntryGuards',
  useentrynodes: 'UseEntryGuards',
  numentrynodes: 'NumEntryGuards',
  allowunverifiednodes: 'AllowInvalidNodes',
};

const BY_LOWER = new Map<string, OptionName>(OPTION_NAMES.map((name) => [name.toLowerCase(), name]));

/** The option of that name; case does not matter. */
export function findOption(name: string): OptionName | undefined {
  const lower = name.toLowerCase();
  return BY_LOWER.get(lower) ?? (Object.hasOwn(ALIASES, lower) ? ALIASES[lower] : undefined);
}

/** The options a role reads, in the table's order, with their syntax, default and help. */
export function optionHelp(
  role: Role,
): { name: OptionName; syntax: string; default: string; help: string }[] {
  return OPTION_NAMES.filter((name) => rowOf(name).roles.includes(role)).map((name) => {
    const row = rowOf(name);
    return { name, syntax: row.kind.syntax, default: row.default ?? '', help: row.help };
  });
}
