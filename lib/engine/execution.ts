/**
 * One call of a function of a definition: the job of a claimed task, from its input to the event that reports its
 * end (D14). Knows nothing of claims and leases.
 */
import { ConclaveError } from '../errors.ts';
import type { ContextParts } from './context.ts';
import { createContext, type HandlerContext, type Requests, viewOf } from './context.ts';
import { type DefinedContainer, type DefinedTask, failureOf, type Registry } from './definitions.ts';
import type { Event } from './events.ts';
import type { Json, Task } from './model.ts';

export interface Executed {
  event: Event;
  requests: Requests;
}

export interface ExecutionParts extends Omit<ContextParts, 'files'> {
  registry: Registry;
  /** Fetches the bulk data that the task names; answers with paths by name (D17). */
  fetchAsyncData(task: Task, signal: AbortSignal): Promise<Map<string, string>>;
}

/** Runs the task's job. A throw of the handler becomes an event; a transaction of it is rolled back. */
export async function execute(parts: ExecutionParts): Promise<Executed> {
  const { task, registry } = parts;
  const files = new Map<string, string>();
  const { context, requests } = createContext({ ...parts, files });
  try {
    const event = await call(parts, files, context, requests);
    if (!isJson(requests.output) || !isJson(requests.parentOutput))
      throw new TypeError('the output of a task must be JSON');
    return { event, requests };
  } catch (thrown) {
    await requests.transaction?.rollback();
    requests.transaction = undefined;
    const { failure, final } = failureOf(thrown, nameOf(task, registry), parts.node.name);
    return { event: { type: 'handler_failed', failure, final, chance: Math.random() }, requests };
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
      const { nodes, parentOutput } = requests;
      const parents = parentOutput === undefined ? {} : { parentOutput };
      return { type: 'handler_done', nodes, ...outputOf(requests), ...parents };
    }
    case 'handle_error': {
      const error = task.error ?? { code: 'task_failed', message: 'unknown error' };
      const view = viewOf(task);
      if (task.metadata.handler === undefined)
        await taskDefinition(task, registry).hooks.handleError!(view, error, context);
      else await containerDefinition(task.metadata.handler, registry).handleError!(view, error, context);
      const { recovered, nodes } = requests;
      return { type: 'error_handled', recovered, nodes, ...outputOf(requests) };
    }
    case 'reserve': {
      const defined = taskDefinition(task, registry);
      const data = await defined.hooks.reserve?.(viewOf(task), context);
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
