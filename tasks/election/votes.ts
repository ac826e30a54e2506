/**
 * From the votes file to what is shuffled (EO-33, EO-34): a list of ciphertexts for each session, and a list of the lines
 * that do not count, each with its reason. Every authority does this by itself with the same file and must come to the
 * same bytes; the hash of what was accepted is what they compare (D46).
 *
 * The rules, in this order:
 * 1. A line is a ballot in the one spelling of D45, with one ciphertext and one proof for each question.
 * 2. Its proofs of plaintext knowledge hold. (The original no longer checked them, EO-42.)
 * 3. No earlier ballot that passed 1 and 2 has the same `alpha` in any place. Honest ballots never share one; a
 *    copied ciphertext would show its victim's vote in the result. Not the pair but `alpha` alone counts, because the
 *    original's challenge does not cover `beta`: a copy with another `beta` proves just as well. A ballot without valid
 *    proofs takes nobody's place. (So one ballot on several lines counts once: there are no weights.)
 * 4. Of the ballots of one voter id that passed 1 to 3, the last in the file counts; the others are superseded by it.
 *    (The original counted every line.) A line without voter id stands for a voter of its own.
 *
 * Memory: a batch of ballots, and 40 to 80 bytes for each ciphertext and each voter id.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { rm } from 'node:fs/promises';

import { type Ballot, parseVoteLine, type Refusal } from './ballot.ts';
import { compactJson } from './canonical.ts';
import type { GroupName } from './election.ts';
import { LineWriter, readLines } from './line-files.ts';
import { LineTable } from './line-table.ts';

export interface NumberedBallot {
  line: number;
  ballot: Ballot;
}

/**
 * Checks the proofs of some ballots: for each, in their order, null when every proof of it holds, else why not. It must
 * also refuse numbers that are no elements of the group (D45): rule 3 relies on one spelling for each element. The reason
 * goes into `invalid_votes`: it must depend on the ballot alone, not on its place in the batch.
 */
export type VerifyBallots = (ballots: readonly NumberedBallot[]) => Promise<readonly (string | null)[]>;

export interface SortVotesOptions {
  /** The votes file. */
  votes: AsyncIterable<Uint8Array>;
  group: GroupName;
  /** In the order of the questions. */
  sessions: readonly { id: string; ciphertextsPath: string }[];
  /** For `invalid_votes` (EO-34): the count on the first line, then one JSON object a line. */
  invalidPath: string;
  /** For the accepted ballots as they were cast, with proofs and without voter ids: one a line (auditors check them). */
  ballotsPath?: string;
  /** A file of our own while we work; removed at the end. */
  spoolPath: string;
  verify: VerifyBallots;
  /** How many ballots are verified together, and how many such batches at a time. */
  batch?: number;
  parallel?: number;
  maxLineBytes?: number;
  signal?: AbortSignal;
}

export interface SortedVotes {
  /** Lines that are not empty. */
  lines: number;
  accepted: number;
  /** All lines that do not count, superseded ones among them. */
  invalid: number;
  invalidByReason: Partial<Record<Refusal['reason'], number>>;
  /** Lower-case hex SHA-256 of each session's `ciphertexts_json`. */
  sessions: { id: string; sha256: string }[];
  /** Lower-case hex SHA-256 over all sessions' lists, in order: `<session id> <sha256>\n` for each. */
  acceptedHash: string;
}

export const DEFAULT_MAX_LINE_BYTES = 1 << 20;

/** What a line came to before rule 4; the spool holds one as JSON on each line. */
type Spooled =
  | { line: number; voter?: string; ballot: Ballot }
  | ({ line: number } & Refusal & { of?: number });

type Candidate =
  | { line: number; ballot: Ballot; voterId: string | null }
  | { line: number; refusal: Refusal };

/** Sorts the votes; see the rules above. A file has its name only when it is whole; after an error, write all again. */
export async function sortVotes(options: SortVotesOptions): Promise<SortedVotes> {
  const voters = new LineTable();
  try {
    await spoolCandidates(options, voters);
    return await writeLists(options, voters);
  } finally {
    const { invalidPath, ballotsPath = invalidPath } = options;
    const parts = [
      ...options.sessions.map(({ ciphertextsPath }) => ciphertextsPath),
      invalidPath,
      ballotsPath,
    ];
    const leftovers = [options.spoolPath, `${options.spoolPath}.invalid`, ...parts].map(
      (path) => `${path}.part`,
    );
    for (const path of [options.spoolPath, `${options.spoolPath}.invalid`, ...leftovers])
      await rm(path, { force: true });
  }
}

/** Rules 1 to 3, in the order of the file; batches of proofs are verified ahead. */
async function spoolCandidates(options: SortVotesOptions, voters: LineTable): Promise<void> {
  const seen = new LineTable();
  const spool = await LineWriter.create(options.spoolPath);
  const { batch: size = 256, parallel = 2 } = options;
  const underWay: Promise<Candidate[]>[] = [];
  const settle = async (): Promise<void> => {
    for (const candidate of await underWay.shift()!) {
      options.signal?.throwIfAborted();
      await spool.write(JSON.stringify(judge(candidate, seen, voters)));
    }
  };
  const start = (batch: Candidate[]): void => {
    const verified = verifyBatch(batch, options.verify);
    // It is awaited in its turn; until then a failure of it is not a stray one.
    verified.catch(() => undefined);
    underWay.push(verified);
  };
  try {
    let batch: Candidate[] = [];
    for await (const candidate of readCandidates(options)) {
      batch.push(candidate);
      if (batch.length < size) continue;
      start(batch);
      batch = [];
      if (underWay.length >= parallel) await settle();
    }
    if (batch.length > 0) start(batch);
    while (underWay.length > 0) await settle();
    await spool.commit();
  } finally {
    await Promise.allSettled(underWay);
    await spool.abandon();
  }
}

async function* readCandidates(options: SortVotesOptions): AsyncGenerator<Candidate> {
  const max = options.maxLineBytes ?? DEFAULT_MAX_LINE_BYTES;
  for await (const { number: line, bytes } of readLines(options.votes, max)) {
    if (bytes === null) {
      yield { line, refusal: { reason: 'line_too_long', detail: `it is longer than ${max} bytes` } };
    } else yield { line, ...parseVoteLine(bytes, options.group, options.sessions.length) };
  }
}

/** Rule 2. */
async function verifyBatch(batch: Candidate[], verify: VerifyBallots): Promise<Candidate[]> {
  const ballots = batch.filter((candidate) => 'ballot' in candidate);
  if (ballots.length === 0) return batch;
  const verdicts = await verify(ballots.map(({ line, ballot }) => ({ line, ballot })));
  if (verdicts.length !== ballots.length) {
    throw new Error(`the verification of ${ballots.length} ballots gave ${verdicts.length} verdicts`);
  }
  const flaws = new Map(ballots.map(({ line }, at) => [line, verdicts[at]!]));
  return batch.map((candidate) => {
    const flaw = flaws.get(candidate.line) ?? null;
    return flaw === null
      ? candidate
      : { line: candidate.line, refusal: { reason: 'proof_invalid', detail: flaw } };
  });
}

/** Rule 3, and what rule 4 needs to know. */
function judge(candidate: Candidate, seen: LineTable, voters: LineTable): Spooled {
  const { line } = candidate;
  if ('refusal' in candidate) return { line, ...candidate.refusal };
  const { choices } = candidate.ballot;
  for (const [at, { alpha }] of choices.entries()) {
    const of = seen.get(alpha);
    if (of !== undefined)
      return { line, reason: 'duplicate', detail: `choices[${at}].alpha is in line ${of} too`, of };
  }
  // Two questions of one ballot with the same alpha: set() then answers this very line.
  const own = choices.findIndex(({ alpha }) => seen.set(alpha, line) === line);
  if (own >= 0)
    return { line, reason: 'duplicate', detail: `choices[${own}].alpha is in another choice too`, of: line };
  const { ballot, voterId } = candidate;
  if (voterId === null) return { line, ballot };
  voters.set(voterId, line);
  return { line, voter: voterId, ballot };
}

/** Rule 4, and the files. */
async function writeLists(options: SortVotesOptions, voters: LineTable): Promise<SortedVotes> {
  const lists: LineWriter[] = [];
  const counts = new Map<Refusal['reason'], number>();
  const spooledInvalid = await LineWriter.create(`${options.spoolPath}.invalid`);
  let accepted = 0;
  const { ballotsPath } = options;
  const ballots = ballotsPath === undefined ? undefined : await LineWriter.create(ballotsPath);
  try {
    for (const { ciphertextsPath } of options.sessions) lists.push(await LineWriter.create(ciphertextsPath));
    for await (const spooled of readSpool(options)) {
      const refused = supersede(spooled, voters);
      if ('ballot' in refused) {
        accepted += 1;
        await ballots?.write(compactJson(refused.ballot));
        for (const [at, choice] of refused.ballot.choices.entries())
          await lists[at]!.write(compactJson(choice));
      } else {
        counts.set(refused.reason, (counts.get(refused.reason) ?? 0) + 1);
        await spooledInvalid.write(compactJson(refused));
      }
    }
    const invalid = spooledInvalid.lines;
    await ballots?.commit();
    await spooledInvalid.commit();
    await writeInvalid(options, invalid);
    const sessions: SortedVotes['sessions'] = [];
    for (const [at, { id }] of options.sessions.entries()) {
      sessions.push({ id, sha256: (await lists[at]!.commit()).toString('hex') });
    }
    const invalidByReason = Object.fromEntries([...counts].sort());
    const acceptedHash = hashOfSessions(sessions);
    return { lines: accepted + invalid, accepted, invalid, invalidByReason, sessions, acceptedHash };
  } finally {
    for (const writer of [...lists, spooledInvalid]) await writer.abandon();
    await ballots?.abandon();
  }
}

async function* readSpool({ spoolPath, signal }: SortVotesOptions): AsyncGenerator<Spooled> {
  for await (const { bytes } of readLines(createReadStream(spoolPath), Number.MAX_SAFE_INTEGER - 1)) {
    signal?.throwIfAborted();
    yield JSON.parse(Buffer.from(bytes!).toString()) as Spooled;
  }
}

function supersede(spooled: Spooled, voters: LineTable): Spooled {
  if (!('ballot' in spooled) || spooled.voter === undefined) return spooled;
  const last = voters.get(spooled.voter)!;
  if (last === spooled.line) return spooled;
  return {
    line: spooled.line,
    reason: 'superseded',
    detail: `the voter's ballot in line ${last} counts`,
    of: last,
  };
}

/** The count first, as in the original's file; then the lines. */
async function writeInvalid({ spoolPath, invalidPath }: SortVotesOptions, count: number): Promise<void> {
  const file = await LineWriter.create(invalidPath);
  try {
    await file.write(String(count));
    for await (const { bytes } of readLines(
      createReadStream(`${spoolPath}.invalid`),
      Number.MAX_SAFE_INTEGER - 1,
    )) {
      await file.write(Buffer.from(bytes!).toString());
    }
    await file.commit();
  } finally {
    await file.abandon();
  }
}

/** See `SortedVotes.acceptedHash`. */
export function hashOfSessions(sessions: readonly { id: string; sha256: string }[]): string {
  const hash = createHash('sha256');
  for (const { id, sha256 } of sessions) hash.update(`${id} ${sha256}\n`);
  return hash.digest('hex');
}
