/** Subprotocol versions. Owned by netdoc; see the contract. @module */
/** Which versions of a subprotocol are supported; parsed from `proto`/`pr`. */
export interface ProtocolSet {
  has(protocol: string, version: number): boolean;
  toString(): string;
}
