/**
 * The steps of a session's mixing on an authority (D46): readiness, shuffle, verification of the others' shuffles.
 *
 * An authority shuffles only what it has verified from the beginning of the chain, and signs what it made, so that a
 * director cannot pass shuffles of its own for those of others.
 */
import { copyFile, mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Knex } from 'knex';
import { z } from 'zod';
import type { HandlerContext, TaskView } from '../../lib/engine/context.ts';
import { TaskError } from '../../lib/engine/definitions.ts';
import type { AsyncData, Json } from '../../lib/engine/model.ts';
import { reasonOf } from '../../lib/errors.ts';
import { fileNames, shuffleProofFiles } from '../../lib/mixnet/directory/fileNames.ts';
import { isSignedBy, signAs } from '../../lib/mixnet/keys/partyKey.ts';
import { hashFile } from '../election/hash.ts';
import { openPartySecret } from '../election/party-secret.ts';
import type { ElectionServices } from '../election/services.ts';
import {
  invalidProof,
  participation,
  type SessionParticipation,
  sessionParticipation,
} from './participation.ts';
import { saveSessionState, setTallyStatus } from './records.ts';
import { referenceInput } from './review.ts';

const party = z.int().min(1).max(24);
export const sessionInput = referenceInput.extend({ session_id: z.string().max(128) });
export const performInput = sessionInput.extend({ lists_hash: z.string() });
export const shuffleInput = sessionInput.extend({ from: z.int().min(0).max(24) });
export const verifyInput = shuffleInput.extend({ party, signature: z.string().regex(/^[0-9a-f]{128}$/) });

/** Output of `shuffle`. */
export const shuffleOutput = z.object({
  files: z.record(z.string(), z.object({ url: z.url(), sha256: z.string(), size: z.number() })),
  signature: z.string(),
});

/** EO-37; the reservation shows which lists this authority will mix. */
export async function reserveTally(services: ElectionServices, task: TaskView): Promise<Json> {
  const input = performInput.parse(task.input);
  const { tally } = await participation(services, task, input);
  if (tally.listsHash !== input.lists_hash)
    throw new TaskError(
      `${services.node.name} has the lists ${tally.listsHash}, not ${input.lists_hash}`,
      { authority: services.node.name },
      'disagreement',
    );
  return { lists_hash: tally.listsHash };
}

export async function performTally(
  services: ElectionServices,
  task: TaskView<z.infer<typeof performInput>>,
  ctx: HandlerContext,
): Promise<Json> {
  const { tally } = await participation(services, task, task.input);
  if (tally.status === 'approved') await setTallyStatus(await ctx.tx<Knex>(), tally, 'mixing');
  return { ready: true };
}

export function reportTo(ctx: HandlerContext): (step: string, done: number) => void {
  return (step, done) => ctx.progress({ step, done, total: 1 });
}

export async function shuffle(
  services: ElectionServices,
  task: TaskView<z.infer<typeof shuffleInput>>,
  ctx: HandlerContext,
): Promise<Json> {
  const part = await sessionParticipation(services, task, task.input);
  const { election, own, directory } = part;
  const { from } = task.input;
  const me = election.position;
  const chain = chainUpTo(part, from);
  if (chain.includes(me)) throw new TaskError('this authority has shuffled the list already');
  await services.mixnet.run(
    'shuffle',
    { ...directory, party: me, from },
    { signal: ctx.signal, onProgress: reportTo(ctx) },
  );
  const state = { ...own.state, shufflers: [...chain, me] };
  await saveSessionState(await ctx.tx<Knex>(), part.tally, part.session.question, state);
  const files = await shareFiles(services, part, shuffleFiles(me));
  const statement = await shuffleStatement(part, me, from, directory.directory);
  const signature = Buffer.from(signAs(openPartySecret(services, election), statement)).toString('hex');
  return { files, signature } as unknown as Json;
}

/** The part of our chain that ends with `from`; later shuffles were given up by the director. */
function chainUpTo({ own }: SessionParticipation, from: number): number[] {
  if (from === 0) return [];
  const { shufflers } = own.state;
  const end = shufflers.indexOf(from);
  if (end === -1)
    throw new TaskError(`no shuffle of party ${from} was verified here`, undefined, 'disagreement');
  return shufflers.slice(0, end + 1);
}

export function shuffleFiles(shuffler: number): string[] {
  return [...shuffleProofFiles(shuffler, false), fileNames.output(shuffler)];
}

/** Offers files of the proof directory to the other authorities of the election. */
export async function shareFiles(
  services: ElectionServices,
  { authorities, election, directory }: SessionParticipation,
  names: readonly string[],
): Promise<AsyncData> {
  const readers = authorities
    .filter(({ position }) => position !== election.position)
    .map(({ certificate }) => services.peerByCertificate(certificate)?.id)
    .filter((id) => id !== undefined);
  const shared: AsyncData = {};
  for (const name of names) shared[name] = await services.share(join(directory.directory, name), readers);
  return shared;
}

/** What a shuffler signs: the files that it made, and where in which tally they belong. */
async function shuffleStatement(
  { election, tally, session }: SessionParticipation,
  shuffler: number,
  from: number,
  folder: string,
): Promise<Buffer> {
  const hashes: string[] = [];
  for (const name of shuffleFiles(shuffler))
    hashes.push(`${name} ${(await hashFile(join(folder, name))).toString('hex')}`);
  const head = [
    'conclave shuffle, version 1',
    election.key,
    tally.tallyId,
    session.sessionId,
    shuffler,
    from,
  ];
  return Buffer.from([...head, ...hashes].join('\n'));
}

export async function verifyShuffle(
  services: ElectionServices,
  task: TaskView<z.infer<typeof verifyInput>>,
  ctx: HandlerContext,
): Promise<Json> {
  const part = await sessionParticipation(services, task, task.input);
  const { authorities, directory, own } = part;
  const { from, party: shuffler, signature } = task.input;
  const chain = chainUpTo(part, from);
  const authority = authorities[shuffler - 1];
  if (authority === undefined || chain.includes(shuffler))
    throw new TaskError(`party ${shuffler} cannot be the next shuffler`, undefined, 'disagreement');
  await takeFiles(ctx, directory.directory, shuffleFiles(shuffler));
  try {
    const statement = await shuffleStatement(part, shuffler, from, directory.directory);
    if (!isSignedBy(authority.partyKey!, statement, signature))
      throw new TaskError(`the shuffle is not signed by ${authority.name}`);
    await services.mixnet.run(
      'verifyShuffle',
      { ...directory, party: shuffler, from },
      { signal: ctx.signal, onProgress: reportTo(ctx) },
    );
  } catch (thrown) {
    if (ctx.signal.aborted) throw thrown;
    await dropFiles(directory.directory, shuffleFiles(shuffler));
    throw invalidProof(authority.name, `shuffle of question ${part.session.question + 1}`, reasonOf(thrown));
  }
  const state = { ...own.state, shufflers: [...chain, shuffler] };
  await saveSessionState(await ctx.tx<Knex>(), part.tally, part.session.question, state);
  return { valid: true };
}

/** Files that came with a task go into the proof directory, under their names there. */
export async function takeFiles(
  ctx: HandlerContext,
  folder: string,
  names: readonly string[],
): Promise<void> {
  for (const name of names) {
    const target = join(folder, name);
    await mkdir(dirname(target), { recursive: true });
    await copyFile(ctx.asyncData(name), target);
  }
}

export async function dropFiles(folder: string, names: readonly string[]): Promise<void> {
  for (const name of names) await rm(join(folder, name), { force: true });
}
