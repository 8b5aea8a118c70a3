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
  // An authority that was busy signs late; the client asks again.
  /^A consensus needs \d+ good signatures from recognized authorities for us to accept it\./,
];

/**
 * What an authority says when it does not like what others made, or when it has met a mistake of its own. Signatures
 * over another text are no complaint: a vote that came too late for somebody gives them. Tests compare the texts.
 */
const COMPLAINT = /descriptor|extra-?info|microdesc|router|certificate|protover|pars(?:e|ing)|Bug:/i;

/** What a busy machine, or a network that is not complete yet, brings any authority to say. */
const YOUNG: readonly RegExp[] = [
  ...CLIENT,
  /^Cannot open fingerprint file '.*approved-routers'\. That's ok\.$/,
  /^Not enough info to publish pending \S+ consensus$/,
];

const without = (warnings: readonly string[], usual: readonly RegExp[]): string[] =>
  warnings.filter((warning) => !usual.some((each) => each.test(warning)));

/** What is left of a client's warnings when those of every testing network are taken away. */
export const unusualWarnings = (warnings: readonly string[]): string[] => without(warnings, CLIENT);

/** What an authority has against the documents of others. */
export const complaints = (warnings: readonly string[]): string[] =>
  without(warnings, YOUNG).filter((warning) => COMPLAINT.test(warning));
