/**
 * The values of AccountingStart and AccountingRule (C tor: accounting_parse_options).
 *
 * @module
 */
import { ValueError } from './errors.js';
import type { Kind } from './kinds.js';
import type { AccountingRuleOption, AccountingStartOption } from './options.js';

const DAYS = { month: 28, week: 7 } as const;

function dayOf(unit: 'month' | 'week', word: string | undefined): number {
  const day = word !== undefined && /^\d{1,2}$/.test(word) ? Number(word) : 0;
  if (day >= 1 && day <= DAYS[unit]) return day;
  const names = unit === 'week' ? ' (1 is Monday)' : '';
  throw new ValueError(`"${word ?? ''}" is not a day of the ${unit} from 1 to ${DAYS[unit]}${names}`);
}

function timeOf(word: string | undefined): { hour: number; minute: number } {
  const found = /^(\d{1,2}):(\d{1,2})$/.exec(word ?? '');
  const [hour, minute] = [Number(found?.[1]), Number(found?.[2])];
  if (!found || hour > 23 || minute > 59) throw new ValueError(`"${word ?? ''}" is not a time HH:MM`);
  return { hour, minute };
}

/** `month|week DAY HH:MM` or `day HH:MM`. */
export const accountingStart: Kind<AccountingStartOption> = {
  syntax: 'month|week|day [DAY] HH:MM',
  unset: { unit: 'month', day: 1, hour: 0, minute: 0 },
  read(text) {
    const [unit = '', ...rest] = text.trim().toLowerCase().split(/\s+/);
    if (unit !== 'month' && unit !== 'week' && unit !== 'day')
      throw new ValueError(`"${unit}" is none of month, week, day`);
    const wanted = unit === 'day' ? 1 : 2;
    if (rest.length !== wanted)
      throw new ValueError(`"${text}" has ${rest.length} words behind the ${unit}, not ${wanted}`);
    const day = unit === 'day' ? 0 : dayOf(unit, rest[0]);
    return { unit, day, ...timeOf(rest.at(-1)) };
  },
};

const RULES: readonly AccountingRuleOption[] = ['max', 'sum', 'in', 'out'];

/** `max`, `sum`, `in` or `out`. */
export const accountingRule: Kind<AccountingRuleOption> = {
  syntax: RULES.join('|'),
  unset: 'max',
  read(text) {
    const rule = RULES.find((name) => name === text.toLowerCase());
    if (rule) return rule;
    throw new ValueError(`"${text}" is none of ${RULES.join(', ')}`);
  },
};
