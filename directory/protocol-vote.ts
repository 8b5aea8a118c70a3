/**
 * The vote on subprotocol versions: what enough authorities list (dir-spec 3.8.1; C tor `protover_compute_vote`).
 *
 * @module
 */
import { formatProtocols, MAX_PROTOCOL_VERSION, type ProtocolSet } from '../shared/netdoc/protover.js';

/** The canonical list of every protocol version that at least `threshold` (1 or more) of the lists have. */
export function voteOnProtocols(lists: readonly ProtocolSet[], threshold: number): string {
  const counts = new Map<string, Uint16Array>();
  for (const list of lists) {
    for (const name of list.names()) {
      let count = counts.get(name);
      if (!count) {
        count = new Uint16Array(MAX_PROTOCOL_VERSION + 1);
        counts.set(name, count);
      }
      for (const version of list.versions(name)) count[version]!++;
    }
  }
  const agreed: [string, number[]][] = [];
  for (const [name, count] of counts) {
    const versions = [...count.keys()].filter((version) => count[version]! >= threshold);
    if (versions.length > 0) agreed.push([name, versions]);
  }
  return formatProtocols(agreed);
}
