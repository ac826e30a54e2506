/**
 * Tallying an election, the director's side (EO-30…EO-41):
 *
 *     tally_election
 *      |- parallel, quorum t: review_tally at each authority      votes fetched, checked, approved
 *      |- mix_tally
 *      |  |- synchronized per question: perform_tally             all hold the same list of ciphertexts
 *      |  |- mix_session per question                             see chain.ts
 *      |  |- publish_tally
 *      |     |- parallel: verify_and_publish_tally
 *      |     |- parallel: compare_tally                           each asks each other directly (D32)
 *      |     |- return_tally → send_callback
 */
import { z } from 'zod';
import type { HandlerContext, TaskView } from '../../lib/engine/context.ts';
import {
  type DefinedContainer,
  type DefinedTask,
  defineContainer,
  defineTask,
  TaskError,
} from '../../lib/engine/definitions.ts';
import type { Json } from '../../lib/engine/model.ts';
import { parallel, simple, synchronized, type TreeNode } from '../../lib/engine/tree.ts';
import type { Failure } from '../../lib/errors.ts';
import {
  callbackTask,
  DIRECTOR_QUEUE,
  deepest,
  errorBody,
  MIXNET_QUEUE,
  PERFORMER_QUEUE,
  reference,
} from '../election/callbacks.ts';
import { electionKey } from '../election/election.ts';
import { type AuthorityRecord, authoritiesOf, sessionsOf } from '../election/records.ts';
import type { ElectionServices } from '../election/services.ts';
import type { TallyRequest } from '../election/tally-request.ts';
import { demandElection } from '../election/trust.ts';
import { type Chain, chainInput } from './chain.ts';
import * as steps from './chain-steps.ts';
import { participation } from './participation.ts';
import { mixed, publicationOutput } from './publication.ts';
import { findTally, setTallyStatus } from './records.ts';
import { referenceInput, reviewOutput } from './review.ts';

const tallying = z.object({
  request: z.custom<TallyRequest>((value) => typeof value === 'object' && value !== null),
  request_hash: z.string(),
});

const local = { queue: DIRECTOR_QUEUE, localOnly: true } as const;
const retry = { attempts: 3 };

export function tallyDirectorDefinitions(services: ElectionServices): (DefinedTask | DefinedContainer)[] {
  const chainStep = (
    action: string,
    run: (services: ElectionServices, task: TaskView<Chain>, ctx: HandlerContext) => Promise<void>,
  ): DefinedTask =>
    defineTask({ ...local, action, input: chainInput, retry }, (task, ctx) => run(services, task, ctx));
  return [
    defineTask(
      { ...local, action: 'tally_election', input: tallying, retry },
      (task, ctx) => tallyElection(services, task, ctx),
      { handleError: (task, error) => tallyFailed(services, task, error) },
    ),
    defineTask({ ...local, action: 'mix_tally', input: referenceInput, retry }, (task, ctx) =>
      mixTally(services, task, ctx),
    ),
    defineTask({ ...local, action: 'publish_tally', input: referenceInput, retry }, (task, ctx) =>
      publishTally(services, task, ctx),
    ),
    defineTask({ ...local, action: 'return_tally', input: referenceInput, retry }, (task, ctx) =>
      returnTally(services, task, ctx),
    ),
    chainStep('mix_session', steps.mixSession),
    chainStep('spread_shuffle', steps.spreadShuffle),
    chainStep('judge_shuffle', steps.judgeShuffle),
    chainStep('collect_factors', steps.collectFactors),
    chainStep('collect_commitments', steps.collectCommitments),
    chainStep('judge_decryption', steps.judgeDecryption),
    // Even when nobody answers, the next step decides what that means.
    defineContainer({ name: 'tally_step', handleError: (_task, _error, ctx) => ctx.recover() }),
    defineContainer({ name: 'perform_tally' }),
  ];
}

async function tallyElection(
  services: ElectionServices,
  task: TaskView<z.infer<typeof tallying>>,
  ctx: HandlerContext,
): Promise<void> {
  const { request, request_hash } = task.input;
  const election = await demandElection(services, request.election_id);
  const authorities = await authoritiesOf(services.db, election.key);
  const data = { request, request_hash, tally_id: task.id } as unknown as Json;
  const reviews = toEach(authorities, PERFORMER_QUEUE, 'review_tally', () => data);
  const some = election.threshold < authorities.length;
  ctx.add(
    parallel(
      reviews,
      some ? { quorum: election.threshold, quorumWait: services.settings.tallyWaitSeconds } : {},
    ),
    simple({
      queue: DIRECTOR_QUEUE,
      action: 'mix_tally',
      data: { election_id: request.election_id, tally_id: task.id },
    }),
  );
}

function toEach(
  authorities: readonly AuthorityRecord[],
  queue: string,
  action: string,
  data: (authority: AuthorityRecord) => Json,
): TreeNode[] {
  return authorities.map((authority) =>
    simple({
      receiver: authority.url,
      queue,
      action,
      label: String(authority.position),
      data: data(authority),
    }),
  );
}

async function tallyFailed(
  services: ElectionServices,
  { id, input }: TaskView<z.infer<typeof tallying>>,
  error: Failure,
): Promise<void> {
  const { election_id, callback_url } = input.request;
  const tally = await findTally(services.db, electionKey(election_id), id);
  if (tally !== undefined && tally.status !== 'published')
    await setTallyStatus(services.db, tally, 'failed', { reason: deepest(error).message });
  await services.create(callbackTask(callback_url, errorBody(election_id, 'POST /tally', error)));
}

/** Which authorities reviewed the same votes as this node; they mix. */
async function mixTally(
  services: ElectionServices,
  task: TaskView<z.infer<typeof referenceInput>>,
  ctx: HandlerContext,
): Promise<void> {
  const { election, authorities, tally } = await participation(services, task, task.input);
  const before = await ctx.previous();
  const reviews = (await ctx.childrenOf(before!.id)).filter(({ status }) => status === 'finished');
  const agreeing = reviews.filter(
    ({ output }) => reviewOutput.safeParse(output).data?.lists_hash === tally.listsHash,
  );
  const able = agreeing.map(({ label }) => Number(label));
  if (able.length < election.threshold) throw disagreement(reviews, authorities);
  const { election_id, tally_id } = task.input;
  for (const { sessionId: session_id, question } of await sessionsOf(services.db, election.key)) {
    const session = { election_id, tally_id, session_id };
    const performers = toEach(
      authorities.filter(({ position }) => able.includes(position)),
      MIXNET_QUEUE,
      'perform_tally',
      () => ({ ...session, lists_hash: tally.listsHash }),
    );
    const quorum = able.length > election.threshold ? { quorum: election.threshold } : {};
    const chain = {
      ...session,
      able,
      candidates: able,
      shufflers: [],
      excluded: [],
      active: [],
      commitments: {},
    };
    const label = `question ${question + 1}`;
    ctx.add(
      synchronized(performers, { ...quorum, handler: 'perform_tally', label }),
      simple({
        queue: DIRECTOR_QUEUE,
        action: 'mix_session',
        label,
        data: chain satisfies Chain as unknown as Json,
      }),
    );
  }
  ctx.add(simple({ queue: DIRECTOR_QUEUE, action: 'publish_tally', data: { election_id, tally_id } }));
}

function disagreement(reviews: readonly TaskView[], authorities: readonly AuthorityRecord[]): TaskError {
  const hashes = Object.fromEntries(
    reviews.map(({ label, output }) => [
      authorities[Number(label) - 1]?.name ?? label,
      reviewOutput.safeParse(output).data?.lists_hash ?? null,
    ]),
  );
  return new TaskError('the authorities do not agree on the list of ballots', { hashes }, 'disagreement');
}

/** Those who decrypted every question have all the proofs: they complete, verify and publish. */
async function publishTally(
  services: ElectionServices,
  task: TaskView<z.infer<typeof referenceInput>>,
  ctx: HandlerContext,
): Promise<void> {
  const { election, authorities } = await participation(services, task, task.input);
  const siblings = await ctx.siblings();
  const sessions = siblings
    .filter(({ action }) => action === 'mix_session')
    .map(({ output }) => mixed.parse(output));
  const { election_id, tally_id } = task.input;
  const complete = authorities.filter(({ position }) =>
    sessions.every(({ active }) => active.length === 0 || active.includes(position)),
  );
  if (complete.length < election.threshold)
    throw new TaskError('too few authorities have all the proofs', { sessions }, 'proof_invalid');
  const data = { election_id, tally_id, sessions } as unknown as Json;
  const tally = { election_id, tally_id };
  ctx.add(
    parallel(toEach(complete, PERFORMER_QUEUE, 'verify_and_publish_tally', () => data)),
    parallel(
      toEach(complete, PERFORMER_QUEUE, 'compare_tally', () => ({
        ...tally,
        with: complete.map(({ position }) => position),
      })),
    ),
    simple({ queue: DIRECTOR_QUEUE, action: 'return_tally', data: tally }),
  );
}

/** EO-41. */
async function returnTally(
  services: ElectionServices,
  task: TaskView<z.infer<typeof referenceInput>>,
  ctx: HandlerContext,
): Promise<void> {
  const { election, tally } = await participation(services, task, task.input);
  const [verified] = (await ctx.siblings()).filter(({ type }) => type === 'parallel');
  const published = (await ctx.childrenOf(verified!.id)).map(({ output }) => publicationOutput.parse(output));
  const own = published.find(({ tally_hash }) => tally_hash === tally.tallyHash);
  if (own === undefined || published.some(({ tally_hash }) => tally_hash !== own.tally_hash))
    throw new TaskError('the authorities published different tallies', { published }, 'disagreement');
  const { request } = tally;
  ctx.add(
    callbackTask(request.callback_url, {
      status: 'finished',
      reference: reference(election.request.id, 'POST /tally'),
      data: { tally_url: `${services.publicUrl}/${election.key}/tally.tar.gz`, tally_hash: own.tally_hash },
    }),
  );
}
