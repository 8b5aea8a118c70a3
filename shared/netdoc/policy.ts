/**
 * Exit policies (dir-spec 2.1.3) and their microdescriptor summaries. Owned by netdoc; see the contract.
 *
 * @module
 */
/** placeholder for the contract */
export interface ExitPolicy {
  /** Whether a connection to an IP literal and port is allowed; first match wins, the end of the list accepts. */
  allows(host: string, port: number): boolean;
}
/** placeholder for the contract */
export interface PortSummary {
  readonly accept: boolean;
  readonly ports: readonly (readonly [number, number])[];
}
