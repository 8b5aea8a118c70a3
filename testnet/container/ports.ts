/**
 * The ports of every container: the same in all, since each has an address of its own.
 *
 * @module
 */
export const OR_PORT = 9001;
export const DIR_PORT = 9030;
/** For the container itself alone: it tells whether it is well. */
export const METRICS_PORT = 9035;
/** Of the web site. */
export const SITE_PORT = 8080;
