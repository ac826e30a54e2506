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
 *      |     |- judge_publication
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
import { parallel, simple, synchronized, type TreeNode } from '../../lib/engine/tree.ts';
import type { Failure } from '../../lib/errors.ts';
import type { Json } from '../../lib/json.ts';
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
import { giveUp } from '../election/giving-up.ts';
import { signOrder } from '../election/orders.ts';
import {
  type AuthorityRecord,
  authoritiesOf,
  type ElectionRecord,
  findElection,
  sessionsOf,
} from '../election/records.ts';
import type { ElectionServices } from '../election/services.ts';
import type { TallyRequest } from '../election/tally-request.ts';
import { demandElection } from '../election/trust.ts';
import { isExternal } from '../external/programs.ts';
import {
  answerOf,
  answersBefore,
  askEach,
  type Chain,
  chainInput,
  type Exclusion,
  exclusion,
  nameOf,
  tooFew,
} from './chain.ts';
import * as steps from './chain-steps.ts';
import { participation } from './participation.ts';
import { mixed, publicationOutput } from './publication.ts';
import { findTally, setTallyStatus } from './records.ts';
import { referenceInput, reviewOutput } from './review.ts';

const tallying = z.object({
  request: z.custom<TallyRequest>((value) => typeof value === 'object' && value !== null),
  request_hash: z.string(),
});

/** What the end of a tally knows: who was left out. */
const conclusionInput = referenceInput.extend({ excluded: z.array(exclusion).max(100) });

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
    defineTask({ ...local, action: 'judge_publication', input: conclusionInput, retry }, (task, ctx) =>
      judgePublication(services, task, ctx),
    ),
    defineTask({ ...local, action: 'return_tally', input: conclusionInput, retry }, (task, ctx) =>
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
    defineContainer({ name: 'review_tally', handleError: reviewsFailed }),
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
  const { election_id } = request;
  const order = signOrder(services, { kind: 'tally', election_id, request_hash, tally_id: task.id });
  const data = { request, request_hash, tally_id: task.id, order } as unknown as Json;
  // With a threshold of one nobody else is needed: the others have some time, not all of it.
  const patience = ctx.now.getTime() + services.settings.tallyWaitSeconds * 1000;
  const reviews = toEach(authorities, PERFORMER_QUEUE, 'review_tally', () => data).map((review, index) =>
    election.threshold > 1 || isExternal(election.request) || index === election.position - 1
      ? review
      : { ...review, expirationDate: new Date(patience) },
  );
  const mix = { election_id, tally_id: task.id };
  ctx.add(
    reviewsOf(services, election, authorities, reviews),
    simple({ queue: DIRECTOR_QUEUE, action: 'mix_tally', data: mix }),
  );
}

/**
 * With a threshold below n, this node waits for its own review, and for enough of the others': it cannot lead a tally
 * that it has not approved, however quick the others are.
 */
function reviewsOf(
  { settings }: ElectionServices,
  { threshold, position, request }: ElectionRecord,
  authorities: readonly AuthorityRecord[],
  reviews: readonly TreeNode[],
): TreeNode {
  if (threshold === authorities.length || isExternal(request)) return parallel(reviews, TOGETHER);
  const others = parallel(
    reviews.filter((_, index) => index !== position - 1),
    {
      quorum: Math.max(1, threshold - 1),
      quorumWait: settings.tallyWaitSeconds,
      handler: 'review_tally',
      label: OTHERS,
      ...TOGETHER,
      data: { needed: threshold - 1, names: authorities.map(({ name }) => name) },
    },
  );
  return parallel([reviews[position - 1]!, others], TOGETHER);
}

const OTHERS = 'the other authorities';
/** Who is asked when it is certain that nothing comes of it need not decide any more. */
const TOGETHER = { endsTogether: true } as const;

/** Too few of the others can take part: the error says who, and why each. */
async function reviewsFailed(task: TaskView, error: Failure, ctx: HandlerContext): Promise<void> {
  const { needed, names } = z.object({ needed: z.int(), names: z.array(z.string()) }).parse(task.input);
  if (needed === 0) return ctx.recover();
  const failed = (await ctx.children()).filter(({ status }) => status === 'error');
  const left = failed.map((child) => {
    const { position, failure } = answerOf(child);
    return { authority: names[position - 1] ?? `party ${position}`, reason: failure! };
  });
  throw tooFew(names.length - left.length, needed + 1, left, deepest(error).code);
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
  const election = await findElection(services.db, electionKey(election_id));
  if (election !== undefined && tally?.status !== 'published') {
    const authorities = await authoritiesOf(services.db, election.key);
    const what = { session_id: null, tally_id: id };
    await giveUp(services, election_id, authorities, what, deepest(error).message);
  }
  await services.create(callbackTask(callback_url, errorBody(election_id, 'POST /tally', error)));
}

/** Which authorities reviewed the same votes as this node; they mix. */
async function mixTally(
  services: ElectionServices,
  task: TaskView<z.infer<typeof referenceInput>>,
  ctx: HandlerContext,
): Promise<void> {
  const { election, authorities, tally } = await participation(services, task, task.input);
  const reviews = (await reviewsBefore(ctx)).map(answerOf);
  const excluded = reviews.flatMap((review): Exclusion[] => {
    const reason = review.failure ?? disagreementWith(tally.listsHash, review.output);
    return reason === undefined ? [] : [{ authority: nameOf(authorities, review.position), reason }];
  });
  const able = reviews
    .map(({ position }) => position)
    .filter((position) => !excluded.some(({ authority }) => authority === nameOf(authorities, position)))
    .sort((one, other) => one - other);
  // Verificatum's programs wait for one another: all take part, or nothing comes of it.
  const external = isExternal(election.request);
  const needed = external ? authorities.length : election.threshold;
  if (able.length < needed) throw tooFew(able.length, needed, excluded, 'disagreement');
  const { election_id, tally_id } = task.input;
  for (const { sessionId: session_id, question } of await sessionsOf(services.db, election.key)) {
    const session = { election_id, tally_id, session_id };
    const performers = toEach(
      authorities.filter(({ position }) => able.includes(position)),
      MIXNET_QUEUE,
      'perform_tally',
      () => ({ ...session, lists_hash: tally.listsHash }),
    );
    const quorum =
      able.length > needed ? { quorum: needed, quorumWait: services.settings.tallyWaitSeconds } : {};
    const chain = {
      ...session,
      able,
      candidates: able,
      shufflers: [],
      excluded,
      active: [],
      commitments: {},
      recommitted: 0,
    };
    const label = `question ${question + 1}`;
    ctx.add(synchronized(performers, { ...quorum, handler: 'perform_tally', label }));
    if (external) continue;
    ctx.add(
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

async function reviewsBefore(ctx: HandlerContext): Promise<TaskView[]> {
  const before = await ctx.previous();
  const direct = before === undefined ? [] : await ctx.childrenOf(before.id);
  const nested = direct.find(({ label }) => label === OTHERS);
  return nested === undefined
    ? direct
    : [...direct.filter(({ id }) => id !== nested.id), ...(await ctx.childrenOf(nested.id))];
}

function disagreementWith(listsHash: string | null, output: Json): string | undefined {
  const given = reviewOutput.safeParse(output).data;
  if (given === undefined) return 'its review is malformed';
  if (given.lists_hash === listsHash) return undefined;
  return `the authorities do not agree on the list of ballots: its list is ${given.lists_hash}, not ${listsHash}`;
}

/** Those who were there to the end of every question have all the proofs: they complete, verify and publish. */
async function publishTally(
  services: ElectionServices,
  task: TaskView<z.infer<typeof referenceInput>>,
  ctx: HandlerContext,
): Promise<void> {
  const { election, authorities } = await participation(services, task, task.input);
  const sessions = (await ctx.siblings())
    .filter(({ action }) => action === 'mix_session')
    .map(({ output }) => mixed.parse(output));
  const { election_id, tally_id } = task.input;
  const everybody = authorities.map(({ position }) => position);
  const complete = sessions.reduce(
    (left, { able }) => left.filter((position) => able.includes(position)),
    sessions[0]?.able ?? (isExternal(election.request) ? everybody : []),
  );
  const excluded = distinct(sessions.flatMap((session) => session.excluded));
  if (complete.length < election.threshold) throw tooFew(complete.length, election.threshold, excluded);
  const data = { election_id, tally_id, sessions } as unknown as Json;
  ctx.add(
    askEach(services, authorities, ctx.now, {
      queue: PERFORMER_QUEUE,
      action: 'verify_and_publish_tally',
      of: complete,
      data: () => data,
    }),
    simple({
      queue: DIRECTOR_QUEUE,
      action: 'judge_publication',
      data: { election_id, tally_id, excluded } as unknown as Json,
    }),
  );
}

/** An authority that was left out of several questions is named once. */
function distinct(excluded: readonly Exclusion[]): Exclusion[] {
  return excluded.filter(
    ({ authority }, index) => excluded.findIndex((other) => other.authority === authority) === index,
  );
}

/** Whoever published, published the same; then they ask one another. */
async function judgePublication(
  services: ElectionServices,
  task: TaskView<z.infer<typeof conclusionInput>>,
  ctx: HandlerContext,
): Promise<void> {
  const { election, authorities, tally } = await participation(services, task, task.input);
  const { election_id, tally_id } = task.input;
  const answers = await answersBefore(ctx);
  const own = answers.find(({ position }) => position === election.position);
  if (own?.failure !== undefined) throw new TaskError(own.failure, undefined, 'proof_invalid');
  const excluded = [...task.input.excluded];
  const published: number[] = [];
  for (const { position, output, failure } of answers) {
    const authority = nameOf(authorities, position);
    const given = publicationOutput.safeParse(output).data;
    if (given === undefined) excluded.push({ authority, reason: failure ?? 'its answer is malformed' });
    else if (given.tally_hash === tally.tallyHash) published.push(position);
    else
      throw new TaskError(
        `${authority} published another tally than ${services.node.name}: ${given.tally_hash} and ${tally.tallyHash}`,
        { [authority]: given.tally_hash, [services.node.name]: tally.tallyHash },
        'disagreement',
      );
  }
  if (published.length < election.threshold) throw tooFew(published.length, election.threshold, excluded);
  const compare = { election_id, tally_id, with: published };
  const asked = authorities.filter(({ position }) => published.includes(position));
  ctx.addToParent(
    parallel(toEach(asked, PERFORMER_QUEUE, 'compare_tally', () => compare)),
    simple({
      queue: DIRECTOR_QUEUE,
      action: 'return_tally',
      data: { election_id, tally_id, excluded } as unknown as Json,
    }),
  );
}

/** EO-41; and who was left out, by name and reason, which the original could not say. */
async function returnTally(
  services: ElectionServices,
  task: TaskView<z.infer<typeof conclusionInput>>,
  ctx: HandlerContext,
): Promise<void> {
  const { election, tally } = await participation(services, task, task.input);
  const { excluded } = task.input;
  ctx.add(
    callbackTask(tally.request.callback_url, {
      status: 'finished',
      reference: reference(election.request.id, 'POST /tally'),
      data: {
        tally_url: `${services.publicUrl}/${election.key}/tally.tar.gz`,
        tally_hash: tally.tallyHash,
        ...(excluded.length === 0 ? {} : { left_out: excluded }),
      },
    }),
  );
}
