/**
 * The decryption of a session on an authority, in three rounds (VF 11, D46): factors, commitment, reply.
 *
 * An authority decrypts only the end of a chain of at least t shuffles that it has verified. It answers one challenge for
 * each commitment: what it answered is stored before the answer is given.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { z } from 'zod';
import type { HandlerContext, TaskView } from '../../lib/engine/context.ts';
import { TaskError } from '../../lib/engine/definitions.ts';
import type { Json } from '../../lib/json.ts';
import { fileNames } from '../../lib/mixnet/directory/file-names.ts';
import { Refusal } from '../../lib/mixnet/refusal.ts';
import { openJson, openShareOf, randomnessContext, sealJson } from '../election/party-secret.ts';
import type { ElectionServices } from '../election/services.ts';
import { type AttemptDirectory, adopt, attempt, changeState, demandList, listFile } from './attempt.ts';
import { demandNoForgottenList, recordDecryption } from './decrypted-lists.ts';
import { reportTo, sessionInput, shareFiles, takeFiles } from './mixing.ts';
import { demandSameLife, type Nonce, newNonce, recordAnswer } from './one-answer.ts';
import { invalidProof, mixingParticipation, type SessionParticipation } from './participation.ts';
import { exchangeRandomness, type SessionState, saveRandomness, shufflersOf } from './records.ts';

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

function demandMixed({ election }: SessionParticipation, state: SessionState, from: number): void {
  const shufflers = shufflersOf(state);
  if (shufflers.length < election.threshold || shufflers.at(-1) !== from)
    throw new TaskError(
      `only a list that ${election.threshold} authorities have shuffled is decrypted, and it must be the last one`,
      { shufflers },
      'disagreement',
    );
}

/** Round 1. Asked again, it gives the same factors: they follow from the list and the key share. */
export async function decryptionFactors(
  services: ElectionServices,
  task: TaskView<z.infer<typeof factorsInput>>,
  ctx: HandlerContext,
): Promise<Json> {
  const part = await mixingParticipation(services, task, task.input);
  const { election, session, tally, own } = part;
  const { from } = task.input;
  demandMixed(part, own.state, from);
  await demandNoForgottenList(services, election, tally.request, tally.listsHash!);
  const share = openShareOf(services, session);
  const file = fileNames.factors(election.position);
  await attempt(part, [listFile(from)], async (made) => {
    await demandList(own.state, made.directory, from);
    await services.mixnet.run(
      'writeFactors',
      { ...made, party: election.position, from, share },
      { signal: ctx.signal, onProgress: reportTo(ctx) },
    );
    await changeState(ctx, part, (state) => {
      demandMixed(part, state, from);
      if (state.shuffles.at(-1)!.output !== own.state.shuffles.at(-1)!.output)
        throw new TaskError('the list was exchanged meanwhile', undefined, 'disagreement');
      return { ...state, decrypting: true };
    });
    await recordDecryption(services, election, tally.listsHash!);
    await adopt(part, made.directory, [file]);
  });
  return { files: await shareFiles(services, part, [file]) } as unknown as Json;
}

/** Round 2: with everybody's factors at hand, a commitment to fresh randomness. */
export async function decryptionCommitment(
  services: ElectionServices,
  task: TaskView<z.infer<typeof commitInput>>,
  ctx: HandlerContext,
): Promise<Json> {
  const part = await mixingParticipation(services, task, task.input);
  const { election, session, tally, own } = part;
  const { from, active } = task.input;
  demandMixed(part, own.state, from);
  demandActive(part, active);
  const others = active.filter((position) => position !== election.position);
  const files = [listFile(from), fileNames.polynomial, fileNames.factors(election.position)];
  return attempt(part, files, async (given) => {
    await demandList(own.state, given.directory, from);
    for (const other of others) await takeFactors(services, part, given, other, from, ctx);
    const { secret, commitment } = await services.mixnet.run(
      'commitToFactors',
      { ...given, party: election.position, from, active },
      { signal: ctx.signal },
    );
    const transaction = await changeState(ctx, part, (state) => state);
    const nonce = await newNonce(transaction, secret);
    const sealed = sealJson(services, nonce, randomnessContext(tally.tallyId, session.sessionId));
    await saveRandomness(transaction, tally, session.question, sealed);
    await adopt(part, given.directory, others.map(fileNames.factors));
    return { commitment };
  });
}

function demandActive({ election, authorities }: SessionParticipation, active: readonly number[]): void {
  const known = active.every((position) => position <= authorities.length);
  const distinct = new Set(active).size === active.length;
  if (!known || !distinct || !active.includes(election.position) || active.length < election.threshold)
    throw new TaskError(
      'this authority decrypts only as one of enough known parties',
      { active },
      'disagreement',
    );
}

async function takeFactors(
  services: ElectionServices,
  { authorities }: SessionParticipation,
  given: AttemptDirectory,
  other: number,
  from: number,
  ctx: HandlerContext,
): Promise<void> {
  await takeFiles(ctx, given.directory, [fileNames.factors(other)]);
  try {
    await services.mixnet.run('checkFactors', { ...given, party: other, from }, { signal: ctx.signal });
  } catch (thrown) {
    if (!(thrown instanceof Refusal)) throw thrown;
    throw invalidProof(authorities[other - 1]!.name, 'decryption factors', thrown.message);
  }
}

/**
 * Round 3: the answer to the challenge that follows from all commitments. Of several answers under way at the same time,
 * only one is given: two challenges answered with one randomness would tell the key share.
 */
export async function decryptionReply(
  services: ElectionServices,
  task: TaskView<z.infer<typeof replyInput>>,
  ctx: HandlerContext,
): Promise<Json> {
  const part = await mixingParticipation(services, task, task.input);
  const { election, session, tally, own } = part;
  const { from, active, commitments } = task.input;
  demandMixed(part, own.state, from);
  demandActive(part, active);
  const { sealedRandomness } = own;
  if (sealedRandomness === null) throw new TaskError('this authority has not committed yet');
  const context = randomnessContext(tally.tallyId, session.sessionId);
  const nonce = openJson(services, sealedRandomness, context) as Nonce;
  await demandSameLife(services, nonce);
  const files = [listFile(from), fileNames.polynomial, ...active.map(fileNames.factors)];
  return attempt(part, files, async (given) => {
    await demandList(own.state, given.directory, from);
    await writeProofs(given.directory, fileNames.decryptionCommitment, active, commitments);
    const share = openShareOf(services, session);
    const answer = await services.mixnet.run(
      'replyToCommitments',
      { ...given, party: election.position, from, active, share, secret: nonce.secret },
      { signal: ctx.signal },
    );
    // Before the reply is given: the challenge that this randomness has answered, for ever.
    const next = sealJson(services, { ...nonce, secret: answer.secret } satisfies Nonce, context);
    const sealed = { read: sealedRandomness, next };
    if (!(await exchangeRandomness(services.db, tally, session.question, sealed)))
      throw new TaskError('another answer is being made with this commitment', undefined, 'disagreement');
    await recordAnswer(services, nonce, answer.reply);
    return { reply: answer.reply };
  });
}

/** Commitments or replies of the active parties, which came with a task, as files of a proof directory. */
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
