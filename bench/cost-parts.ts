/**
 * What a moment of a node was spent on, by the stack that `perf` saw then.
 *
 * @module
 */

/** One level of a stack: the symbol, as `perf script` names it. */
export type Frame = string;

/** The parts of the cost sheet, in the order a cell meets them. */
export const PARTS = [
  'waiting and waking up',
  'read: system calls',
  'read: TLS, copies',
  'read: into JavaScript',
  'decode, dispatch',
  'layers (AES)',
  'digest (SHA-1)',
  'streams, windows',
  'queues',
  'limits, counters',
  'write: Node',
  'write: TLS, copies',
  'write: system calls',
  "TLS's cipher, in and out",
  'allocation, libc',
  'garbage collection',
  'compiling',
  'the rest',
] as const;

/** A part of the cost sheet. */
export type CostPart = (typeof PARTS)[number];

/** Compiled code of JavaScript or WebAssembly: `JS:*name file:///…/dist/shared/cell/frame.js:152:13`. */
const SCRIPT =
  /^(?:JS|Script|LazyCompile|Function):[*~^+]?(?<name>\S*)(?: .*?(?<file>(?:node:|dist\/)[^ ]*?))?(?::\d+)*$/;

/** Functions that do another part's work than their module, and modules; the first that fits. */
const MODULES: readonly (readonly [RegExp, CostPart])[] = [
  [/shared\/link\/channel\.js:(?:flush|fillFromLegs|flushLater)$/, 'queues'],
  [/shared\/link\/(?:cell-queue|ewma|leg)\.js/, 'queues'],
  [/shared\/onion\/(?:keystream|place)\.js|shared\/circuit\/layers\.js/, 'layers (AES)'],
  [/shared\/onion\/(?:running-hash|sha1|direction)\.js/, 'digest (SHA-1)'],
  [/shared\/(?:onion|circuit)\/|relay\/(?:streams|exit)|client\//, 'streams, windows'],
  [/shared\/(?:cell|link|bytes)\/|relay\/circuit\.js/, 'decode, dispatch'],
  [/shared\/limits\/|relay\//, 'limits, counters'],
  [/shared\/runtime\/(?:lent-reads|passing)\.js/, 'read: into JavaScript'],
  [/shared\/runtime\//, 'write: Node'],
  [
    /node:internal\/(?:streams\/writable|streams\/destroy|stream_base_commons:(?:write|onWriteComplete))/,
    'write: Node',
  ],
  [/node:net:Socket\._?write|node:internal\/crypto\/random/, 'write: Node'],
  [/node:internal\/(?:crypto)/, 'layers (AES)'],
  [/node:(?:internal\/stream|net)/, 'read: into JavaScript'],
];

const COLLECTS =
  /^v8::internal::(?:Heap::|Scaveng|Mark|Minor|Major|Sweeper|ConcurrentMark|Incremental|GCTracer|Evacuat)/;
const COMPILES =
  /^v8::internal::(?:compiler::|Optimiz|Compiler::|baseline::|maglev::|interpreter::|TurbofanCompil)/;
const ALLOCATES =
  /^(?:_?_?int_(?:malloc|free|realloc)|malloc|free|cfree|calloc|realloc|unlink_chunk|sysmalloc|operator (?:new|delete))/;
/** OpenSSL's assembly keeps no frame pointer: nothing is seen below it. */
const TLS_CIPHER = /ghash|gcm|aesni_gcm/i;
const LAYER_CIPHER = /aesni_ctr32_encrypt|ctr128/;
/** A function of WebAssembly, and what calls those that are for streams. */
const WASM = /^JS:wasm-function/;
const STREAMS_ABOVE = /shared\/onion\/(?:packer|circuit-end|cell-data)\.js/;

/** Frames of Node's own that say what is done, innermost first; those of the kernel below them are a system call's. */
const NATIVE: readonly (readonly [RegExp, (inKernel: boolean) => CostPart])[] = [
  [/^(?:ksys_read|__x64_sys_readv?|read|readv|uv__read)$/, () => 'read: system calls'],
  [
    /^(?:ksys_write|__x64_sys_write|do_writev|__x64_sys_writev|write|writev|uv__try_write|uv__write)$/,
    () => 'write: system calls',
  ],
  [
    /^node::(?:CustomBufferJSListener|EmitToJSStreamListener|StreamBase::CallJSOn)/,
    () => 'read: into JavaScript',
  ],
  [/TLSWrap::(?:DoWrite|EncOut|ClearIn|InvokeQueued|OnStreamAfterWrite)/, () => 'write: TLS, copies'],
  [/TLSWrap::(?:OnStreamRead|ClearOut|Cycle)/, () => 'read: TLS, copies'],
  [
    /^uv__stream_io|LibuvStreamWrap::OnUvRead/,
    (inKernel) => (inKernel ? 'read: system calls' : 'read: TLS, copies'),
  ],
];

const within = (stack: readonly Frame[], pattern: RegExp) => stack.some((frame) => pattern.test(frame));

/** What an interrupt came upon: its own frames are nobody's. */
function interrupted(stack: readonly Frame[]): readonly Frame[] {
  const entry = stack.findLastIndex((frame) => /^asm_/.test(frame));
  return entry < 0 ? stack : stack.slice(entry + 1);
}

/** The part that a stack, its innermost frame first, belongs to. */
export function partOf(whole: readonly Frame[]): CostPart {
  const stack = interrupted(whole);
  const [leaf = ''] = stack;
  if (within(stack, COLLECTS)) return 'garbage collection';
  if (within(stack, COMPILES)) return 'compiling';
  if (within(stack, /epoll_p?wait|epoll_ctl|^uv__io_poll$/) && !within(stack, /uv__stream_io|^read$|^JS:/))
    return 'waiting and waking up';
  if (TLS_CIPHER.test(leaf)) return "TLS's cipher, in and out";
  if (LAYER_CIPHER.test(leaf)) return 'layers (AES)';
  if (WASM.test(leaf)) return wasmPart(stack);
  const inKernel = within(stack, /_64_after_hwframe/);
  for (const [at, frame] of stack.entries()) {
    const script = SCRIPT.exec(frame)?.groups;
    if (script) return scriptPart(script, stack.slice(0, at));
    const native = NATIVE.find(([pattern]) => pattern.test(frame));
    if (native) return native[1](inKernel);
  }
  if (within(stack, /CheckImmediate|RunAndClearNative|uv__run_check/)) return 'write: Node';
  if (ALLOCATES.test(leaf) || /^__(?:memset|memmove|strcmp)/.test(leaf)) return 'allocation, libc';
  return 'the rest';
}

/** Only digests have functions that call each other; the XOR of key stream, and copies for streams, are one each. */
function wasmPart(stack: readonly Frame[]): CostPart {
  const depth = stack.findIndex((frame) => !WASM.test(frame));
  if (depth !== 1) return 'digest (SHA-1)';
  return within(stack, STREAMS_ABOVE) && !within(stack, /keystream\.js/)
    ? 'streams, windows'
    : 'layers (AES)';
}

function scriptPart(
  { name = '', file = '' }: Record<string, string | undefined>,
  above: readonly Frame[],
): CostPart {
  const where = `${file.replace(/(?::\d+)+$/, '')}:${name}`;
  const part = MODULES.find(([pattern]) => pattern.test(where))?.[1] ?? 'the rest';
  // What a native write does below the function of Node's that called it.
  return part === 'write: Node' && within(above, /^SSL_|ssl3_|tls13_/) ? 'write: TLS, copies' : part;
}

/** Reads what `perf script -F pid,ip,sym` prints, line by line, and tells each stack. */
export class StackReader {
  private pid = 0;
  private stack: Frame[] = [];
  private readonly told: (pid: number, stack: readonly Frame[]) => void;

  constructor(told: (pid: number, stack: readonly Frame[]) => void) {
    this.told = told;
  }

  line(text: string): void {
    const frame = /^\t\s*[0-9a-f]+ (.*)$/.exec(text);
    if (frame) this.stack.push(frame[1]!);
    else {
      this.end();
      this.pid = Number.parseInt(text, 10);
    }
  }

  /** The last stack is over. */
  end(): void {
    if (this.stack.length > 0) this.told(this.pid, this.stack);
    this.stack = [];
  }
}
