/**
 * What is wrong with a configuration: all of it at once, each with its place.
 *
 * @module
 */
import { CepaError } from '../bytes/errors.js';

/** Where a line of configuration stands: a file and its line (from 1), or an argument of the command line. */
export interface Place {
  readonly file: string;
  readonly line: number;
}

/** The command line's name as a `Place.file`; its `line` counts the arguments. */
export const COMMAND_LINE = 'command line';

/** One thing that is wrong. Without a place it is about something that is missing. */
export interface TorrcProblem {
  readonly at: Place | undefined;
  readonly message: string;
}

/** `torrc:12`, `command line`. */
export const placeText = (at: Place): string =>
  at.file === COMMAND_LINE ? COMMAND_LINE : `${at.file}:${at.line}`;

const problemText = ({ at, message }: TorrcProblem) => (at ? `${placeText(at)}: ${message}` : message);

/** A configuration that cannot be used. The message has a line for each problem. */
export class TorrcError extends CepaError {
  readonly problems: readonly TorrcProblem[];
  constructor(problems: readonly TorrcProblem[]) {
    super('torrc', problems.map(problemText).join('\n'));
    this.problems = problems;
  }
}

/** A value that its option does not take. Its message has the reason alone. */
export class ValueError extends CepaError {
  constructor(message: string) {
    super('torrc-value', message);
  }
}
