/**
 * Loads what a relay loads, and ends: how long that takes here and now tells a launcher how long a network will take
 * to start.
 *
 * @module
 */
await import('./run.js');
await import('../../relay/node.js');
