/**
 * The steps of a session's mixing on an authority (D46): readiness, shuffle, verification of the others' shuffles.
 *
 * An authority shuffles only what it has verified from the beginning of the chain, and signs what it made, so that a
 * director cannot pass shuffles of its own for those of others.
 */
import { copyFile, mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Knex } from 'knex';
import { z } from 'zod';
import type { HandlerContext, TaskView } from '../../lib/engine/context.ts';
import { TaskError } from '../../lib/engine/definitions.ts';
import type { AsyncData } from '../../lib/engine/model.ts';
import type { Json } from '../../lib/json.ts';
import { fileNames, shuffleProofFiles } from '../../lib/mixnet/directory/file-names.ts';
import { isSignedBy, signAs } from '../../lib/mixnet/keys/party-key.ts';
import { Refusal } from '../../lib/mixnet/refusal.ts';
import { hashFile } from '../election/hash.ts';
import { openPartySecret } from '../election/party-secret.ts';
import type { ElectionServices } from '../election/services.ts';
import { isExternal } from '../external/programs.ts';
import { mixExternally } from '../external/tally.ts';
import {
  type AttemptDirectory,
  adopt,
  attempt,
  chainUpTo,
  changeState,
  demandList,
  listFile,
} from './attempt.ts';
import {
  invalidProof,
  mixingParticipation,
  participation,
  type SessionParticipation,
} from './participation.ts';
import { lockTally, type SessionState, setTallyStatus } from './records.ts';
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
  const { election, tally } = await participation(services, task, task.input);
  if (isExternal(election.request))
    return mixExternally(services, await mixingParticipation(services, task, task.input), ctx);
  const transaction = await ctx.tx<Knex>();
  const { status } = await lockTally(transaction, tally);
  if (status === 'approved') await setTallyStatus(transaction, tally, 'mixing');
  return { ready: true };
}

export function reportTo(ctx: HandlerContext): (step: string, done: number) => void {
  return (step, done) => ctx.progress({ step, done, total: 1 });
}

/**
 * An authority makes one shuffle of a session: asked again for the same, it gives the same files, and for another it
 * refuses.
 */
export async function shuffle(
  services: ElectionServices,
  task: TaskView<z.infer<typeof shuffleInput>>,
  ctx: HandlerContext,
): Promise<Json> {
  const part = await mixingParticipation(services, task, task.input);
  const { from } = task.input;
  const made = part.own.state.own;
  if (made === null) await makeShuffle(services, part, from, ctx);
  else if (made.from !== from)
    throw new TaskError(
      `this authority has shuffled the list of ${made.from} already`,
      undefined,
      'disagreement',
    );
  const { election, directory } = part;
  const files = await shareFiles(services, part, shuffleFiles(election.position));
  const statement = await shuffleStatement(part, election.position, from, directory.directory);
  const signature = Buffer.from(signAs(openPartySecret(services, election), statement)).toString('hex');
  return { files, signature } as unknown as Json;
}

async function makeShuffle(
  services: ElectionServices,
  part: SessionParticipation,
  from: number,
  ctx: HandlerContext,
): Promise<void> {
  const party = part.election.position;
  await attempt(part, [fileNames.publicKey, listFile(from)], async (made) => {
    await demandList(part.own.state, made.directory, from);
    const options = { signal: ctx.signal, onProgress: reportTo(ctx) };
    const { outputHash: output } = await services.mixnet.run('shuffle', { ...made, party, from }, options);
    await changeState(ctx, part, (state) => {
      if (state.own !== null)
        throw new TaskError('this authority is shuffling already', undefined, 'disagreement');
      return { ...extended(state, from, { party, output }), own: { from, output } };
    });
    await adopt(part, made.directory, shuffleFiles(party));
  });
}

/** The chain up to `from`, and one shuffle more. @throws TaskError when that cannot be */
function extended(state: SessionState, from: number, next: { party: number; output: string }): SessionState {
  if (state.decrypting)
    throw new TaskError('the list is being decrypted: the chain is final', undefined, 'disagreement');
  const chain = chainUpTo(state, from);
  if (chain.some(({ party }) => party === next.party))
    throw new TaskError(`party ${next.party} has shuffled the list already`, undefined, 'disagreement');
  return { ...state, shuffles: [...chain, next] };
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
  const part = await mixingParticipation(services, task, task.input);
  const { from, party } = task.input;
  if (part.authorities[party - 1] === undefined || party === part.election.position)
    throw new TaskError(`party ${party} cannot be the next shuffler`, undefined, 'disagreement');
  extended(part.own.state, from, { party, output: '' });
  await attempt(part, [fileNames.publicKey, listFile(from)], async (given) => {
    await demandList(part.own.state, given.directory, from);
    await takeFiles(ctx, given.directory, shuffleFiles(party));
    const output = await verifiedOutput(services, part, task.input, given, ctx);
    await changeState(ctx, part, (state) => extended(state, from, { party, output }));
    await adopt(part, given.directory, shuffleFiles(party));
  });
  return { valid: true };
}

/** The hash of the output list. @throws TaskError `proof_invalid` naming the shuffler */
async function verifiedOutput(
  services: ElectionServices,
  part: SessionParticipation,
  { from, party, signature }: z.infer<typeof verifyInput>,
  given: AttemptDirectory,
  ctx: HandlerContext,
): Promise<string> {
  const { name, partyKey } = part.authorities[party - 1]!;
  const step = `shuffle of question ${part.session.question + 1}`;
  const statement = await shuffleStatement(part, party, from, given.directory);
  if (!isSignedBy(partyKey!, statement, signature))
    throw invalidProof(name, step, 'it is not signed with its key');
  try {
    const options = { signal: ctx.signal, onProgress: reportTo(ctx) };
    const { outputHash } = await services.mixnet.run('verifyShuffle', { ...given, party, from }, options);
    return outputHash;
  } catch (thrown) {
    // Everything else is a failure of this node, not of the shuffler.
    if (thrown instanceof Refusal) throw invalidProof(name, step, thrown.message);
    throw thrown;
  }
}

/** Files that came with a task go into a folder, under their names in the proof directory. */
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
