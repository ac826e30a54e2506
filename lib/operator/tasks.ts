/**
 * Tasks for operators: lists and trees by the page, one task with the *why* of its waiting, times for a waterfall; and what
 * an operator may do to one: try again, cancel, finish. Approvals are not finished here (see `decisions.ts`).
 */
import type { Knex } from 'knex';
import { hasEnded, type Status, type Task } from '../engine/model.ts';
import { simple } from '../engine/tree.ts';
import { ConclaveError } from '../errors.ts';
import type { Json } from '../json.ts';
import {
  actionsAndQueues,
  childrenPage,
  type ListedTask,
  listedAncestors,
  type TaskFilter,
  taskPage,
  timedTree,
} from '../store/task-pages.ts';
import { readTask } from '../store/tasks.ts';
import { askedBy } from './approvals.ts';
import type { OperatorServices } from './services.ts';
import { ALLOWED, dateText, refused, taskSummary, whyView } from './shown.ts';
import type { Page, Permission, TaskSummary, TaskView, TimingView } from './views.ts';

export interface TaskQuery extends TaskFilter {
  readonly after?: string | undefined;
  readonly limit?: number | undefined;
  /** With the sentence of each task that waits; then at most 100 a page. */
  readonly why?: boolean | undefined;
}

const DEFAULT_LIMIT = 50;
const MAX_LIMIT = 500;
const MAX_WITH_WHY = 100;
const MAX_TIMED = 2000;

/** Newest first. */
export async function tasks(services: OperatorServices, query: TaskQuery): Promise<Page<TaskSummary>> {
  const limit = limitOf(query);
  const found = await taskPage(services.db, query, { after: query.after, limit: limit + 1 });
  return await page(services, found, limit, query.why === true, ({ id }) => id);
}

/** The children of a task, by order. */
export async function taskChildren(
  services: OperatorServices,
  id: string,
  query: TaskQuery,
): Promise<Page<TaskSummary>> {
  const limit = limitOf(query);
  const after = query.after === undefined ? undefined : Number(query.after);
  if (after !== undefined && !Number.isSafeInteger(after))
    throw new ConclaveError('invalid_request', { problems: ['after: is no cursor of this list'] });
  const found = await childrenPage(services.db, id, query, { after, limit: limit + 1 });
  return await page(services, found, limit, query.why === true, ({ order }) => String(order));
}

function limitOf({ limit = DEFAULT_LIMIT, why }: TaskQuery): number {
  return Math.max(1, Math.min(limit, why === true ? MAX_WITH_WHY : MAX_LIMIT));
}

async function page(
  services: OperatorServices,
  found: readonly ListedTask[],
  limit: number,
  withWhy: boolean,
  cursor: (task: ListedTask) => string,
): Promise<Page<TaskSummary>> {
  const shown = found.slice(0, limit);
  const items: TaskSummary[] = [];
  for (const task of shown) {
    const why = withWhy && !hasEnded(task) ? (await services.engine.why(task.id)).sentence : null;
    items.push(taskSummary(task, nameOf(services), why));
  }
  return { items, next: found.length > limit ? cursor(shown.at(-1)!) : null };
}

export function nameOf({ peers }: OperatorServices): (id: string) => string | undefined {
  return (id) => peers.byId(id)?.name;
}

export function taskFilters(services: OperatorServices): Promise<{ actions: string[]; queues: string[] }> {
  return actionsAndQueues(services.db);
}

/** @throws ConclaveError `task_not_found` */
export async function task(services: OperatorServices, id: string): Promise<TaskView> {
  const found = await demandTask(services.db, id);
  const [why, above] = await Promise.all([services.engine.why(id), listedAncestors(services.db, id)]);
  const isApproval = (await askedBy(services.db, found)) !== undefined;
  return {
    ...taskSummary(found, nameOf(services), why.sentence),
    sender_url: found.senderUrl,
    receiver_url: found.receiverUrl,
    info_text: found.infoText,
    input: found.input,
    output: found.output,
    reservation_data: found.reservationData,
    expiration_date: dateText(found.expirationDate),
    attempt: found.attempt,
    quorum: found.quorum,
    why_waiting: whyView(why),
    ancestors: above.map(({ id: above_id, action, label, type }) => ({ id: above_id, action, label, type })),
    actions: {
      retry: mayRetry(found),
      cancel: hasEnded(found) ? refused('it has ended') : ALLOWED,
      finish: mayFinish(found, isApproval),
      decide: isApproval && !hasEnded(found) ? ALLOWED : refused('it is no approval that waits'),
    },
  };
}

export async function timings(
  services: OperatorServices,
  id: string,
): Promise<{ items: TimingView[]; complete: boolean }> {
  const found = await timedTree(services.db, id, MAX_TIMED + 1);
  if (found.length === 0) throw new ConclaveError('task_not_found', { taskId: id });
  const items = found.slice(0, MAX_TIMED).map((timed): TimingView => {
    const isSent = !timed.isReceived && !timed.isLocal && timed.peerId !== null;
    return {
      id: timed.id,
      parent_id: timed.parentId,
      depth: timed.depth,
      action: timed.action,
      label: timed.label,
      status: timed.status,
      node: isSent ? (nameOf(services)(timed.peerId!) ?? timed.peerId!) : services.node.name,
      created_date: timed.createdDate.toISOString(),
      delivered_date: dateText(timed.deliveredDate),
      ended_date: hasEnded(timed) ? timed.modifiedDate.toISOString() : null,
    };
  });
  return { items, complete: found.length <= MAX_TIMED };
}

/** Requests are made again through their own door, which checks them; other trees of this node are started again. */
function mayRetry(found: Task): Permission {
  if (isDelayed(found)) return ALLOWED;
  if (found.status !== 'error')
    return refused(hasEnded(found) ? 'it has finished' : 'it is not waiting for another attempt');
  if (found.parentId !== null)
    return refused('the task above it has drawn its conclusions: try the whole tree again');
  if (found.isReceived) return refused('a peer has asked for it: only that peer can ask again');
  if (found.type === 'simple' || found.type === 'sequential')
    if (found.action !== 'frestq.virtual_empty_task') return ALLOWED;
  return refused('it is a container that a program has made');
}

function isDelayed(found: Task): boolean {
  return found.job !== null && found.workerId === null && found.runAt.getTime() > Date.now();
}

function mayFinish(found: Task, isApproval: boolean): Permission {
  if (found.type !== 'external') return refused('it is not external');
  if (isApproval) return refused('it is an approval: decide on it');
  return found.status === ('executing' satisfies Status) ? ALLOWED : refused(`it is ${found.status}`);
}

/**
 * Does a delayed attempt at once, or starts a failed tree of this node again, as a tree of its own.
 * @returns the id of the task that is tried
 * @throws ConclaveError `not_allowed`, and what the workflow has against the request
 */
export async function retryTask(services: OperatorServices, id: string, operator: string): Promise<string> {
  const found = await demandTask(services.db, id);
  const permission = mayRetry(found);
  if (!permission.allowed) throw new ConclaveError('not_allowed', { reason: permission.reason });
  if (isDelayed(found)) return await hasten(services, found, operator);
  const tried = await startAgain(services, found);
  await services.record(services.db, { kind: 'retry', by: operator, task: id, as: tried });
  return tried;
}

async function hasten(services: OperatorServices, { id, jobQueue }: Task, operator: string): Promise<string> {
  await services.db.transaction(async (transaction) => {
    await transaction.raw(
      `update tasks set run_at = now() where id = ? and job is not null and worker_id is null and run_at > now()`,
      [id],
    );
    await services.record(transaction, { kind: 'retry', by: operator, task: id, as: id });
  });
  await services.engine.store.notify({
    queues: jobQueue === null ? [] : [jobQueue],
    peers: [],
    ended: [],
    aborts: [],
    timer: null,
  });
  await services.engine.poll();
  return id;
}

async function startAgain(services: OperatorServices, found: Task): Promise<string> {
  const { request } = (found.input ?? {}) as { request?: Json };
  if (found.action === 'create_election') return await services.requestElection(request);
  if (found.action === 'tally_election') return await services.requestTally(request);
  const label = found.label === null ? {} : { label: found.label };
  return await services.engine.create(
    simple({ queue: found.queue, action: found.action, data: found.input, ...label }),
  );
}

/** Ends a task and everything below it, here and at peers. */
export async function cancelTask(
  services: OperatorServices,
  id: string,
  { reason, operator }: { readonly reason: string; readonly operator: string },
): Promise<void> {
  await services.engine.together(async (changes) => {
    await changes.cancel(id, reason);
    await services.record(changes.handle as Knex, { kind: 'cancel', by: operator, task: id, reason });
  });
}

/** Ends an external task that is no approval. @throws ConclaveError `is_approval`, `not_external`, `task_ended` */
export async function finishTask(
  services: OperatorServices,
  id: string,
  { data, operator }: { readonly data: Json; readonly operator: string },
): Promise<void> {
  const found = await demandTask(services.db, id);
  if ((await askedBy(services.db, found)) !== undefined)
    throw new ConclaveError('is_approval', { taskId: id });
  await services.engine.together(async (changes) => {
    await changes.finishExternal(id, data);
    await services.record(changes.handle as Knex, { kind: 'finish', by: operator, task: id });
  });
}

async function demandTask(db: Knex, id: string): Promise<Task> {
  const found = await readTask(db, id);
  if (found === undefined) throw new ConclaveError('task_not_found', { taskId: id });
  return found;
}
