/**
 * The configured authorities as places to ask over their DirPort.
 *
 * @module
 */
import { DirFetchError, fetchOverConn } from '../shared/dir/fetch.js';
import type { DirRequest, DirResponse } from '../shared/dir/types.js';
import type { RelayId } from '../shared/netdoc/types.js';
import { locate } from '../shared/runtime/locate.js';
import type { Clock, NetAddress, Random, Resolver, Transport } from '../shared/runtime/types.js';
import type { DirAuthorityOption, Options } from '../shared/torrc/options.js';
import { familyOf } from './addresses.js';

/** Milliseconds for one exchange with an authority. */
export const exchangeTimeout = (options: Pick<Options, 'TestingTorNetwork'>): number =>
  options.TestingTorNetwork ? 10_000 : 60_000;

/** What asking needs. */
export interface AuthoritiesEnv {
  readonly clock: Clock;
  readonly random: Random;
  readonly transport: Transport;
  readonly resolver: Resolver;
  /** Source address of connections. */
  readonly localHost: string | undefined;
  /** Milliseconds for one exchange. */
  readonly timeout: number;
  /** What an authority says our address is (`X-Your-Address-Is`). */
  readonly addressSeen?: (host: string) => void;
}

/** The authorities of the configuration. */
export class Authorities {
  readonly all: readonly DirAuthorityOption[];
  private readonly env: AuthoritiesEnv;

  constructor(all: readonly DirAuthorityOption[], env: AuthoritiesEnv) {
    this.all = all;
    this.env = env;
  }

  /** v3idents: whose signatures count. */
  get identities(): RelayId[] {
    return this.all.map((authority) => authority.v3Ident).filter((ident) => ident !== undefined);
  }

  /** One of them other than this relay itself, by chance; undefined when there is none. */
  pick(self: RelayId): DirAuthorityOption | undefined {
    const others = this.all.filter((authority) => authority.fingerprint !== self);
    return others[this.env.random.below(others.length)];
  }

  /** Sends one request to an authority. Rejects with DirFetchError when there is no answer. */
  async ask(authority: DirAuthorityOption, request: DirRequest, maxBody?: number): Promise<DirResponse> {
    const { clock, timeout, transport, localHost, addressSeen } = this.env;
    const address = await this.locate(authority);
    const response = await fetchOverConn(transport, address, request, {
      clock,
      timeout,
      ...(maxBody !== undefined && { maxBody }),
      ...(localHost !== undefined && familyOf(localHost) === familyOf(address.host) && { localHost }),
    });
    const seen = response.headers['x-your-address-is'];
    if (seen !== undefined && familyOf(seen)) addressSeen?.(seen);
    return response;
  }

  /** Asks one of them for something small, to hear what our address is (`addressSeen`). */
  async hearAddress(self: RelayId): Promise<void> {
    const authority = this.pick(self);
    if (authority) await this.ask(authority, { method: 'GET', path: '/tor/keys/authority.z' });
  }

  private locate(authority: DirAuthorityOption): Promise<NetAddress> {
    return locate(this.env.resolver, authority.address, authority.dirPort).catch((cause: unknown) => {
      throw new DirFetchError(`the address of authority ${authority.nickname} does not resolve`, { cause });
    });
  }
}
