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
  // Before the first consensus, and while it does not have everybody.
  /^Received http status code 404 .* while fetching consensus directory\.$/,
  /^No available nodes when trying to choose node\. Failing\.$/,
];

/** Warnings of authorities and relays besides. */
const RELAY: readonly RegExp[] = [
  ...CLIENT,
  /^V3AuthVotingInterval is very low\./,
  /^Cannot open fingerprint file '.*approved-routers'\. That's ok\.$/,
  /^Could not open ".*sr-state": No such file or directory$/,
  /^SR: Unable to read SR state file /,
  /^Your ContactInfo config option is not set\. /,
  // Also of those who look for nodes for circuits of their own.
  /^Failed to choose an exit server$/,
  /^Failed to find node for hop /,
  /^Could not find a node that matches the configured _HSLayer2Nodes set$/,
  // With so few relays a path that somebody else chose often turns back.
  /^Client asked me to extend back to the previous hop\.$/,
  /^connection_edge_process_relay_cell \(away from origin\) failed\.$/,
];

const without = (warnings: readonly string[], usual: readonly RegExp[]): string[] =>
  warnings.filter((warning) => !usual.some((each) => each.test(warning)));

/** What is left of a client's warnings when those of every testing network are taken away. */
export const unusualWarnings = (warnings: readonly string[]): string[] => without(warnings, CLIENT);

/** The same of an authority's or a relay's. */
export const torAuthorityWarnings = (warnings: readonly string[]): string[] => without(warnings, RELAY);
