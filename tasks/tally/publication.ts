/**
 * The end of a tally on an authority (EO-38…EO-40): it completes the proofs by itself, verifies all of them as a stranger
 * would, counts the plaintexts, and publishes a tarball that is the same, bit for bit, on every authority.
 */
import { randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { copyFile, mkdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Knex } from 'knex';
import { z } from 'zod';
import type { HandlerContext, TaskView } from '../../lib/engine/context.ts';
import { TaskError } from '../../lib/engine/definitions.ts';
import type { Json } from '../../lib/json.ts';
import { fileNames } from '../../lib/mixnet/directory/file-names.ts';
import { plaintextOfInteger } from '../election/ballot-encoding.ts';
import { compactJson, publishedJson } from '../election/canonical.ts';
import { GROUP_CAPACITY } from '../election/election.ts';
import { hashFile, niUri } from '../election/hash.ts';
import { LineWriter } from '../election/line-files.ts';
import {
  type AuthorityRecord,
  type ElectionRecord,
  type SessionRecord,
  sessionsOf,
} from '../election/records.ts';
import { QuestionCount, type QuestionResult, resultsJson } from '../election/results.ts';
import type { ElectionServices } from '../election/services.ts';
import { hashFileText, type TarballMember, writeTarball } from '../election/tarball.ts';
import { transcriptText } from '../election/transcript.ts';
import { hashOfSessions } from '../election/votes.ts';
import { isExternal } from '../external/programs.ts';
import { verifyExternally } from '../external/tally.ts';
import { demandList, inFolder, linkFiles } from './attempt.ts';
import { writeProofs } from './decryption.ts';
import { reportTo, shuffleFiles } from './mixing.ts';
import {
  type Participation,
  participation,
  type SessionParticipation,
  sessionParticipation,
} from './participation.ts';
import { lockTally, setTallyStatus, shufflersOf } from './records.ts';
import { referenceInput } from './review.ts';

const party = z.int().min(1).max(24);
const octets = z
  .string()
  .regex(/^(?:[0-9a-f]{2})+$/)
  .max(20_000);

/** How the mixing of a session ended, as the director saw it. */
export const mixed = z.object({
  /** Who was there to the end. */
  able: z.array(party).max(24),
  session_id: z.string().max(128),
  shufflers: z.array(party).max(24),
  active: z.array(party).max(24),
  correct: z.array(party).max(24),
  commitments: z.record(z.string(), octets),
  replies: z.record(z.string(), octets),
  excluded: z.array(z.object({ authority: z.string(), reason: z.string() })).max(100),
});
export type Mixed = z.infer<typeof mixed>;

/** Without `sessions`: Verificatum's programs mixed, and the director knows nothing of how. */
export const publicationInput = referenceInput.extend({ sessions: z.array(mixed).max(100).default([]) });

/** Files of a proof directory that are there before the first shuffle. */
const BEGINNING = [
  fileNames.version,
  fileNames.type,
  fileNames.auxsid,
  fileNames.width,
  fileNames.publicKey,
  fileNames.ciphertexts,
  fileNames.polynomial,
];

/** Output of `verify_and_publish_tally`. */
export const publicationOutput = z.object({ tally_url: z.url(), tally_hash: z.string() });

/** What the publication of one question needs of its files. */
interface FinishedSession {
  session: SessionRecord;
  protInfo: string;
  ciphertexts: string;
  plaintexts: string;
  /** Null: there was nothing to mix. */
  proofs: string | null;
  result: QuestionResult;
}

export async function verifyAndPublish(
  services: ElectionServices,
  task: TaskView<z.infer<typeof publicationInput>>,
  ctx: HandlerContext,
): Promise<Json> {
  const part = await participation(services, task, task.input);
  const { election, tally } = part;
  const tally_url = `${services.publicUrl}/${election.key}/tally.tar.gz`;
  // Told twice: what is published stays as it is.
  if (tally.status === 'published' && tally.tallyHash !== null)
    return { tally_url, tally_hash: tally.tallyHash };
  const sessions = await sessionsOf(services.db, election.key);
  await demandApprovedLists(part, sessions);
  return inFolder(part.folders.attempts, async (folder) => {
    const finished: FinishedSession[] = [];
    for (const session of sessions) {
      const given = task.input.sessions.find(({ session_id }) => session_id === session.sessionId);
      finished.push(
        await finishSession(services, task, session, given, join(folder, session.sessionId), ctx),
      );
    }
    const tally_hash = await publish(services, part, finished, folder, ctx);
    await services.withdraw(part.folders.root);
    return { tally_url, tally_hash };
  });
}

/** What is published as mixed is what the operator approved. */
async function demandApprovedLists(
  { tally, folders }: Participation,
  sessions: readonly SessionRecord[],
): Promise<void> {
  const lists: { id: string; sha256: string }[] = [];
  for (const { sessionId: id } of sessions)
    lists.push({ id, sha256: (await hashFile(folders.session(id).ciphertexts)).toString('hex') });
  if (hashOfSessions(lists) !== tally.listsHash)
    throw new TaskError(
      'the lists of ciphertexts are not those that were approved',
      undefined,
      'disagreement',
    );
}

/** Completes the proofs of a question in a folder of this attempt, verifies all of them, and counts. */
async function finishSession(
  services: ElectionServices,
  task: TaskView<z.infer<typeof publicationInput>>,
  session: SessionRecord,
  given: Mixed | undefined,
  folder: string,
  ctx: HandlerContext,
): Promise<FinishedSession> {
  const part = await sessionParticipation(services, task, { ...task.input, session_id: session.sessionId });
  const { election, own } = part;
  await mkdir(folder, { recursive: true });
  const plaintexts = join(folder, 'plaintexts_json');
  let proofs: string | null = null;
  if (own.state.length === 0) await writeFile(plaintexts, '');
  else {
    proofs = join(folder, 'proofs');
    const { protInfo } = part.directory;
    const from = isExternal(election.request)
      ? await verifyExternally(services, part, proofs, ctx)
      : await completeProofs(services, part, given, proofs, ctx);
    await services.mixnet.run(
      'exportPlaintexts',
      { protInfo, directory: proofs, from, path: plaintexts, format: 'integers' },
      { signal: ctx.signal },
    );
  }
  const { questions, group } = election.request;
  const count = new QuestionCount(questions[session.question]!, GROUP_CAPACITY[group]);
  await countPlaintexts(plaintexts, count);
  const { ciphertexts } = part.folders.session(session.sessionId);
  const { protInfo } = part.directory;
  return { session, protInfo, ciphertexts, plaintexts, proofs, result: count.result() };
}

/**
 * Nothing of what the director says is believed: the chain is our own, and everything else is verified.
 * @returns the last shuffler, whose list was decrypted
 */
async function completeProofs(
  services: ElectionServices,
  { directory, session, own, election }: SessionParticipation,
  given: Mixed | undefined,
  folder: string,
  ctx: HandlerContext,
): Promise<number> {
  if (given === undefined) throw new TaskError(`the session ${session.sessionId} is missing`);
  const { shufflers, active, correct, commitments, replies } = given;
  const { signal } = ctx;
  const from = shufflers.at(-1);
  const same = shufflers.join() === shufflersOf(own.state).join();
  if (from === undefined || !same || shufflers.length < election.threshold)
    throw new TaskError(
      'the chain of shuffles is not the one that was verified here',
      undefined,
      'disagreement',
    );
  // Only these: shuffles that were given up may lie beside them.
  await linkFiles(directory.directory, folder, [
    ...BEGINNING,
    ...shufflers.flatMap(shuffleFiles),
    ...active.map(fileNames.factors),
  ]);
  for (const list of [0, ...shufflers]) await demandList(own.state, folder, list);
  await writeProofs(folder, fileNames.decryptionCommitment, active, commitments);
  await writeProofs(folder, fileNames.decryptionReply, active, replies);
  const proofs = { protInfo: directory.protInfo, directory: folder };
  const { failing } = await services.mixnet.run('failingDecryptors', { ...proofs, from, active }, { signal });
  const expected = active.filter((position) => !failing.includes(position));
  if (expected.join() !== correct.join())
    throw new TaskError(
      `the parties whose decryption is right are ${expected.join(', ')}, not ${correct.join(', ')}`,
      { expected, given: correct },
      'disagreement',
    );
  await services.mixnet.run('assembleDecryption', { ...proofs, from, active, correct }, { signal });
  const { ok, steps } = await services.mixnet.run('verifyProofDirectory', proofs, {
    signal,
    onProgress: reportTo(ctx),
  });
  const wrong = steps.find((step) => !step.ok);
  if (!ok)
    throw new TaskError(
      `the proofs of question ${session.question + 1} are not valid: ${wrong?.title}: ${wrong?.reason}`,
      { steps: steps as unknown as Json },
      'proof_invalid',
    );
  return from;
}

async function countPlaintexts(path: string, count: QuestionCount): Promise<void> {
  for await (const line of createInterface({ input: createReadStream(path), crlfDelay: Infinity })) {
    const integer = z.string().nullable().parse(JSON.parse(line));
    count.add(integer === null ? undefined : plaintextOfInteger(BigInt(integer)));
  }
}

/** The tarball gets its name with the tally's row locked; from then on the tally is published. */
async function publish(
  services: ElectionServices,
  part: Participation,
  finished: readonly FinishedSession[],
  folder: string,
  ctx: HandlerContext,
): Promise<string> {
  ctx.progress({ step: 'writing the tarball', done: 0.9, total: 1 });
  const publicFolder = join(services.publicFolder, part.election.key);
  await mkdir(publicFolder, { recursive: true });
  const target = join(publicFolder, 'tally.tar.gz');
  const written = `${target}.${randomUUID()}`;
  try {
    const { sha256 } = await writeTarball(written, await membersOf(part, finished, folder), ctx.signal);
    const tallyHash = niUri(sha256);
    const transaction = await ctx.tx<Knex>();
    const { status } = await lockTally(transaction, part.tally);
    if (!['approved', 'mixing', 'published'].includes(status))
      throw new TaskError(`the tally ${part.tally.tallyId} is over (${status})`, undefined, 'disagreement');
    await keepOlder(target, sha256);
    await rename(written, target);
    await writeFile(`${target}.sha256`, hashFileText({ sha256 }));
    await setTallyStatus(transaction, part.tally, 'published', { tallyHash });
    return tallyHash;
  } finally {
    await rm(written, { force: true });
  }
}

async function membersOf(
  { election, authorities, folders }: Participation,
  finished: readonly FinishedSession[],
  folder: string,
): Promise<TarballMember[]> {
  const all = join(folder, 'ciphertexts_json');
  await joinLists(
    all,
    finished.map(({ ciphertexts }) => ciphertexts),
  );
  const results = finished.map(({ result }) => result);
  return [
    text('questions_json', publishedJson(election.request.questions)),
    text('pubkeys_json', publishedJson(finished.map(({ session }) => session.publicKey))),
    text('results_json', resultsJson(election.request.id, results)),
    { name: 'ciphertexts_json', path: all },
    { name: 'ballots_json', path: folders.ballots },
    { name: 'invalid_votes', path: folders.invalidVotes },
    ...finished.flatMap((session) => sessionMembers(election, authorities, session)),
  ];
}

function text(name: string, content: string): TarballMember {
  return { name, bytes: Buffer.from(content) };
}

function sessionMembers(
  election: ElectionRecord,
  authorities: readonly AuthorityRecord[],
  { session, protInfo, ciphertexts, plaintexts, proofs }: FinishedSession,
): TarballMember[] {
  const { sessionId, publicKey } = session;
  const members: TarballMember[] = [
    { name: `${sessionId}/ciphertexts_json`, path: ciphertexts },
    { name: `${sessionId}/plaintexts_json`, path: plaintexts },
    text(`${sessionId}/protInfo.xml`, protInfo),
    text(`${sessionId}/publicKey_json`, JSON.stringify(publicKey)),
  ];
  // Verificatum's programs keep their key generation to themselves.
  if (!isExternal(election.request))
    members.push(text(`${sessionId}/keygen_json`, transcriptText(election, authorities, session)));
  if (proofs !== null) members.push({ name: `${sessionId}/proofs`, path: proofs });
  return members;
}

/** The accepted ballots' ciphertexts, one ballot a line: what the lists of all questions have in common (EO-39). */
async function joinLists(path: string, lists: readonly string[]): Promise<void> {
  const writer = await LineWriter.create(path);
  const readers = lists.map((list) =>
    createInterface({ input: createReadStream(list), crlfDelay: Infinity })[Symbol.asyncIterator](),
  );
  try {
    for (;;) {
      const lines = await Promise.all(readers.map((reader) => reader.next()));
      if (lines.some(({ done }) => done === true)) break;
      await writer.write(compactJson({ choices: lines.map(({ value }) => JSON.parse(value as string)) }));
    }
    await writer.commit();
  } finally {
    await writer.abandon();
  }
}

/** EO-38: an older tally is kept beside the new one, under its date; the same one, told twice, is not. */
async function keepOlder(target: string, sha256: Buffer): Promise<void> {
  const known = await stat(target).catch(() => undefined);
  if (known === undefined || (await hashFile(target)).equals(sha256)) return;
  const date = known.mtime.toISOString().replaceAll(':', '-');
  const kept = target.replace(/tally\.tar\.gz$/, `tally_${date}.tar.gz`);
  await copyFile(`${target}.sha256`, `${kept}.sha256`).catch(() => undefined);
  await rename(target, kept);
}
