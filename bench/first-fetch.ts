/**
 * The time to the first fetch from nothing: no keys, no directories, no process. Each network is alone on the machine,
 * is started by its own launcher, and stopped again.
 *
 * @module
 */

import { type Member, MixedNetwork } from '../testnet/interop/mixed-network.js';
import { launchTestnet } from '../testnet/launch.js';
import { fetchBySocks } from '../testnet/socks-fetch.js';
import type { Figures, RowKind } from './rows.js';
import { AUTHORITIES, CLIENT, EXITS, RELAYS, relaysOf, type Setting, withLines } from './systems.js';
import { until } from './waiting.js';

/** The row of the table. */
export const FIRST_FETCH: RowKind = {
  name: 'first-fetch',
  better: 'lower',
  wanted: [{ figure: 's', of: 'ratio', sign: '<=', value: 0.4 }],
};

/** One fetch may take so long before it is tried again, milliseconds. */
const FETCH_TIMEOUT = 5_000;

/** Whether a start of it tells more than that of another setting: congestion control begins after it. */
export const startsAlone = ({ name, kind, authorityLines }: Setting): boolean =>
  kind === 'cepa' ? name === 'cepa' : authorityLines === undefined;

const seconds = (from: number, to = performance.now()) => (to - from) / 1000;

async function cepa(): Promise<Figures> {
  const start = performance.now();
  let keys = start;
  let fetched = 0;
  const testnet = await launchTestnet({
    size: { authorities: AUTHORITIES, relays: RELAYS + EXITS, exits: EXITS },
    socks: '127.0.0.1:auto',
    progress({ type }) {
      if (type === 'keys') keys = performance.now();
      if (type === 'fetched') fetched = performance.now();
    },
  });
  await testnet.stop();
  return { s: seconds(start, fetched), 's without keys': seconds(keys, fetched) };
}

/** What `cepa testnet` starts, of C tor. */
async function tor(setting: Setting): Promise<Figures> {
  const client: Member = { name: CLIENT, kind: 'tor', role: 'client' };
  const start = performance.now();
  let keys = start;
  const network = await MixedNetwork.start({
    members: withLines(setting, [...relaysOf(setting), client]),
    keysMade: () => {
      keys = performance.now();
    },
  });
  try {
    const { host, port } = network.plan.demo;
    const proxy = network.proxy(CLIENT);
    await until(() => fetchBySocks({ proxy, host, port, path: '/', timeout: FETCH_TIMEOUT }));
    return { s: seconds(start), 's without keys': seconds(keys) };
  } finally {
    await network.stop();
  }
}

/** Starts a network, fetches the demo page, stops it. */
export const measureStart = (setting: Setting): Promise<Figures> =>
  setting.kind === 'cepa' ? cepa() : tor(setting);
