/**
 * What the operator says about relays: AuthDirReject and the like by address, the file `approved-routers` by
 * fingerprint (C tor `dirserv_get_status_impl`, `dirserv_load_fingerprint_file`).
 *
 *     !reject     A1B2…           an RSA fingerprint in hex, or an ed25519 identity in unpadded base64
 *     !invalid | !badexit | !middleonly | !stripguard | !striphsdir | !stripv2dir
 *     Unnamed     A1B2…           anything else names a relay that is known and treated as any
 *
 * @module
 */
import { toBase64Bare } from '../shared/bytes/text.js';
import { type ExitPolicy, parsePolicyLines } from '../shared/netdoc/policy.js';
import type { ServerDescriptor } from '../shared/netdoc/types.js';
import type { Options } from '../shared/torrc/options.js';

/** What the operator decided for one relay. */
export interface RelayStatus {
  /** Why it is refused, in words for its operator. */
  readonly reject: string | undefined;
  readonly invalid: boolean;
  readonly badExit: boolean;
  readonly middleOnly: boolean;
  readonly stripGuard: boolean;
  readonly stripHsDir: boolean;
  readonly stripV2Dir: boolean;
}

/** The options that say something about relays by address. */
export type RuleOptions = Pick<
  Options,
  'AuthDirReject' | 'AuthDirInvalid' | 'AuthDirBadExit' | 'AuthDirMiddleOnly'
>;

type Mark = 'reject' | 'invalid' | 'badexit' | 'middleonly' | 'stripguard' | 'striphsdir' | 'stripv2dir';

const MARKS: ReadonlySet<string> = new Set([
  'reject',
  'invalid',
  'badexit',
  'middleonly',
  'stripguard',
  'striphsdir',
  'stripv2dir',
] satisfies Mark[]);

const REJECTED_KEY =
  'Fingerprint and/or ed25519 identity is marked rejected -- if you think this is a mistake please contact the operators of this authority';
const REJECTED_ADDRESS =
  'Suspicious relay address range -- if you think this is a mistake please contact the operators of this authority';

/** All rules. */
export class RelayRules {
  private readonly byAddress: Readonly<Record<'reject' | 'invalid' | 'badexit' | 'middleonly', ExitPolicy>>;
  private byKey = new Map<string, Set<Mark>>();

  /** @throws DecodeError for a malformed address pattern. */
  constructor(options: RuleOptions) {
    const policy = (lines: readonly string[]): ExitPolicy => parsePolicyLines(lines, { assume: 'reject' });
    this.byAddress = {
      reject: policy(options.AuthDirReject),
      invalid: policy(options.AuthDirInvalid),
      badexit: policy(options.AuthDirBadExit),
      middleonly: policy(options.AuthDirMiddleOnly),
    };
  }

  /** Whether any rule makes a relay MiddleOnly, so that there is an opinion to vote. */
  get hasMiddleOnly(): boolean {
    if (this.byAddress.middleonly.entries.length > 0) return true;
    return [...this.byKey.values()].some((marks) => marks.has('middleonly'));
  }

  /** Replaces the rules by key with those of an `approved-routers` file. Returns the lines that mean nothing. */
  loadApprovedRouters(text: string): string[] {
    const rules = new Map<string, Set<Mark>>();
    const bad: string[] = [];
    for (const line of text.split('\n').map((raw) => raw.replace(/#.*$/, '').trim())) {
      if (line === '') continue;
      const [name = '', ...rest] = line.split(/\s+/);
      const key = keyOf(rest.join(''));
      if (key === undefined) {
        bad.push(line);
        continue;
      }
      const mark = name.startsWith('!') ? name.slice(1).toLowerCase() : '';
      const marks = rules.get(key) ?? new Set<Mark>();
      if (MARKS.has(mark)) marks.add(mark as Mark);
      rules.set(key, marks);
    }
    this.byKey = rules;
    return bad;
  }

  /** What the rules say of a relay. */
  statusOf({ id, ed25519Id, address, orPort }: ServerDescriptor): RelayStatus {
    const marks = new Set([
      ...(this.byKey.get(id) ?? []),
      ...(this.byKey.get(toBase64Bare(ed25519Id)) ?? []),
    ]);
    const at = (rule: keyof RelayRules['byAddress']): boolean =>
      !this.byAddress[rule].allows(address, orPort);
    return {
      reject: marks.has('reject') ? REJECTED_KEY : at('reject') ? REJECTED_ADDRESS : undefined,
      invalid: marks.has('invalid') || at('invalid'),
      badExit: marks.has('badexit') || at('badexit'),
      middleOnly: marks.has('middleonly') || at('middleonly'),
      stripGuard: marks.has('stripguard'),
      stripHsDir: marks.has('striphsdir'),
      stripV2Dir: marks.has('stripv2dir'),
    };
  }
}

function keyOf(text: string): string | undefined {
  if (/^[0-9A-Fa-f]{40}$/.test(text)) return text.toUpperCase();
  return /^[A-Za-z0-9+/]{43}$/.test(text) ? text : undefined;
}
