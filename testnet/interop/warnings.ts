/**
 * What C tor warns of in every testing network, also in one of C tor alone: seen in the logs of such a network, which
 * `pure-tor.slow.test.ts` starts to hold this list against it.
 *
 * @module
 */

/** Warnings of a client. */
const CLIENT: readonly RegExp[] = [
  /^You have used DirAuthority or AlternateDirAuthority to specify alternate directory authorities/,
  /^TestingTorNetwork is set\. /,
  /^Your log may contain sensitive information/,
  /^You are running Tor as root\. /,
];

/** What is left of a log's warnings when those of every testing network are taken away. */
export const unusualWarnings = (warnings: readonly string[]): string[] =>
  warnings.filter((warning) => !CLIENT.some((usual) => usual.test(warning)));
