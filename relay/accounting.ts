/**
 * Bandwidth accounting: how much may be carried in a period, and when of it the relay is awake (C tor: hibernate.c).
 *
 * A relay that would use up its AccountingMax before the period ends does not all its work at the beginning: by what
 * it used in the period before, it picks a moment to wake, the same after a restart, others for other relays. Near the
 * maximum it takes nothing new (soft limit), at the maximum it sleeps.
 *
 * Times are UTC, where C tor's are local: no period is an hour too long or too short.
 *
 * @module
 */
import { createHash } from 'node:crypto';
import type { AccountingRuleOption, AccountingStartOption } from '../shared/torrc/options.js';

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
/** The soft limit is the largest of: so much of the maximum; so many bytes before it; so many minutes' use before it. */
const SOFT_SHARE = 0.95;
const SOFT_BYTES = 500 * 1024 * 1024;
const SOFT_MINUTES = 3 * 60;
/** Least time over which a rate of use is measured, milliseconds. */
const LEAST_MEASURE = 30 * MINUTE;

/** The options. */
export interface AccountingSettings {
  /** Bytes in a period. */
  readonly max: number;
  readonly start: AccountingStartOption;
  readonly rule: AccountingRuleOption;
  /** The most that can go in a minute, by the bandwidth limits. */
  readonly mostPerMinute: number;
}

/** What is kept over restarts; times in milliseconds since 1970. */
export interface SavedAccounting {
  /** Start of the period. */
  readonly start: number;
  readonly read: number;
  readonly written: number;
  /** Milliseconds awake in the period. */
  readonly awake: number;
  /** Bytes a minute, as measured in the period before; 0 when not known. */
  readonly expected: number;
  /** When the soft limit was reached, and after how many milliseconds awake; 0 when it was not. */
  readonly softAt: number;
  readonly softAwake: number;
  readonly softBytes: number;
}

/** live: all is served. soft: what is there goes on, nothing new is taken. dormant: nothing at all. */
export type AccountingState = 'live' | 'soft' | 'dormant';

/** The start of the period that contains `time`, or of the one after it. */
export function periodEdge(start: AccountingStartOption, time: number, next = false): number {
  const date = new Date(time);
  const [year, month, day] = [date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate()];
  const at = (m: number, d: number) => Date.UTC(year, m, d, start.hour, start.minute);
  const step = next ? 1 : 0;
  switch (start.unit) {
    case 'month': {
      const first = at(month, start.day) <= time ? month : month - 1;
      return at(first + step, start.day);
    }
    case 'week': {
      const back = (7 + date.getUTCDay() - (start.day % 7)) % 7;
      const first = day - back;
      return at(month, (at(month, first) <= time ? first : first - 7) + 7 * step);
    }
    case 'day':
      return at(month, (at(month, day) <= time ? day : day - 1) + step);
  }
}

/** Whether going on at `rate` bytes a second uses up the maximum before a period ends. */
export function canRunOut({ max, start, rule }: AccountingSettings, rate: number, now: number): boolean {
  const seconds = (periodEdge(start, now, true) - periodEdge(start, now)) / 1000;
  return rate >= Math.floor((rule === 'sum' ? max / 2 : max) / seconds);
}

const FRESH = { read: 0, written: 0, awake: 0, expected: 0, softAt: 0, softAwake: 0, softBytes: 0 };

/** Counts, and says when to sleep. Knows no clock: it is told the time. */
export class Accounting {
  private settings: AccountingSettings;
  private readonly identity: Uint8Array;
  private start: number;
  private end: number;
  private wakeup: number;
  private read = 0;
  private written = 0;
  private awake = 0;
  private expected = 0;
  private softAt = 0;
  private softAwake = 0;
  private softBytes = 0;

  /** `identity` makes relays that are alike wake at different times. */
  constructor(settings: AccountingSettings, identity: Uint8Array, now: number, saved?: SavedAccounting) {
    this.settings = settings;
    this.identity = identity;
    this.start = periodEdge(settings.start, now);
    this.end = periodEdge(settings.start, now, true);
    this.wakeup = this.start;
    if (saved) this.restore(saved, now);
    else this.planWakeup();
  }

  private restore(saved: SavedAccounting, now: number): void {
    const { start } = this;
    const edge = (next: boolean) => periodEdge(this.settings.start, saved.start, next);
    this.take(saved);
    const moved = (start - saved.start) / (edge(true) - edge(false));
    // A period whose edge was moved a little by the options is the same period: rather too few bytes than too many.
    if (Math.abs(moved) <= 0.5) this.start = start;
    else {
      this.expected = moved > 0 ? this.measured(saved.start) : 0;
      this.begin(now);
    }
    this.planWakeup();
  }

  private take(saved: Omit<SavedAccounting, 'start'>): void {
    this.read = saved.read;
    this.written = saved.written;
    this.awake = saved.awake;
    this.expected = saved.expected;
    this.softAt = saved.softAt;
    this.softAwake = saved.softAwake;
    this.softBytes = saved.softBytes;
  }

  private begin(now: number): void {
    this.take({ ...FRESH, expected: this.expected });
    this.start = periodEdge(this.settings.start, now);
    this.end = periodEdge(this.settings.start, now, true);
  }

  /** New options, from now on: what they make of the period is what they would after a restart. */
  configure(settings: AccountingSettings, now: number): void {
    const saved = this.save();
    this.settings = settings;
    this.start = periodEdge(settings.start, now);
    this.end = periodEdge(settings.start, now, true);
    this.restore(saved, now);
  }

  /** Bytes that count, by the rule. */
  get used(): number {
    const { read, written } = this;
    switch (this.settings.rule) {
      case 'sum':
        return read + written;
      case 'in':
        return read;
      case 'out':
        return written;
      default:
        return Math.max(read, written);
    }
  }

  /** Bytes at which nothing new is taken. */
  get softLimit(): number {
    const { max } = this.settings;
    const byUse = this.expected > 0 ? max - this.expected * SOFT_MINUTES : 0;
    return Math.max(Math.floor(max * SOFT_SHARE), max - SOFT_BYTES, byUse);
  }

  /** Counts; true when that reached the soft limit or the maximum. */
  add(read: number, written: number): boolean {
    const before = this.used;
    this.read += read;
    this.written += written;
    const { used } = this;
    const crossed = (limit: number) => before < limit && used >= limit;
    return crossed(this.softLimit) || crossed(this.settings.max);
  }

  /** Time passed, `awakeFor` milliseconds of it awake; true when a new period began. */
  tick(now: number, awakeFor: number): boolean {
    this.awake += awakeFor;
    if (this.softAt === 0 && this.used >= this.softLimit) {
      this.softAt = now;
      this.softAwake = this.awake;
      this.softBytes = this.used;
    }
    if (now >= this.start && now < this.end) return false;
    // A clock that was set back does not give the bytes back.
    if (now < this.start && this.start - now < DAY) return false;
    this.expected = this.measured(this.start);
    this.begin(now);
    this.planWakeup();
    return true;
  }

  /** Bytes a minute in the period that began at `start`; 0 when it was too short to tell. */
  private measured(start: number): number {
    const soft = this.softAt > start && this.softBytes > 0 && this.softAwake >= LEAST_MEASURE;
    const [bytes, time] = soft ? [this.softBytes, this.softAwake] : [this.used, this.awake];
    if (time < LEAST_MEASURE) return 0;
    const { mostPerMinute, rule } = this.settings;
    return Math.min(Math.floor(bytes / (time / MINUTE)), mostPerMinute * (rule === 'sum' ? 2 : 1));
  }

  private planWakeup(): void {
    this.wakeup = this.start;
    if (this.expected === 0) return;
    const spare = this.end - this.start - Math.floor(this.settings.max / this.expected) * MINUTE;
    if (spare <= 0) return;
    const seed = createHash('sha1').update(new Date(this.start).toISOString()).update(this.identity).digest();
    this.wakeup = this.start + Math.floor((seed.readUInt32BE(0) / 2 ** 32) * spare);
  }

  state(now: number): AccountingState {
    if (now < this.wakeup || this.used >= this.settings.max) return 'dormant';
    return this.used >= this.softLimit ? 'soft' : 'live';
  }

  /** When the state changes by the clock alone. */
  nextChange(now: number): number {
    return now < this.wakeup ? this.wakeup : this.end;
  }

  /** The period, and when of it the relay wakes. */
  get period(): { readonly start: number; readonly end: number; readonly wakeup: number } {
    return { start: this.start, end: this.end, wakeup: this.wakeup };
  }

  save(): SavedAccounting {
    const { start, read, written, awake, expected, softAt, softAwake, softBytes } = this;
    return { start, read, written, awake, expected, softAt, softAwake, softBytes };
  }
}
