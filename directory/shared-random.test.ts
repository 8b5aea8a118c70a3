import test from 'ava';
import { fromHex, toBase64, toHex } from '../shared/bytes/text.js';
import { sha3_256 } from '../shared/crypto/digest.js';
import type { SharedRandomCommit, SharedRandomValue } from '../shared/netdoc/types.js';
import type { Random } from '../shared/runtime/types.js';
import { vectors, vectorText } from '../shared/testing/vectors.js';
import { endOfRun, phaseAt, SharedRandom } from './shared-random.js';
import {
  computeSharedRandom,
  isWellFormed,
  makeCommitFrom,
  revealMatches,
  sharedRandomOf,
} from './shared-random-values.js';

const HOUR = 3_600_000;
const RUN = 24 * HOUR;

type Vector =
  | {
      kind: 'commit_reveal';
      raw_random: string;
      timestamp: number;
      encoded_reveal: string;
      encoded_commit: string;
    }
  | {
      kind: 'srv';
      reveals_in_order: { rsa_identity_hex_upper: string; encoded_reveal: string }[];
      previous_srv: string;
      srv: string;
    }
  | {
      kind: 'srv_live_network';
      commits_unsorted: { rsa_identity_hex_upper: string; encoded_commit: string; encoded_reveal: string }[];
      previous_srv_base64: string;
      current_srv_base64: string;
    }
  | { kind: 'srv_no_reveals_no_previous'; srv_base64: string };

const srvVectors = vectors<{ vectors: Vector[] }>('shared-random.json').vectors;

const value = (bytes: Uint8Array): SharedRandomValue => ({ reveals: 0, value: bytes });

test('vectors of C tor and of a live network', (t) => {
  for (const v of srvVectors) {
    if (v.kind === 'commit_reveal') {
      const commit = makeCommitFrom(fromHex(v.raw_random, 'raw'), v.timestamp * 1000, 'A'.repeat(40));
      t.is(commit.reveal, v.encoded_reveal);
      t.is(commit.commit, v.encoded_commit);
      t.true(revealMatches(commit));
    } else if (v.kind === 'srv') {
      const elements = v.reveals_in_order.map((r) => r.rsa_identity_hex_upper + r.encoded_reveal);
      const srv = sharedRandomOf(elements, value(fromHex(v.previous_srv, 'previous')));
      t.is(toHex(srv.value).toLowerCase(), v.srv);
      t.is(srv.reveals, 3);
    } else if (v.kind === 'srv_live_network') {
      const commits = v.commits_unsorted.map((c) => ({
        version: 1,
        algorithm: 'sha3-256',
        identity: c.rsa_identity_hex_upper,
        commit: c.encoded_commit,
        reveal: c.encoded_reveal,
      }));
      const previous = value(Buffer.from(v.previous_srv_base64, 'base64'));
      t.is(toBase64(computeSharedRandom(commits, previous).value), v.current_srv_base64);
    } else {
      t.is(toBase64(computeSharedRandom([], undefined).value), v.srv_base64);
    }
  }
});

test("commitments of C tor's own state file are well formed and match", (t) => {
  const lines = vectorText('real-tor/sr-state-auth0.txt').matchAll(/^Commit (\d) (\S+) (\S+) (\S+) (\S+)$/gm);
  const commits = [...lines].map((m) => ({
    version: Number(m[1]),
    algorithm: m[2]!,
    identity: m[3]!,
    commit: m[4]!,
    reveal: m[5]!,
  }));
  t.is(commits.length, 4);
  for (const commit of commits) {
    t.true(isWellFormed(commit));
    t.true(revealMatches(commit));
    t.false(revealMatches({ ...commit, reveal: undefined }));
    t.false(isWellFormed({ ...commit, version: 2 }));
    for (const damaged of ['', '====', 'A\u0000', commit.commit.slice(1)])
      t.false(isWellFormed({ ...commit, commit: damaged }));
    t.false(isWellFormed({ ...commit, algorithm: 'sha256' }));
    t.false(isWellFormed({ ...commit, commit: 'AAAA' }));
  }
  t.false(revealMatches({ ...commits[0]!, reveal: commits[1]!.reveal }));
});

/** Different bytes at each call, the same in each run. */
function counting(seed: number): Random {
  let calls = 0;
  return {
    bytes: (n) => sha3_256(Uint8Array.of(seed, calls++)).subarray(0, n),
    below: () => 0,
    fraction: () => 0,
  };
}

const ids = ['A', 'B', 'C'].map((letter) => letter.repeat(40));
const authorities = new Set(ids);
const start = Date.UTC(2026, 2, 1);

const machine = (i: number, now: number, interval = HOUR) =>
  new SharedRandom({ identity: ids[i]!, authorities, random: counting(i) }, now, interval);

test('a day has 12 commit rounds and 12 reveal rounds', (t) => {
  t.is(phaseAt(start, HOUR), 'commit');
  t.is(phaseAt(start + 11 * HOUR, HOUR), 'commit');
  t.is(phaseAt(start + 12 * HOUR, HOUR), 'reveal');
  t.is(phaseAt(start + 23 * HOUR, HOUR), 'reveal');
  t.is(endOfRun(start + 5 * HOUR, HOUR), start + RUN);
});

/** A round in which every machine sees every vote and the consensus takes what all agree on. */
function round(machines: SharedRandom[], next: number): void {
  const votes = machines.map((m) => m.vote());
  for (const m of machines) {
    for (const [i, vote] of votes.entries()) m.receive(ids[i]!, vote.commits);
  }
  for (const m of machines) {
    const agreed = votes[0]!;
    m.published({ sharedRandPrevious: agreed.previous, sharedRandCurrent: agreed.current }, next, HOUR);
  }
}

test('three authorities go through a run and make the same value, from all three reveals', (t) => {
  const machines = [0, 1, 2].map((i) => machine(i, start - 30 * 60_000));
  for (const m of machines) m.prepare(start, HOUR);
  for (let hour = 1; hour <= 24; hour++) round(machines, start + hour * HOUR);
  const values = machines.map((m) => m.vote());
  for (const m of machines) t.true(m.fresh);
  t.is(values[0]!.current!.reveals, 3);
  t.deepEqual(values[1]!.current, values[0]!.current);
  t.deepEqual(values[2]!.current, values[0]!.current);
  // The new run began: one own commitment each, no reveal in sight.
  t.deepEqual(
    values.map((v) => v.commits.map((c) => [c.identity, c.reveal])),
    ids.map((id) => [[id, undefined]]),
  );
  round(machines, start + 25 * HOUR);
  for (const m of machines) t.false(m.fresh);
});

test('reveals are voted in the reveal phase only', (t) => {
  const m = machine(0, start);
  m.prepare(start + HOUR, HOUR);
  t.is(m.vote().commits[0]!.reveal, undefined);
  m.prepare(start + 12 * HOUR, HOUR);
  t.true(revealMatches(m.vote().commits[0]!));
});

test('preparing the same round again changes nothing', (t) => {
  const m = machine(0, start);
  m.prepare(start + HOUR, HOUR);
  const before = m.snapshot();
  m.prepare(start + HOUR, HOUR);
  t.deepEqual(m.snapshot(), before);
});

test('whose commitments are taken, and when', (t) => {
  const m = machine(0, start);
  m.prepare(start + HOUR, HOUR);
  const full = makeCommitFrom(new Uint8Array(32).fill(1), start, ids[1]!);
  const committed: SharedRandomCommit = { ...full, reveal: undefined };
  const other = makeCommitFrom(new Uint8Array(32).fill(2), start, ids[1]!);
  const stranger = makeCommitFrom(new Uint8Array(32).fill(3), start, 'D'.repeat(40));

  t.deepEqual(m.receive(ids[2]!, [committed]), ['not its own']);
  t.deepEqual(m.receive(stranger.identity, [stranger]), ['unknown authority']);
  t.deepEqual(m.receive(ids[1]!, [{ ...committed, commit: '!' }]), ['malformed']);
  t.deepEqual(m.receive(ids[1]!, [full]), ['reveals early']);
  t.deepEqual(m.receive(ids[1]!, [committed]), ['kept']);
  t.deepEqual(m.receive(ids[1]!, [committed]), ['known']);
  t.deepEqual(m.receive(ids[1]!, [{ ...other, reveal: undefined }]), ['changed']);

  m.prepare(start + 12 * HOUR, HOUR);
  t.deepEqual(m.receive(ids[2]!, [makeCommitFrom(new Uint8Array(32), start, ids[2]!)]), ['never committed']);
  t.deepEqual(m.receive(ids[1]!, [other]), ['changed']);
  t.deepEqual(m.receive(ids[1]!, [committed]), ['no reveal']);
  t.deepEqual(m.receive(ids[1]!, [{ ...full, reveal: other.reveal }]), ['wrong reveal']);
  t.deepEqual(m.receive(ids[1]!, [full]), ['revealed']);
  t.deepEqual(m.receive(ids[1]!, [full]), ['known']);
});

test('a restart within the run resumes it, one after its end does not', (t) => {
  const config = { identity: ids[0]!, authorities, random: counting(9) };
  const m = machine(0, start);
  m.prepare(start + HOUR, HOUR);
  const kept = m.snapshot();
  const resumed = new SharedRandom(config, start + 2 * HOUR, HOUR, kept);
  t.deepEqual(resumed.snapshot(), kept);
  const late = new SharedRandom(config, start + RUN + 1, HOUR, kept);
  t.deepEqual(late.snapshot().commits, []);
});

test('an authority that starts just before a new run makes a value of no reveals, as C tor does', (t) => {
  const m = machine(0, start - HOUR);
  m.prepare(start, HOUR);
  t.is(m.vote().current!.reveals, 0);
  t.is(toBase64(m.vote().current!.value), 'zxJao+gBmFMSezvz/VXkEWEQJD5b/z+7AXNCGoLFVW0=');
});
