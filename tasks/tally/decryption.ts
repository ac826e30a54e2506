/**
 * The decryption of a session on an authority, in three rounds (VF 11, D46): factors, commitment, reply.
 *
 * An authority decrypts only the end of a chain of at least t shuffles that it has verified. It answers one challenge for
 * each commitment: what it answered is stored before the answer is given.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Knex } from 'knex';
import { z } from 'zod';
import type { HandlerContext, TaskView } from '../../lib/engine/context.ts';
import { TaskError } from '../../lib/engine/definitions.ts';
import type { Json } from '../../lib/engine/model.ts';
import { reasonOf } from '../../lib/errors.ts';
import { fileNames } from '../../lib/mixnet/directory/fileNames.ts';
import { openJson, openShareOf, randomnessContext, sealJson } from '../election/party-secret.ts';
import type { ElectionServices } from '../election/services.ts';
import { dropFiles, reportTo, sessionInput, shareFiles, takeFiles } from './mixing.ts';
import { invalidProof, type SessionParticipation, sessionParticipation } from './participation.ts';
import { saveRandomness } from './records.ts';

const party = z.int().min(1).max(24);
const octets = z
  .string()
  .regex(/^(?:[0-9a-f]{2})+$/)
  .max(20_000);
export const factorsInput = sessionInput.extend({ from: party });
export const commitInput = factorsInput.extend({ active: z.array(party).min(1).max(24) });
export const replyInput = commitInput.extend({ commitments: z.record(z.string(), octets) });

export const factorsOutput = z.object({
  files: z.record(z.string(), z.object({ url: z.url(), sha256: z.string(), size: z.number() })),
});
export const commitmentOutput = z.object({ commitment: octets });
export const replyOutput = z.object({ reply: octets });

function demandMixed({ own, election }: SessionParticipation, from: number): void {
  const { shufflers } = own.state;
  if (shufflers.length < election.threshold || shufflers.at(-1) !== from)
    throw new TaskError(
      `only a list that ${election.threshold} authorities have shuffled is decrypted, and it must be the last one`,
      { shufflers },
      'disagreement',
    );
}

/** Round 1. */
export async function decryptionFactors(
  services: ElectionServices,
  task: TaskView<z.infer<typeof factorsInput>>,
  ctx: HandlerContext,
): Promise<Json> {
  const part = await sessionParticipation(services, task, task.input);
  const { election, session, directory } = part;
  const { from } = task.input;
  demandMixed(part, from);
  const share = openShareOf(services, session);
  const { file } = await services.mixnet.run(
    'writeFactors',
    { ...directory, party: election.position, from, share },
    { signal: ctx.signal, onProgress: reportTo(ctx) },
  );
  return { files: await shareFiles(services, part, [file]) } as unknown as Json;
}

/** Round 2: with everybody's factors at hand, a commitment to fresh randomness. */
export async function decryptionCommitment(
  services: ElectionServices,
  task: TaskView<z.infer<typeof commitInput>>,
  ctx: HandlerContext,
): Promise<Json> {
  const part = await sessionParticipation(services, task, task.input);
  const { election, session, directory, tally } = part;
  const { from, active } = task.input;
  demandMixed(part, from);
  demandActive(part, active);
  for (const other of active)
    if (other !== election.position) await takeFactors(services, part, other, from, ctx);
  const { secret, commitment } = await services.mixnet.run(
    'commitToFactors',
    { ...directory, party: election.position, from, active },
    { signal: ctx.signal },
  );
  const sealed = sealJson(services, { secret }, randomnessContext(session.sessionId));
  await saveRandomness(await ctx.tx<Knex>(), tally, session.question, sealed);
  return { commitment };
}

function demandActive({ election, authorities }: SessionParticipation, active: readonly number[]): void {
  const known = active.every((position) => position <= authorities.length);
  if (!known || !active.includes(election.position) || active.length < election.threshold)
    throw new TaskError(
      'this authority decrypts only as one of enough known parties',
      { active },
      'disagreement',
    );
}

async function takeFactors(
  services: ElectionServices,
  { directory, authorities }: SessionParticipation,
  other: number,
  from: number,
  ctx: HandlerContext,
): Promise<void> {
  const names = [fileNames.factors(other)];
  await takeFiles(ctx, directory.directory, names);
  try {
    await services.mixnet.run('checkFactors', { ...directory, party: other, from }, { signal: ctx.signal });
  } catch (thrown) {
    if (ctx.signal.aborted) throw thrown;
    await dropFiles(directory.directory, names);
    throw invalidProof(authorities[other - 1]!.name, 'decryption factors', reasonOf(thrown));
  }
}

/** Round 3: the answer to the challenge that follows from all commitments. */
export async function decryptionReply(
  services: ElectionServices,
  task: TaskView<z.infer<typeof replyInput>>,
  ctx: HandlerContext,
): Promise<Json> {
  const part = await sessionParticipation(services, task, task.input);
  const { election, session, directory, tally, own } = part;
  const { from, active, commitments } = task.input;
  demandMixed(part, from);
  demandActive(part, active);
  if (own.sealedRandomness === null) throw new TaskError('this authority has not committed yet');
  await writeProofs(directory.directory, fileNames.decryptionCommitment, active, commitments);
  const context = randomnessContext(session.sessionId);
  const { secret } = openJson(services, own.sealedRandomness, context) as { secret: string };
  const answer = await services.mixnet.run(
    'replyToCommitments',
    { ...directory, party: election.position, from, active, share: openShareOf(services, session), secret },
    { signal: ctx.signal },
  );
  // Before the reply is given: the challenge that this randomness has answered, for ever.
  await saveRandomness(
    services.db,
    tally,
    session.question,
    sealJson(services, { secret: answer.secret }, context),
  );
  return { reply: answer.reply };
}

/** Commitments or replies of the active parties, which came with a task, into the proof directory. */
export async function writeProofs(
  folder: string,
  name: (party: number) => string,
  active: readonly number[],
  given: Readonly<Record<string, string>>,
): Promise<void> {
  for (const position of active) {
    const bytes = given[String(position)];
    if (bytes === undefined) throw new TaskError(`the part of party ${position} is missing`);
    const path = join(folder, name(position));
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, Buffer.from(bytes, 'hex'));
  }
}
