/**
 * Creating an election, the director's side (EO-21…EO-28):
 *
 *     create_election
 *      |- parallel: generate_private_info at each authority      approval, keys of the authority
 *      |- merge_protinfo
 *      |  |- synchronized per question: generate_public_key      dealings, committed to before they are opened
 *      |- return_election
 *         |- parallel per question: confirm_public_key           dealings checked, key combined
 *         |- judge_complaints
 *         |- parallel: compare_public_key                        each asks each other directly (D32)
 *         |- finish_election, send_callback
 *
 * The director adds nothing that the authorities do not check (D46).
 */
import { randomUUID } from 'node:crypto';
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
  demandAnswer,
  errorBody,
  MIXNET_QUEUE,
  PERFORMER_QUEUE,
  reference,
} from '../election/callbacks.ts';
import { type ElectionRequest, electionKey } from '../election/election.ts';
import { giveUp } from '../election/giving-up.ts';
import { signOrder } from '../election/orders.ts';
import {
  authoritiesOf,
  type ElectionRecord,
  findElection,
  savePartyKeys,
  sessionsOf,
  setElectionStatus,
} from '../election/records.ts';
import type { ElectionServices } from '../election/services.ts';
import { demandElection } from '../election/trust.ts';
import { mergeLocalInformation } from '../external/creation.ts';
import { isExternal } from '../external/programs.ts';
import { judge, judgementInput } from './judgement.ts';
import { dealingOutput, partyKeyOutput, verifiedPartyKeys } from './party-keys.ts';

const creation = z.object({
  request: z.custom<ElectionRequest>((value) => typeof value === 'object' && value !== null),
  request_hash: z.string(),
});
const session = z.object({ election_id: z.union([z.string(), z.number()]) });

const local = { queue: DIRECTOR_QUEUE, localOnly: true } as const;
/** Own failures of the director (its database, its disk) are tried again; what peers say is final. */
const retry = { attempts: 3 };

export function directorDefinitions(services: ElectionServices): (DefinedTask | DefinedContainer)[] {
  return [
    defineTask(
      { ...local, action: 'create_election', input: creation, retry },
      (task, ctx) => createElection(services, task, ctx),
      {
        handleError: (task, error, ctx) => creationFailed(services, task, error, ctx),
      },
    ),
    defineTask({ ...local, action: 'merge_protinfo', input: session, retry }, (task, ctx) =>
      mergeProtocolInfo(services, task, ctx),
    ),
    defineTask({ ...local, action: 'return_election', input: session, retry }, (task, ctx) =>
      returnElection(services, task, ctx),
    ),
    defineTask({ ...local, action: 'judge_complaints', input: judgementInput, retry }, (task, ctx) =>
      judge(services, task, ctx),
    ),
    defineTask({ ...local, action: 'finish_election', input: session, retry }, (task, ctx) =>
      finishElection(services, task, ctx),
    ),
    defineContainer({ name: 'generate_public_key', preExecute: spreadCommitments }),
  ];
}

function createElection(
  services: ElectionServices,
  { input: { request, request_hash } }: TaskView<z.infer<typeof creation>>,
  ctx: HandlerContext,
): void {
  const sessions = request.questions.map((_, question) => `${question}-${randomUUID()}`);
  const election_id = request.id;
  const order = signOrder(services, { kind: 'election', election_id, request_hash, sessions });
  const data = { request, request_hash, sessions, order } as unknown as Json;
  ctx.add(
    // Who is asked while another denies need not decide any more.
    parallel(
      toAll(request, (name) => ({ action: 'generate_private_info', label: name, data })),
      { endsTogether: true },
    ),
    simple({ queue: DIRECTOR_QUEUE, action: 'merge_protinfo', data: { election_id } }),
    simple({ queue: DIRECTOR_QUEUE, action: 'return_election', data: { election_id } }),
  );
}

function toAll(
  request: ElectionRequest,
  task: (name: string, index: number) => { action: string; label: string; data: Json },
  queue = PERFORMER_QUEUE,
): TreeNode[] {
  return request.authorities.map(({ name, orchestra_url }, index) =>
    simple({ receiver: orchestra_url, queue, ...task(name, index) }),
  );
}

async function creationFailed(
  services: ElectionServices,
  { id, input }: TaskView<z.infer<typeof creation>>,
  error: Failure,
  ctx: HandlerContext,
): Promise<void> {
  const { request } = input;
  const key = electionKey(request.id);
  const known = await findElection(services.db, key);
  // An election of the same id that another request has made is not touched.
  const ours = known !== undefined && (await ctx.task(known.taskId))?.rootId === id;
  if (ours && known.status !== 'denied')
    await setElectionStatus(services.db, key, 'failed', deepest(error).message);
  const session_id = await sessionIn(ctx);
  const authorities = request.authorities.map(({ name, orchestra_url: url }) => ({ name, url }));
  if (session_id !== null)
    await giveUp(services, request.id, authorities, { session_id, tally_id: null }, deepest(error).message);
  // A tree of its own: this one ends here.
  await services.create(callbackTask(request.callback_url, errorBody(request.id, 'POST /election', error)));
}

/** One of the sessions that this creation made up; null: it did not come so far. */
async function sessionIn(ctx: HandlerContext): Promise<string | null> {
  const [approvals] = await ctx.children();
  const [asked] = approvals === undefined ? [] : await ctx.childrenOf(approvals.id);
  const data = z.object({ sessions: z.array(z.string()).min(1) }).safeParse(asked?.input).data;
  return data?.sessions[0] ?? null;
}

/** The labels of tasks at authorities are their names. */
function nameOf({ label, receiverUrl }: TaskView): string {
  return label ?? receiverUrl;
}

/** The output of the siblings before this task: what each authority answered, in their order. */
async function answers(ctx: HandlerContext): Promise<TaskView[]> {
  const before = await ctx.previous();
  return before === undefined ? [] : ctx.childrenOf(before.id);
}

async function mergeProtocolInfo(
  services: ElectionServices,
  { input }: TaskView<z.infer<typeof session>>,
  ctx: HandlerContext,
): Promise<void> {
  const election = await demandElection(services, input.election_id);
  const authorities = await authoritiesOf(services.db, election.key);
  if (isExternal(election.request)) return mergeExternal(services, election, ctx);
  const signed = (await answers(ctx)).map((answer) => demandAnswer(partyKeyOutput, answer, nameOf(answer)));
  verifiedPartyKeys(election, authorities, signed);
  await savePartyKeys(services.db, election.key, signed);
  for (const { sessionId, question } of await sessionsOf(services.db, election.key)) {
    const data = {
      election_id: election.request.id,
      session_id: sessionId,
      party_keys: signed,
    } as unknown as Json;
    const children = toAll(election.request, (label) => ({ action: 'generate_public_key', label, data }));
    ctx.add(synchronized(children, { handler: 'generate_public_key', label: `question ${question + 1}` }));
  }
}

/** EO-25, EO-26. */
async function mergeExternal(
  services: ElectionServices,
  election: ElectionRecord,
  ctx: HandlerContext,
): Promise<void> {
  const given = (await answers(ctx)).map((answer) => ({ name: nameOf(answer), answer }));
  for (const { sessionId, question, protInfo } of await mergeLocalInformation(
    services,
    election,
    given,
    ctx,
  )) {
    const data = {
      election_id: election.request.id,
      session_id: sessionId,
      protInfo_content: protInfo,
    };
    const task = (label: string) => ({ action: 'generate_public_key', label, data });
    ctx.add(synchronized(toAll(election.request, task, MIXNET_QUEUE), { label: `question ${question + 1}` }));
  }
}

/** Everybody's commitment goes to everybody before anybody opens a dealing: nobody can choose theirs by the others'. */
async function spreadCommitments(_task: TaskView, ctx: HandlerContext): Promise<void> {
  const children = await ctx.children();
  const commitments = children.map((child) => {
    const { action, reservationData: output } = child;
    return demandAnswer(z.object({ commitment: z.string() }), { action, output }, nameOf(child)).commitment;
  });
  for (const { id, input } of children)
    ctx.setInput(id, { ...(input as { [key: string]: Json }), dealing_commitments: commitments });
}

async function returnElection(
  services: ElectionServices,
  { input }: TaskView<z.infer<typeof session>>,
  ctx: HandlerContext,
): Promise<void> {
  const election = await demandElection(services, input.election_id);
  const { request } = election;
  const election_id = request.id;
  const synchronizeds = await answers(ctx);
  const sessions = await sessionsOf(services.db, election.key);
  // Verificatum's programs checked one another's dealings themselves.
  for (const [index, { sessionId }] of isExternal(request) ? [] : sessions.entries()) {
    const dealt = await ctx.childrenOf(synchronizeds[index]!.id);
    const dealings = dealt.map((answer) => demandAnswer(dealingOutput, answer, nameOf(answer)).dealing);
    const data = { election_id, session_id: sessionId, dealings } as unknown as Json;
    ctx.add(parallel(toAll(request, (label) => ({ action: 'confirm_public_key', label, data }))));
    ctx.add(simple({ queue: DIRECTOR_QUEUE, action: 'judge_complaints', data }));
  }
  ctx.add(
    parallel(toAll(request, (label) => ({ action: 'compare_public_key', label, data: { election_id } }))),
    simple({ queue: DIRECTOR_QUEUE, action: 'finish_election', data: { election_id } }),
  );
}

/** EO-27. */
async function finishElection(
  services: ElectionServices,
  { input }: TaskView<z.infer<typeof session>>,
  ctx: HandlerContext,
): Promise<void> {
  const { request, key } = await demandElection(services, input.election_id);
  const sessions = await sessionsOf(services.db, key);
  const session_data = sessions.map(({ sessionId, publicKey }) => {
    if (publicKey === null) throw new TaskError(`session ${sessionId} has no key`);
    return { session_id: sessionId, pubkey: publicKey };
  });
  ctx.add(
    callbackTask(request.callback_url, {
      status: 'finished',
      reference: reference(request.id, 'POST /election'),
      session_data: session_data as unknown as Json,
    }),
  );
}
