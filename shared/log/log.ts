/**
 * A node's log: pino underneath, Tor's levels, one sink for each `Log` line of the configuration.
 *
 * Text lines look like C tor's: `Nov 21 13:49:27.123 [notice] domain: message name=value` (UTC). JSON lines have
 * `time` (ISO 8601), `level`, `domain`, `msg` and the fields.
 *
 * @module
 */
import { dirname } from 'node:path';
import { pino } from 'pino';
import { systemError } from '../store/errors.js';
import { makeDirectory } from '../store/make-directory.js';
import { tryAppend } from '../store/try-append.js';
import { fieldsText, oneLine, plainFields } from './fields.js';
import { LEVELS, type LevelName, type LogTarget, parseLogLine, wants } from './lines.js';
import type { Log, LogFields } from './types.js';

export { memoryLog } from './memory.js';
export { sensitive } from './sensitive.js';

/** Bytes a sink may hold while its file or pipe is slow; past it lines are dropped, not memory filled. */
const MAX_PENDING = 4 << 20;

/** What a log needs of the options. */
export interface LogOptions {
  /** The `Log` lines. */
  readonly Log: readonly string[];
  readonly SafeLogging: boolean;
}

/** A log with an end. */
export interface NodeLog extends Log {
  /** Logs as other options ask from now on. Throws as `createLog` does, and changes nothing then. */
  configure(options: LogOptions): void;
  /** Opens the files again, after they were rotated away (SIGHUP). Warns of one that cannot be, and keeps to the old. */
  reopen(): void;
  /** Writes out what is pending, at once. For the end of the process. */
  flush(): void;
}

type Sink = ReturnType<typeof pino.destination>;

interface Output {
  readonly target: LogTarget;
  readonly sink: Sink;
}

const NUMBERS: Record<LevelName, number> = { debug: 20, info: 30, notice: 35, warn: 40, err: 50 };

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** `Nov 21 13:49:27.123`, from the time as pino wrote it. */
const stamp = (iso: string) =>
  `${MONTHS[Number(iso.slice(5, 7)) - 1]} ${iso.slice(8, 10)} ${iso.slice(11, 23)}`;

/** A JSON line of pino as a line of text. */
function textOf(json: string): string {
  const { time, level, domain, msg, ...fields } = JSON.parse(json) as Record<string, unknown>;
  const where = domain === undefined ? '' : `${domain}: `;
  return `${stamp(String(time))} [${level}] ${where}${oneLine(String(msg))}${fieldsText(fields)}\n`;
}

/** Readable by nobody else. */
const OWN_ONLY = 0o600;

function openSink(to: LogTarget['to']): Sink {
  if (to === 'stdout') return pino.destination({ fd: 1, sync: false, maxLength: MAX_PENDING });
  if (to === 'stderr') return pino.destination({ fd: 2, sync: false, maxLength: MAX_PENDING });
  // Opened at once, so that a path that cannot be written is an error of the start and not of the night.
  try {
    makeDirectory(dirname(to.file));
    return pino.destination({ dest: to.file, sync: true, maxLength: MAX_PENDING, mode: OWN_ONLY });
  } catch (error) {
    throw systemError(to.file, 'opened', error);
  }
}

/** The sinks of the `Log` lines, one for each file, and the least level that any of them wants. */
function openOutputs(options: LogOptions): { outputs: Output[]; level: LevelName } {
  const lines = options.Log.length > 0 ? options.Log : ['notice stdout'];
  const sinks = new Map<string, Sink>();
  const outputs: Output[] = lines.map((line) => {
    const target = parseLogLine(line);
    const name = typeof target.to === 'string' ? target.to : `file ${target.to.file}`;
    const sink = sinks.get(name) ?? openSink(target.to);
    sinks.set(name, sink);
    return { target, sink };
  });
  const wanted = (level: LevelName) =>
    outputs.some(({ target }) =>
      target.ranges.some((range) => LEVELS.indexOf(range.from) <= LEVELS.indexOf(level)),
    );
  return { outputs, level: LEVELS.find(wanted) ?? 'notice' };
}

/** The files of outputs and their sinks; several `Log` lines may share one. */
const filesOf = (outputs: readonly Output[]): Map<string, Sink> => {
  const files = new Map<string, Sink>();
  for (const { target, sink } of outputs) if (typeof target.to !== 'string') files.set(target.to.file, sink);
  return files;
};

/**
 * Makes the log that the options ask for. Throws a LogLineError for a line that means nothing, and a StoreError for
 * a file that cannot be opened.
 */
export function createLog(first: LogOptions): NodeLog {
  /** Sinks that do not take lines now: a full disk must not end a node. They hold some, and are tried at each line. */
  const failing = new Set<Sink>();
  const open = (options: LogOptions) => {
    const opened = openOutputs(options);
    for (const { target, sink } of new Map(opened.outputs.map((each) => [each.sink, each])).values()) {
      sink.on('write', () => failing.delete(sink));
      sink.on('error', (error: Error) => {
        if (failing.has(sink)) return;
        failing.add(sink);
        const { message } = systemError(
          typeof target.to === 'string' ? target.to : target.to.file,
          'written',
          error,
        );
        // Not from within the writing of a line. Other sinks hear it now, this one when it works again.
        queueMicrotask(() => root.warn(`The log ${message}`));
      });
    }
    return opened;
  };
  let { outputs, level: least } = open(first);
  let safe = first.SafeLogging;

  // pino serialises once; each sink takes the line as it is or as text.
  let level: LevelName = 'notice';
  let domain = '';
  const fan = {
    write(json: string) {
      let text = '';
      for (const { target, sink } of outputs) {
        if (!wants(target, level, domain)) continue;
        if (!target.json && text === '') text = textOf(json);
        sink.write(target.json ? json : text);
      }
    },
  };
  const base = pino(
    {
      base: null,
      customLevels: NUMBERS,
      useOnlyCustomLevels: true,
      level: least,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (name) => ({ level: name }) },
    },
    fan,
  );

  const make = (where: string, fixed: LogFields): Log => {
    const write = (name: LevelName, message: string, fields: LogFields | undefined) => {
      if (!base.isLevelEnabled(name)) return;
      level = name;
      domain = where;
      base[name](fields ? { ...fixed, ...plainFields(fields, safe) } : fixed, message);
    };
    return {
      error: (message, fields) => write('err', message, fields),
      warn: (message, fields) => write('warn', message, fields),
      notice: (message, fields) => write('notice', message, fields),
      info: (message, fields) => write('info', message, fields),
      debug: (message, fields) => write('debug', message, fields),
      child(name, fields) {
        const full = where === '' ? name : `${where}.${name}`;
        return make(full, { ...fixed, domain: full, ...plainFields(fields ?? {}, safe) });
      },
    };
  };

  const root = make('', {});

  return {
    ...root,
    configure(options) {
      const next = open(options);
      for (const { sink } of outputs) if (!failing.has(sink)) flushSink(sink);
      // A sink throws when it is ended twice.
      for (const sink of filesOf(outputs).values()) sink.end();
      outputs = next.outputs;
      least = next.level;
      base.level = least;
      safe = options.SafeLogging;
    },
    reopen() {
      for (const [file, sink] of filesOf(outputs)) reopen(sink, file, root);
    },
    flush() {
      // It would be tried for ever.
      for (const { sink } of outputs) if (!failing.has(sink)) flushSink(sink);
    },
  };
}

function reopen(sink: Sink, file: string, log: Log): void {
  try {
    // A sink that failed to open its file would close the old one twice once it does not, by then another's perhaps.
    tryAppend(file, OWN_ONLY);
    sink.reopen();
  } catch (error) {
    log.warn(`The log ${systemError(file, 'opened', error).message}`);
  }
}

function flushSink(sink: Sink): void {
  try {
    sink.flushSync();
  } catch {
    // A sink whose reader went away, or that is not open yet, has nothing to lose.
  }
}
