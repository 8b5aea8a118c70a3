/**
 * Accounting at work: counts what the relay carries, keeps the count on disk, says when to sleep and to wake.
 *
 * @module
 */
import { DecodeError } from '../shared/bytes/errors.js';
import { limitsOf } from '../shared/limits/bandwidth-limit.js';
import type { Meter } from '../shared/limits/metered-transport.js';
import type { Log } from '../shared/log/types.js';
import type { Clock, Timer } from '../shared/runtime/types.js';
import { loadState, type StateKind, saveState } from '../shared/store/state.js';
import type { Store } from '../shared/store/types.js';
import type { Options } from '../shared/torrc/options.js';
import {
  Accounting,
  type AccountingSettings,
  type AccountingState,
  type SavedAccounting,
} from './accounting.js';

const FILE = 'cepa-state/accounting';
/** Milliseconds between saves (C tor: NOTE_INTERVAL); bytes after which one is due earlier (NOTE_BYTES). */
const SAVE_EVERY = 600_000;
const SAVE_BYTES = 20 * 1024 * 1024;

const FIELDS = ['start', 'read', 'written', 'awake', 'expected', 'softAt', 'softAwake', 'softBytes'] as const;

const kind: StateKind<SavedAccounting> = {
  version: 1,
  check(value) {
    const fields = value as Record<string, unknown>;
    for (const name of FIELDS) {
      const number = fields[name];
      if (typeof number !== 'number' || !Number.isFinite(number) || number < 0)
        throw new DecodeError(`accounting.${name}`, 'not a count');
    }
    return value as SavedAccounting;
  },
};

/** The options as accounting takes them; undefined when there is no AccountingMax. */
export function accountingSettings(options: Options): AccountingSettings | undefined {
  const { AccountingMax: max, AccountingStart: start, AccountingRule: rule } = options;
  if (max === 0) return undefined;
  return { max, start, rule, mostPerMinute: limitsOf(options).relayed.rate * 60 };
}

/** What it needs. */
export interface HibernationEnv {
  readonly clock: Clock;
  readonly log: Log;
  readonly store: Store;
  /** The relay's identity. */
  readonly identity: Uint8Array;
  /** Told of every change, outside of any read or write. */
  changed(state: AccountingState): void;
}

const when = (time: number) => `${new Date(time).toISOString().slice(0, 16).replace('T', ' ')} UTC`;

/** Sleeps and wakes the relay. Without an AccountingMax it is always awake. */
export class Hibernation implements Meter {
  private readonly env: HibernationEnv;
  private accounting: Accounting | undefined;
  /** What was counted while there was an AccountingMax, for when there is one again. */
  private kept: SavedAccounting | undefined;
  private current: AccountingState = 'live';
  private timer: Timer | undefined;
  private lastTick = 0;
  private unsaved = 0;
  private looking = false;
  private stopped = false;

  constructor(env: HibernationEnv) {
    this.env = env;
  }

  get state(): AccountingState {
    return this.current;
  }

  /** Bytes counted in this period, and the period's end; undefined without AccountingMax. */
  get usage(): { readonly used: number; readonly end: number } | undefined {
    return this.accounting && { used: this.accounting.used, end: this.accounting.period.end };
  }

  /** Takes up what was saved; `state` is right afterwards. `changed` is not called for it. */
  async start(options: Options): Promise<void> {
    const { store, log, clock } = this.env;
    this.kept = await loadState(store, FILE, kind, log);
    const settings = accountingSettings(options);
    this.lastTick = clock.monotonic();
    if (!settings) return;
    this.accounting = new Accounting(settings, this.env.identity, clock.now(), this.kept);
    this.current = this.accounting.state(clock.now());
    this.tell();
    this.arm();
  }

  /** New options: another maximum, another period, or none. */
  configure(options: Options): void {
    const { clock, identity } = this.env;
    const settings = accountingSettings(options);
    if (!settings) {
      this.kept = this.accounting?.save() ?? this.kept;
      this.accounting = undefined;
    } else if (this.accounting) this.accounting.configure(settings, clock.now());
    else this.accounting = new Accounting(settings, identity, clock.now(), this.kept);
    this.look();
  }

  read(bytes: number): void {
    if (this.accounting?.add(bytes, 0)) this.lookLater();
    this.unsaved += bytes;
  }

  written(bytes: number): void {
    if (this.accounting?.add(0, bytes)) this.lookLater();
    this.unsaved += bytes;
  }

  private lookLater(): void {
    if (this.looking) return;
    this.looking = true;
    this.env.clock.defer(() => {
      this.looking = false;
      this.look();
    });
  }

  private look(): void {
    if (this.stopped) return;
    const { clock, log } = this.env;
    const began = this.accounting?.tick(clock.now(), this.awakeTime());
    if (began) log.notice('A new accounting period begins.');
    const state = this.accounting?.state(clock.now()) ?? 'live';
    if (state !== this.current) {
      this.current = state;
      this.tell();
      this.env.changed(state);
      this.save();
    } else if (began || this.unsaved >= SAVE_BYTES) this.save();
    this.arm();
  }

  private awakeTime(): number {
    const now = this.env.clock.monotonic();
    const passed = this.current === 'live' ? now - this.lastTick : 0;
    this.lastTick = now;
    return passed;
  }

  private arm(): void {
    this.timer?.cancel();
    if (!this.accounting || this.stopped) return;
    const now = this.env.clock.now();
    const until = this.accounting.nextChange(now) - now;
    this.timer = this.env.clock.setTimer(Math.min(SAVE_EVERY, Math.max(1, until)), () => {
      if (this.unsaved > 0) this.save();
      this.look();
    });
  }

  private tell(): void {
    const { log, clock } = this.env;
    const { start, end, wakeup } = this.accounting?.period ?? { start: 0, end: 0, wakeup: 0 };
    const now = clock.now();
    switch (this.current) {
      case 'live':
        if (this.accounting)
          log.notice(`Awake. The accounting period began ${when(start)} and ends ${when(end)}.`);
        else log.notice('Awake: there is no AccountingMax any more.');
        return;
      case 'soft':
        log.notice(`Near AccountingMax: no new connections until ${when(end)}; what runs may finish.`);
        return;
      case 'dormant':
        if (now < wakeup) log.notice(`Hibernating until ${when(wakeup)}, so that AccountingMax lasts.`);
        else log.notice(`AccountingMax is used up. Hibernating until ${when(end)}.`);
    }
  }

  private save(): void {
    this.saved().catch((error: Error) => {
      this.env.log.warn(`Cannot save the accounting: ${error.message}`);
    });
  }

  private async saved(): Promise<void> {
    const state = this.accounting?.save() ?? this.kept;
    if (!state) return;
    this.unsaved = 0;
    await saveState(this.env.store, FILE, kind.version, state);
  }

  /** Saves a last time. */
  async stop(): Promise<void> {
    this.stopped = true;
    this.timer?.cancel();
    this.accounting?.tick(this.env.clock.now(), this.awakeTime());
    await this.saved();
  }
}
