import test from 'ava';
import { type CostPart, type Frame, partOf, StackReader } from './cost-parts.js';

const TURN = ['uv__io_poll', 'uv_run', 'node::SpinEventLoopInternal', 'node::Start'];
const SYSCALL = ['do_syscall_64', 'entry_SYSCALL_64_after_hwframe'];
const TLS_READ = [
  'node::crypto::TLSWrap::ClearOut',
  'node::crypto::TLSWrap::OnStreamRead',
  'node::LibuvStreamWrap::OnUvRead',
  'uv__read',
  'uv__stream_io',
  ...TURN,
];
/** A function of Cepa's that was called with what a link brought. */
const at = (file: string, name: string) => [
  `JS:*${name} file:///somewhere/dist/${file}:97:9`,
  'JS:*onStreamRead node:internal/stream_base_commons:168:22',
  'Builtins_JSEntryTrampoline',
  'v8::Function::Call',
  'node::CustomBufferJSListener::OnStreamRead',
  ...TLS_READ,
];
const WRITE = 'JS:*writeOrBuffer node:internal/streams/writable:548:23';
const wasm = (n: number) => `JS:wasm-function[${n}]-${n}-turbofan`;
const flush = at('shared/link/channel.js', 'flush');

const STACKS: readonly (readonly [CostPart, ...(readonly Frame[])])[] = [
  ['waiting and waking up', 'finish_task_switch.isra.0', '__x64_sys_epoll_pwait', ...SYSCALL, 'epoll_pwait'],
  ['waiting and waking up', ...TURN],
  ['read: system calls', '_copy_to_iter', 'ksys_read', ...SYSCALL, 'read', 'uv__stream_io', ...TURN],
  ['read: TLS, copies', '__memmove_avx_unaligned_erms', 'ssl3_read', 'SSL_read', ...TLS_READ],
  ['read: into JavaScript', 'v8::HandleScope::HandleScope', ...at('x', 'y').slice(4)],
  ['read: into JavaScript', ...at('shared/runtime/lent-reads.js', 'read')],
  ['decode, dispatch', ...at('shared/cell/frame.js', 'readWide')],
  ['decode, dispatch', 'Builtins_LoadIC', ...at('shared/link/channel.js', 'relay')],
  ['layers (AES)', 'v8::internal::BackingStore::Allocate', ...at('shared/onion/keystream.js', 'next')],
  ['layers (AES)', 'aesni_ctr32_encrypt_blocks'],
  ['digest (SHA-1)', ...[0, 1, 3].map(wasm), ...at('shared/onion/running-hash.js', 'sign')],
  ['layers (AES)', wasm(0), ...at('relay/circuit.js', 'backward')],
  ['streams, windows', wasm(0), ...at('shared/onion/circuit-end.js', 'deliver')],
  ['digest (SHA-1)', ...at('shared/onion/running-hash.js', 'recognize')],
  ['streams, windows', '__memmove_avx_unaligned_erms', ...at('shared/onion/packer.js', 'packStream')],
  ['streams, windows', ...at('client/app-connection.js', 'fromStream')],
  ['queues', '__memmove_avx_unaligned_erms', ...at('shared/link/cell-queue.js', 'take')],
  ['queues', ...flush],
  ['limits, counters', ...at('shared/limits/bandwidth-limit.js', 'spend')],
  ['write: Node', 'Builtins_KeyedLoadIC_Megamorphic', WRITE, ...flush],
  ['write: TLS, copies', 'do_ssl3_write', 'SSL_write', 'node::crypto::TLSWrap::DoWrite', WRITE, ...flush],
  ['write: system calls', 'tcp_sendmsg', 'ksys_write', ...SYSCALL, '__GI___libc_write', WRITE, ...flush],
  ["TLS's cipher, in and out", '_aesni_ctr32_ghash_6x'],
  ['allocation, libc', '_int_malloc', '[unknown]'],
  ['garbage collection', 'v8::internal::Scavenger::Process', 'v8::internal::Heap::Scavenge', ...flush],
  ['compiling', 'v8::internal::compiler::GraphReducer::Reduce', 'start_thread'],
  ['the rest', 'something_nobody_knows'],
];

for (const [part, ...stack] of STACKS) test(`${part}: ${stack[0]}`, (t) => t.is(partOf(stack), part));

test('an interrupt counts for what it came upon', (t) => {
  t.is(partOf(['handle_softirqs', 'asm_sysvec_apic_timer_interrupt', ...flush]), 'queues');
});

test('stacks are read off what perf prints', (t) => {
  const seen: [number, readonly Frame[]][] = [];
  const reader = new StackReader((pid, stack) => seen.push([pid, stack]));
  const text = [
    ' 3589 ',
    '\tffffffff813a2313 finish_task_switch.isra.0',
    '\t          108cae epoll_pwait',
    '',
    '41 ',
    '\t    7f7a50488c89 JS:*apply file:///somewhere/dist/shared/onion/keystream.js:58:10',
    '',
  ];
  for (const line of text) reader.line(line);
  reader.end();
  t.deepEqual(seen, [
    [3589, ['finish_task_switch.isra.0', 'epoll_pwait']],
    [41, ['JS:*apply file:///somewhere/dist/shared/onion/keystream.js:58:10']],
  ]);
});
