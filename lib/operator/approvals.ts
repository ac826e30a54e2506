/**
 * Approvals as operators see them (D33): what is asked, made readable from exactly what is hashed and signed; the hash that
 * every authority shows if they are asked the same; what differs from the last request. The hash is computed here from the
 * content, and never taken from what came with it. Deciding is the business of `decisions.ts`.
 */

import { createHash } from 'node:crypto';
import type { Knex } from 'knex';
import { z } from 'zod';
import { canonicalJson } from '../../tasks/election/canonical.ts';
import { describeElection } from '../../tasks/election/description.ts';
import { type ElectionRequest, electionKey } from '../../tasks/election/election.ts';
import { findElection } from '../../tasks/election/records.ts';
import { requestHash } from '../../tasks/election/request.ts';
import { type TallyRequest, tallyRequestHash } from '../../tasks/election/tally-request.ts';
import { hasEnded, type Task } from '../engine/model.ts';
import { ConclaveError } from '../errors.ts';
import { ancestors } from '../store/task-queries.ts';
import { SELECTION } from '../store/task-rows.ts';
import { readTask, select } from '../store/tasks.ts';
import { changesBetween } from './changes.ts';
import { decisionsOn } from './decision-records.ts';
import { electionDetails } from './election-details.ts';
import type { OperatorServices } from './services.ts';
import { ALLOWED, dateText, hashView, refused } from './shown.ts';
import type { ApprovalSummary, ApprovalView, DecisionView, Permission } from './views.ts';

const electionInput = z.object({
  election_id: z.union([z.string(), z.number()]),
  request: z.custom<ElectionRequest>((value) => typeof value === 'object' && value !== null),
});
const tallyInput = z.object({
  election_id: z.union([z.string(), z.number()]),
  request: z.custom<TallyRequest>((value) => typeof value === 'object' && value !== null),
  description: z.string(),
  votes: z.object({
    accepted: z.int(),
    invalid: z.int(),
    invalid_by_reason: z.record(z.string(), z.number()).default({}),
    accepted_hash: z.string(),
  }),
});

/** What an approval is about, with the text of which its hash is the SHA-256. */
export type Asked = { readonly electionId: string; readonly hashed: string; readonly hash: string } & (
  | { readonly kind: 'election'; readonly request: ElectionRequest }
  | {
      readonly kind: 'tally';
      readonly request: TallyRequest;
      readonly votes: z.infer<typeof tallyInput>['votes'];
      readonly election: ElectionRequest;
      readonly text: string;
    }
);

const LABELS = ['approve_election', 'approve_election_tally'];
const MAX_LISTED = 500;

/**
 * What a task asks its operators; undefined when it is no approval of an election or tally.
 *
 * An election's hash is that of its request, which the authority's key is signed with. A tally's covers the requests of
 * election and tally and what was found in the votes: authorities that found something else show another hash.
 */
export async function askedBy(db: Knex, task: Task): Promise<Asked | undefined> {
  if (task.type !== 'external' || !LABELS.includes(task.label ?? '')) return undefined;
  if (task.label === 'approve_election') {
    const given = electionInput.safeParse(task.input).data;
    if (given === undefined) return undefined;
    const { request } = given;
    const hashed = canonicalJson(request);
    return {
      kind: 'election',
      electionId: electionKey(request.id),
      request,
      hashed,
      hash: requestHash(request),
    };
  }
  const given = tallyInput.safeParse(task.input).data;
  const election = given === undefined ? undefined : await findElection(db, electionKey(given.election_id));
  if (given === undefined || election === undefined) return undefined;
  const { request, votes, description: text } = given;
  const hashed = canonicalJson({
    approval: 'tally',
    election_request_hash: requestHash(election.request),
    request,
    request_hash: tallyRequestHash(request),
    votes,
  });
  const hash = createHash('sha256').update(hashed, 'utf8').digest('hex');
  return {
    kind: 'tally',
    electionId: election.key,
    request,
    votes,
    election: election.request,
    text,
    hashed,
    hash,
  };
}

/** Those that wait for an operator, oldest first. */
export async function pendingApprovals(services: OperatorServices): Promise<ApprovalSummary[]> {
  const tasks = await select(
    services.db,
    `select ${SELECTION} from tasks where task_type = 'external' and status = 'executing' and label = any(?)
     order by created_date, id limit ?`,
    [LABELS, MAX_LISTED],
  );
  const summaries: ApprovalSummary[] = [];
  for (const task of tasks) {
    const asked = await askedBy(services.db, task);
    if (asked !== undefined) summaries.push(await summaryOf(services, task, asked));
  }
  return summaries;
}

/**
 * One approval, waiting or decided.
 * @param operator who asks, for `can_decide`
 * @throws ConclaveError `task_not_found`, `not_approval`
 */
export async function approval(
  services: OperatorServices,
  id: string,
  operator: string,
): Promise<ApprovalView> {
  const { task, asked } = await demandApproval(services.db, id);
  const summary = await summaryOf(services, task, asked);
  const request = asked.kind === 'election' ? asked.request : asked.election;
  const before = await previousOf(services.db, task, asked);
  return {
    ...summary,
    election: electionDetails(services, request),
    tally: asked.kind === 'tally' ? tallyDetails(asked) : null,
    hashed_text: asked.hashed,
    text: asked.kind === 'tally' ? asked.text : describeElection(request),
    previous:
      before === undefined
        ? null
        : {
            id: before.task.id,
            requested_date: before.task.createdDate.toISOString(),
            hash: hashView(before.asked.hash),
            status: statusOf(before.task),
            reason: reasonOf(before.task),
          },
    changes:
      before === undefined ? [] : changesBetween(JSON.parse(before.asked.hashed), JSON.parse(asked.hashed)),
    can_decide: permission(task, summary.decisions, operator),
  };
}

/** @throws ConclaveError `task_not_found`, `not_approval` */
export async function demandApproval(db: Knex, id: string): Promise<{ task: Task; asked: Asked }> {
  const task = await readTask(db, id);
  if (task === undefined) throw new ConclaveError('task_not_found', { taskId: id });
  const asked = await askedBy(db, task);
  if (asked === undefined) throw new ConclaveError('not_approval', { taskId: id });
  return { task, asked };
}

function permission(task: Task, decisions: readonly DecisionView[], operator: string): Permission {
  if (hasEnded(task)) return refused('it has ended');
  if (task.status !== 'executing') return refused('its turn has not come');
  if (decisions.some((decision) => decision.operator === operator))
    return refused('you have accepted it already; another operator is awaited');
  return ALLOWED;
}

async function summaryOf(services: OperatorServices, task: Task, asked: Asked): Promise<ApprovalSummary> {
  const above = await ancestors(services.db, task.id);
  const director = above.find(({ isReceived }) => isReceived);
  const peer = director?.peerId == null ? undefined : services.peers.byId(director.peerId);
  const dates = [task, ...above].flatMap(({ expirationDate }) =>
    expirationDate === null ? [] : [expirationDate],
  );
  const deadline = dates.sort((one, other) => one.getTime() - other.getTime())[0] ?? null;
  return {
    id: task.id,
    kind: asked.kind,
    election_id: asked.electionId,
    title: asked.kind === 'election' ? asked.request.title : asked.election.title,
    asked_by:
      peer === undefined
        ? { name: services.node.name, url: services.node.url }
        : { name: peer.name, url: peer.url ?? director!.senderUrl },
    requested_date: task.createdDate.toISOString(),
    deadline: dateText(deadline),
    hash: hashView(asked.hash),
    operators_required: services.approvalsRequired,
    decisions: await decisionsOn(services.db, task.id),
    status: statusOf(task),
  };
}

function statusOf(task: Task): ApprovalSummary['status'] {
  if (!hasEnded(task)) return 'waiting';
  const { status } = (task.output ?? {}) as { status?: unknown };
  if (task.status === 'error') return 'ended';
  return status === 'accepted' ? 'accepted' : 'denied';
}

function reasonOf(task: Task): string | null {
  const { reason } = (task.output ?? {}) as { reason?: unknown };
  return typeof reason === 'string' ? reason : (task.error?.message ?? null);
}

function tallyDetails(asked: Extract<Asked, { kind: 'tally' }>): ApprovalView['tally'] {
  const { request, votes } = asked;
  return {
    callback_url: request.callback_url,
    votes_url: request.votes_url,
    votes_hash: request.votes_hash,
    force: request.force,
    ballots: {
      accepted: votes.accepted,
      refused: votes.invalid,
      refused_by_reason: votes.invalid_by_reason,
      accepted_hash: votes.accepted_hash,
    },
  };
}

/** The last request of the same kind for the same election; most were shown to an operator, and decided. */
async function previousOf(
  db: Knex,
  task: Task,
  asked: Asked,
): Promise<{ task: Task; asked: Asked } | undefined> {
  const [before] = await select(
    db,
    `select ${SELECTION} from tasks where task_type = 'external' and label = ? and created_date < ?
       and input_data ->> 'election_id' = ? order by created_date desc limit 1`,
    [task.label, task.createdDate, asked.electionId],
  );
  const then = before === undefined ? undefined : await askedBy(db, before);
  return before === undefined || then === undefined ? undefined : { task: before, asked: then };
}
