/**
 * One call of a function of a definition: the job of a claimed task, from its input to the event that reports its
 * end (D14). Knows nothing of claims and leases.
 */
import { ConclaveError, reasonOf } from '../errors.ts';
import type { Json } from '../json.ts';
import type { Chance } from './chance.ts';
import type { ContextParts, TaskView } from './context.ts';
import { createContext, database, type HandlerContext, type Requests, viewOf } from './context.ts';
import { type DefinedContainer, type DefinedTask, failureOf, type Registry } from './definitions.ts';
import type { Event } from './events.ts';
import type { Task } from './model.ts';
import type { EngineStore, OpenTransaction } from './store.ts';

export interface Executed {
  event: Event;
  /** The transaction in which the event is to be reported; undefined: the handler had none. */
  transaction: OpenTransaction<unknown> | undefined;
  /** The handler came to its end, well or not; otherwise something passing interrupted it. */
  interruption?: string;
}

export interface ExecutionParts extends Omit<ContextParts, 'files'> {
  registry: Registry;
  chance: Chance;
  /** Fetches the bulk data that the task names; answers with paths by name (D17). */
  fetchAsyncData(task: Task, signal: AbortSignal): Promise<Map<string, string>>;
}

/** Runs the task's job. A throw of the handler becomes an event; a transaction of it is rolled back. Never rejects. */
export async function execute(parts: ExecutionParts): Promise<Executed> {
  const { task, registry } = parts;
  const files = new Map<string, string>();
  const { context, requests, seal } = createContext({ ...parts, files });
  try {
    const event = await call(parts, files, context, requests);
    await seal();
    if (!isJson(requests.output) || !isJson(requests.parentOutput))
      throw new TypeError('the output of a task must be JSON');
    await checkEdited(requests.inputs, parts);
    await checkParent(requests.parentNodes, parts);
    return { event, transaction: requests.transaction };
  } catch (thrown) {
    // What was thrown first counts.
    await seal().catch(() => {});
    const interrupted = await wasInterrupted(thrown, requests, parts.store);
    await requests.transaction?.rollback();
    const { failure, final } = failureOf(thrown, nameOf(task, registry), parts.node.name);
    const chance = parts.chance.random();
    const unfetched = isUnfetched(thrown) && { unfetched: true };
    const event = { type: 'handler_failed', failure, final, chance, ...unfetched } as const;
    return {
      event,
      transaction: undefined,
      ...(interrupted ? { interruption: reasonOf(causeOf(thrown)) } : {}),
    };
  }
}

/** A peer that is away, a disk that is full: the task waits for its bulk data as it would have waited for its message. */
function isUnfetched(thrown: unknown): boolean {
  return (
    thrown instanceof ConclaveError && thrown.code === 'async_data_failed' && thrown.data.passing === true
  );
}

/** The database took the work away, or asks for it once more: that is no failure of the handler. */
async function wasInterrupted(thrown: unknown, requests: Requests, store: EngineStore): Promise<boolean> {
  if (thrown instanceof ConclaveError && thrown.code === 'database_unavailable') return true;
  // A refused connection may be somebody else's: it is ours if the transaction is lost too.
  const { transaction } = requests;
  return transaction !== undefined && store.isPassing(thrown) && !(await transaction.isAlive());
}

function causeOf(thrown: unknown): unknown {
  return thrown instanceof ConclaveError ? (thrown.cause ?? thrown) : thrown;
}

/** Inputs are edited of the container's own children only (FQ-A7): other trees are not locked. */
async function checkEdited(inputs: Requests['inputs'], { task, store }: ExecutionParts): Promise<void> {
  const edited = Object.entries(inputs);
  if (edited.length === 0) return;
  const container = task.job === 'pre_execute' ? task.id : (task.parentId ?? task.id);
  const children = new Set((await database(store, () => store.childrenOf(container))).map(({ id }) => id));
  for (const [id, input] of edited) {
    if (!children.has(id)) throw new TypeError(`setInput: ${id} is not a child of this synchronized task`);
    if (!isJson(input)) throw new TypeError('the input of a task must be JSON');
  }
}

async function call(
  parts: ExecutionParts,
  files: Map<string, string>,
  context: HandlerContext,
  requests: Requests,
): Promise<Event> {
  const { task, registry } = parts;
  switch (task.job) {
    case 'execute': {
      const defined = taskDefinition(task, registry);
      const input = parseInput(task, defined);
      if (task.asyncData !== null)
        for (const [name, path] of await parts.fetchAsyncData(task, parts.signal)) files.set(name, path);
      const returned = await defined.handler({ ...viewOf(task), input }, context);
      if (returned !== undefined) requests.output = returned as Json;
      const { nodes, parentNodes, parentOutput } = requests;
      const parents = parentOutput === undefined ? {} : { parentOutput };
      return { type: 'handler_done', nodes, parentNodes, ...outputOf(requests), ...parents };
    }
    case 'handle_error': {
      const error = task.error ?? { code: 'task_failed', message: 'unknown error' };
      const view = viewForErrors(task, registry);
      if (task.metadata.handler === undefined)
        await taskDefinition(task, registry).hooks.handleError!(view, error, context);
      else await containerDefinition(task.metadata.handler, registry).handleError!(view, error, context);
      const { recovered, nodes } = requests;
      return { type: 'error_handled', recovered, nodes, ...outputOf(requests) };
    }
    case 'reserve': {
      const defined = taskDefinition(task, registry);
      const view = { ...viewOf(task), input: parseInput(task, defined) };
      const data = await defined.hooks.reserve?.(view, context);
      if (!isJson(data)) throw new TypeError('reservation data must be JSON');
      return { type: 'reserve_done', data: data ?? null };
    }
    case 'cancel_reservation':
      await taskDefinition(task, registry).hooks.cancelReservation?.(viewOf(task), context);
      return { type: 'notice_done', inputs: {} };
    case 'new_reservation':
      await containerOf(task, registry).newReservation?.(viewOf(task), context);
      return { type: 'notice_done', inputs: requests.inputs };
    case 'cancelled_reservation':
      await containerOf(task, registry).cancelledReservation?.(viewOf(task), context);
      return { type: 'notice_done', inputs: requests.inputs };
    case 'pre_execute':
      await containerDefinition(task.metadata.handler!, registry).preExecute?.(viewOf(task), context);
      return { type: 'pre_execute_done', inputs: requests.inputs };
    case null:
      throw new Error(`task ${task.id} was claimed without a job`);
  }
}

function outputOf({ output }: Requests): { output?: Json } {
  return output === undefined ? {} : { output };
}

function taskDefinition(task: Task, registry: Registry): DefinedTask {
  const defined = registry.task(task.queue, task.action);
  if (defined === undefined)
    throw new ConclaveError('unknown_action', { action: task.action, queue: task.queue });
  return defined;
}

function containerDefinition(name: string, registry: Registry): DefinedContainer['definition'] {
  const defined = registry.container(name);
  if (defined === undefined)
    throw new ConclaveError('unknown_action', { action: name, queue: 'internal.frestq' });
  return defined.definition;
}

/** Of a child of a synchronized task: the definition of the container above it. */
function containerOf(task: Task, registry: Registry): DefinedContainer['definition'] {
  return containerDefinition(task.metadata.container ?? '', registry);
}

function parseInput(task: Task, { definition }: DefinedTask): unknown {
  if (definition.input === undefined) return task.input;
  const parsed = definition.input.safeParse(task.input);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'input'}: ${message}`);
  throw new ConclaveError('invalid_input', { action: definition.action, problems });
}

/** Steps for a parent that takes none must not get lost without a word. */
async function checkParent(nodes: Requests['parentNodes'], { task, store }: ExecutionParts): Promise<void> {
  if (nodes.length === 0) return;
  const parent = await database(store, () => store.task(task.parentId!));
  if (parent?.type === 'synchronized')
    throw new ConclaveError('invalid_tree', { reason: 'a synchronized task takes no further subtasks' });
}

/** The input may be what is wrong: then the error handler sees it as it came. */
function viewForErrors(task: Task, registry: Registry): TaskView {
  const defined = task.metadata.handler === undefined ? registry.task(task.queue, task.action) : undefined;
  const parsed = defined?.definition.input?.safeParse(task.input);
  return parsed?.success === true ? { ...viewOf(task), input: parsed.data } : viewOf(task);
}

function nameOf(task: Task, registry: Registry): string {
  const { handler, container } = task.metadata;
  if (task.job === 'new_reservation' || task.job === 'cancelled_reservation') return container ?? task.action;
  return handler !== undefined && registry.container(handler) !== undefined ? handler : task.action;
}

function isJson(value: unknown): boolean {
  if (value === undefined) return true;
  try {
    return JSON.stringify(value) !== undefined;
  } catch {
    return false;
  }
}
