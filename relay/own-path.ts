/**
 * Paths for circuits that end at this relay itself.
 *
 * @module
 */
import { toHex } from '../shared/bytes/text.js';
import type { HopTarget } from '../shared/circuit/hop.js';
import type { RelayKeys } from '../shared/crypto/relay-keys.js';
import type { DirCache } from '../shared/dir/cache.js';
import { parseProtocols } from '../shared/netdoc/protover.js';
import type { RouterStatus } from '../shared/netdoc/types.js';
import type { NetAddress, Random } from '../shared/runtime/types.js';
import type { Family } from './addresses.js';

/** Pairs of relays that are looked for before a path is put off. */
const TRIES = 20;

/** What paths are chosen from. */
export interface OwnPathEnv {
  readonly random: Random;
  readonly cache: DirCache;
  readonly keys: RelayKeys;
  /** Our address, where there is one. */
  address(family: Family): NetAddress | undefined;
}

/** Two relays other than us, and us at our address of a family. Undefined where too few are known. */
export function pathToSelf(
  env: OwnPathEnv,
  family: Family,
): readonly [HopTarget, HopTarget, HopTarget] | undefined {
  const { cache, random, keys } = env;
  const own = env.address(family);
  const self = toHex(keys.rsaId);
  const routers = (cache.consensus('microdesc')?.routers ?? []).filter(
    ({ id, flags }) => id !== self && flags.has('Running') && flags.has('Valid'),
  );
  if (!own || routers.length < 2) return undefined;
  for (let i = 0; i < TRIES; i++) {
    const [first, second] = [routers[random.below(routers.length)]!, routers[random.below(routers.length)]!];
    if (first === second || (family === 6 && !reachesIpv6(second))) continue;
    const [one, two] = [hopOf(first, cache), hopOf(second, cache)];
    if (one && two) return [one, two, ownHop(own, keys)];
  }
  return undefined;
}

/** Whether a relay can connect to another over IPv6: it is there itself, and extends so (prop311). */
const reachesIpv6 = ({ ipv6, protocols }: RouterStatus): boolean =>
  ipv6 !== undefined && protocols.has('Relay', 3);

function hopOf(router: RouterStatus, cache: DirCache): HopTarget | undefined {
  const digest = router.microdescDigest;
  const micro = digest === undefined ? undefined : cache.microdesc(digest);
  if (!micro?.ntorOnionKey) return undefined;
  return {
    addresses: [{ host: router.address, port: router.orPort }],
    rsaId: Buffer.from(router.id, 'hex'),
    ed25519Id: micro.ed25519Id,
    ntorKey: micro.ntorOnionKey,
    protocols: router.protocols,
  };
}

const ownHop = (address: NetAddress, keys: RelayKeys): HopTarget => ({
  addresses: [address],
  rsaId: keys.rsaId,
  ed25519Id: keys.ed25519Id,
  ntorKey: keys.ntor.current.publicKey,
  protocols: parseProtocols('Relay=2'),
});
