/**
 * The end of a tally on an authority (EO-38…EO-40): it completes the proofs by itself, verifies all of them as a stranger
 * would, counts the plaintexts, and publishes a tarball that is the same, bit for bit, on every authority.
 */
import { createReadStream } from 'node:fs';
import { copyFile, mkdir, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Knex } from 'knex';
import { z } from 'zod';
import type { HandlerContext, TaskView } from '../../lib/engine/context.ts';
import { TaskError } from '../../lib/engine/definitions.ts';
import type { Json } from '../../lib/engine/model.ts';
import { fileNames } from '../../lib/mixnet/directory/fileNames.ts';
import { plaintextOfInteger } from '../election/ballot-encoding.ts';
import { compactJson, publishedJson } from '../election/canonical.ts';
import { GROUP_CAPACITY } from '../election/election.ts';
import { niUri } from '../election/hash.ts';
import { LineWriter } from '../election/line-files.ts';
import { type SessionRecord, sessionsOf } from '../election/records.ts';
import { QuestionCount, type QuestionResult, resultsJson } from '../election/results.ts';
import type { ElectionServices } from '../election/services.ts';
import { hashFileText, type TarballMember, writeTarball } from '../election/tarball.ts';
import { writeProofs } from './decryption.ts';
import { reportTo } from './mixing.ts';
import {
  type Participation,
  participation,
  type SessionParticipation,
  sessionParticipation,
} from './participation.ts';
import { setTallyStatus } from './records.ts';
import { referenceInput } from './review.ts';

const party = z.int().min(1).max(24);
const octets = z
  .string()
  .regex(/^(?:[0-9a-f]{2})+$/)
  .max(20_000);

/** How the mixing of a session ended, as the director saw it. */
export const mixed = z.object({
  session_id: z.string().max(128),
  shufflers: z.array(party).max(24),
  active: z.array(party).max(24),
  correct: z.array(party).max(24),
  commitments: z.record(z.string(), octets),
  replies: z.record(z.string(), octets),
  excluded: z.array(z.object({ authority: z.string(), reason: z.string() })).max(100),
});
export type Mixed = z.infer<typeof mixed>;

export const publicationInput = referenceInput.extend({ sessions: z.array(mixed).min(1).max(100) });

/** Output of `verify_and_publish_tally`. */
export const publicationOutput = z.object({ tally_url: z.url(), tally_hash: z.string() });

export async function verifyAndPublish(
  services: ElectionServices,
  task: TaskView<z.infer<typeof publicationInput>>,
  ctx: HandlerContext,
): Promise<Json> {
  const part = await participation(services, task, task.input);
  const { election } = part;
  const sessions = await sessionsOf(services.db, election.key);
  const results: QuestionResult[] = [];
  for (const [question, session] of sessions.entries()) {
    const given = task.input.sessions.find(({ session_id }) => session_id === session.sessionId);
    if (given === undefined) throw new TaskError(`the session ${session.sessionId} is missing`);
    const count = new QuestionCount(election.request.questions[question]!, GROUP_CAPACITY[election.group]);
    const own = await sessionParticipation(services, task, { ...task.input, session_id: session.sessionId });
    if (own.own.state.length > 0) await finishSession(services, own, given, ctx);
    await countPlaintexts(own, count);
    results.push(count.result());
  }
  const written = await publish(services, part, sessions, results, ctx);
  const tallyHash = niUri(written.sha256);
  await setTallyStatus(await ctx.tx<Knex>(), part.tally, 'published', { tallyHash });
  await services.withdraw(part.folders.root);
  return { tally_url: `${services.publicUrl}/${election.key}/tally.tar.gz`, tally_hash: tallyHash };
}

/** Completes the proof directory and verifies all of it; nothing of what the director says is believed. */
async function finishSession(
  services: ElectionServices,
  { directory, session, own, election, folders }: SessionParticipation,
  given: Mixed,
  ctx: HandlerContext,
): Promise<void> {
  const { active, correct, commitments, replies } = given;
  const from = given.shufflers.at(-1);
  const chain = given.shufflers.join() === own.state.shufflers.join();
  if (from === undefined || !chain || given.shufflers.length < election.threshold)
    throw new TaskError(
      'the chain of shuffles is not the one that was verified here',
      undefined,
      'disagreement',
    );
  const { directory: folder } = directory;
  await writeProofs(folder, fileNames.decryptionCommitment, active, commitments);
  await writeProofs(folder, fileNames.decryptionReply, active, replies);
  const { signal } = ctx;
  const { failing } = await services.mixnet.run(
    'failingDecryptors',
    { ...directory, from, active },
    { signal },
  );
  const expected = active.filter((position) => !failing.includes(position));
  if (expected.join() !== correct.join())
    throw new TaskError(
      `the parties whose decryption is right are ${expected.join(', ')}, not ${correct.join(', ')}`,
      { expected, given: correct },
      'disagreement',
    );
  await services.mixnet.run('assembleDecryption', { ...directory, from, active, correct }, { signal });
  const { ok, steps } = await services.mixnet.run('verifyProofDirectory', directory, {
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
  const path = folders.session(session.sessionId).plaintexts;
  await services.mixnet.run('exportPlaintexts', { ...directory, from, path, format: 'integers' }, { signal });
}

async function countPlaintexts(
  { folders, session, own }: SessionParticipation,
  count: QuestionCount,
): Promise<void> {
  const { plaintexts } = folders.session(session.sessionId);
  if (own.state.length === 0) {
    await writeFile(plaintexts, '');
    return;
  }
  for await (const line of createInterface({ input: createReadStream(plaintexts), crlfDelay: Infinity })) {
    const integer = z.string().nullable().parse(JSON.parse(line));
    count.add(integer === null ? undefined : plaintextOfInteger(BigInt(integer)));
  }
}

async function publish(
  services: ElectionServices,
  { election, folders }: Participation,
  sessions: readonly SessionRecord[],
  results: readonly QuestionResult[],
  ctx: HandlerContext,
): Promise<{ sha256: Buffer }> {
  ctx.progress({ step: 'writing the tarball', done: 0.9, total: 1 });
  const text = (name: string, content: string): TarballMember => ({ name, bytes: Buffer.from(content) });
  const all = join(folders.root, 'ciphertexts_json');
  await joinLists(
    all,
    sessions.map(({ sessionId }) => folders.session(sessionId).ciphertexts),
  );
  const members: TarballMember[] = [
    text('questions_json', publishedJson(election.request.questions)),
    text('pubkeys_json', publishedJson(sessions.map(({ publicKey }) => publicKey))),
    text('results_json', resultsJson(election.request.id, [...results])),
    { name: 'ciphertexts_json', path: all },
    { name: 'invalid_votes', path: folders.invalidVotes },
  ];
  for (const { sessionId } of sessions)
    members.push(...(await sessionMembers(services, election.key, folders, sessionId)));
  const publicFolder = join(services.publicFolder, election.key);
  await mkdir(publicFolder, { recursive: true });
  const target = join(publicFolder, 'tally.tar.gz');
  await keepOlder(target);
  const written = await writeTarball(target, members, ctx.signal);
  await writeFile(`${target}.sha256`, hashFileText(written));
  return written;
}

async function sessionMembers(
  services: ElectionServices,
  electionKey: string,
  folders: Participation['folders'],
  sessionId: string,
): Promise<TarballMember[]> {
  const { ciphertexts, plaintexts, proof } = folders.session(sessionId);
  const members: TarballMember[] = [
    { name: `${sessionId}/ciphertexts_json`, path: ciphertexts },
    { name: `${sessionId}/plaintexts_json`, path: plaintexts },
    {
      name: `${sessionId}/protInfo.xml`,
      path: join(services.publicFolder, electionKey, sessionId, 'protInfo.xml'),
    },
    {
      name: `${sessionId}/publicKey_json`,
      path: join(services.publicFolder, electionKey, sessionId, 'publicKey_json'),
    },
  ];
  if (await exists(proof)) members.push({ name: `${sessionId}/proofs`, path: proof });
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

/** EO-38: an older tally is kept beside the new one, under its date. */
async function keepOlder(target: string): Promise<void> {
  const known = await stat(target).catch(() => undefined);
  if (known === undefined) return;
  const date = known.mtime.toISOString().replaceAll(':', '-');
  const kept = target.replace(/tally\.tar\.gz$/, `tally_${date}.tar.gz`);
  await rename(target, kept);
  await copyFile(`${target}.sha256`, `${kept}.sha256`).catch(() => undefined);
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}
