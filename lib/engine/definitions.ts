/**
 * What workflow authors write: typed definitions of tasks and containers, and the registry that holds them
 * (FQ-A1…A7). A definition is plain data and functions; the worker calls them, the core knows their facts only.
 */
import type { z } from 'zod';
import { ConclaveError, type Failure } from '../errors.ts';
import type { Json } from '../json.ts';
import type { HandlerContext, TaskView } from './context.ts';
import type { DefinitionFacts } from './events.ts';
import type { Task } from './model.ts';

/** When and how often a handler that threw is called again (D15). A `TaskError` is final whatever is set here. */
export interface RetryPolicy {
  /** How often the handler is called at most. Default 1. */
  attempts: number;
  /** Before the second attempt, in milliseconds. Default 1,000; doubled for each further attempt. */
  initialDelay?: number;
  /** Default 60,000. */
  maximalDelay?: number;
}

export interface TaskDefinition<Input = unknown> {
  queue: string;
  action: string;
  /** Checked before the handler runs; a task whose input does not fit fails with `invalid_input`. */
  input?: z.ZodType<Input>;
  /** Only this node itself may start the action (FQ-A3). */
  localOnly?: boolean;
  retry?: RetryPolicy;
  /** Handles raw messages (FQ-A1): what comes has no task at its sender, and is answered by nothing. */
  message?: true;
  /** Running it twice does no harm: an original that lost it is sent it again (FQ-P12, `pingback_date`). */
  idempotent?: boolean;
}

export interface TaskHooks<Input = unknown> {
  /**
   * The error of a subtask, or of the handler itself. It propagates unless `ctx.recover()` is called (FQ-T8).
   */
  handleError?(task: TaskView<Input>, error: Failure, ctx: HandlerContext): Promise<void> | void;
  /** Performer of a synchronized task: what is returned is the reservation's data (FQ-A6). A throw refuses. */
  reserve?(task: TaskView<Input>, ctx: HandlerContext): Promise<Json | undefined> | Json | undefined;
  /** The reservation is void: free what `reserve` took. */
  cancelReservation?(task: TaskView<Input>, ctx: HandlerContext): Promise<void> | void;
}

export type Handler<Input = unknown> = (
  task: TaskView<Input>,
  ctx: HandlerContext,
  // biome-ignore lint/suspicious/noConfusingVoidType: a handler without output is an ordinary function
) => Promise<Json | undefined | void> | Json | undefined | void;

/** Hooks of a container: its name is given as `handler` when the container is built (FQ-A4, FQ-A7). */
export interface ContainerDefinition {
  name: string;
  handleError?(task: TaskView, error: Failure, ctx: HandlerContext): Promise<void> | void;
  /** Director: a child has reserved. May edit inputs with `ctx.setInput`. */
  newReservation?(child: TaskView, ctx: HandlerContext): Promise<void> | void;
  cancelledReservation?(child: TaskView, ctx: HandlerContext): Promise<void> | void;
  /** Director: all have reserved; a throw refuses the start. May edit inputs with `ctx.setInput`. */
  preExecute?(task: TaskView, ctx: HandlerContext): Promise<void> | void;
}

export interface DefinedTask {
  readonly kind: 'task';
  readonly definition: TaskDefinition;
  readonly handler: Handler;
  readonly hooks: TaskHooks;
}

export interface DefinedContainer {
  readonly kind: 'container';
  readonly definition: ContainerDefinition;
}

/** Declares the handler of an action of a queue (FQ-A2). */
export function defineTask<Input = Json>(
  definition: TaskDefinition<Input>,
  handler: Handler<Input>,
  hooks: TaskHooks<Input> = {},
): DefinedTask {
  return {
    kind: 'task',
    definition: definition as TaskDefinition,
    handler: handler as Handler,
    hooks: hooks as TaskHooks,
  };
}

/** A message that is no task of its sender's. */
export interface MessageView<Data = unknown> {
  readonly messageId: string;
  /** What the message names, without a claim that there is such a task. */
  readonly taskId: string | null;
  /** The authenticated sender; null: this node. */
  readonly peerId: string | null;
  readonly senderUrl: string;
  readonly info: string | null;
  readonly data: Data;
}

/**
 * Declares the handler of raw messages (FQ-A1). It runs once per message, with all that handlers have; nothing is sent
 * back, neither output nor error.
 */
export function defineMessage<Data = Json>(
  definition: Omit<TaskDefinition<Data>, 'message' | 'idempotent'>,
  handler: (message: MessageView<Data>, ctx: HandlerContext) => Promise<void> | void,
): DefinedTask {
  return defineTask<Data>({ ...definition, message: true }, (task, ctx) => {
    const { peerId, senderUrl, info, input: data } = task;
    const { id: messageId, taskId } = task.message ?? { id: task.id, taskId: null };
    return handler({ messageId, taskId, peerId, senderUrl, info, data }, ctx);
  });
}

/** Declares the hooks of a container. */
export function defineContainer(definition: ContainerDefinition): DefinedContainer {
  return { kind: 'container', definition };
}

/**
 * An error that a handler throws to fail its task for good: never retried; `data` reaches the root, and the
 * sender if it is a Conclave node (FQ-T8).
 */
export class TaskError extends Error {
  readonly code: string;
  readonly data: unknown;

  constructor(message: string, data?: unknown, code = 'task_failed', options?: ErrorOptions) {
    super(message, options);
    this.name = 'TaskError';
    this.code = code;
    this.data = data;
  }
}

export interface QueueOptions {
  /** How many tasks of the queue run or are reserved at a time, over all processes (FQ-S6). */
  maxThreads: number;
  /** More waiting tasks than this, and new ones from peers are refused with 503. */
  maxWaiting?: number;
}

export const DEFAULT_QUEUE: QueueOptions = { maxThreads: 100 };

const MAX_TAKEOVERS = 5;

/** The actions that a node knows. */
export class Registry {
  readonly #tasks = new Map<string, Map<string, DefinedTask>>();
  readonly #containers = new Map<string, DefinedContainer>();
  readonly #facts = new Map<DefinedTask | DefinedContainer, DefinitionFacts>();

  constructor(definitions: Iterable<DefinedTask | DefinedContainer> = []) {
    for (const definition of definitions) this.add(definition);
  }

  /** @throws Error when the name is taken (FQ-A1) */
  add(defined: DefinedTask | DefinedContainer): void {
    if (defined.kind === 'container') {
      const { name } = defined.definition;
      if (this.#containers.has(name)) throw new Error(`a container handler ${name} is defined already`);
      this.#containers.set(name, defined);
    } else {
      const { queue, action } = defined.definition;
      const actions = this.#tasks.get(queue) ?? new Map<string, DefinedTask>();
      if (actions.has(action))
        throw new Error(`the action ${action} of the queue ${queue} is defined already`);
      this.#tasks.set(queue, actions.set(action, defined));
    }
    this.#facts.set(defined, factsOf(defined));
  }

  get queues(): string[] {
    return [...this.#tasks.keys()];
  }

  hasQueue(queue: string): boolean {
    return this.#tasks.has(queue);
  }

  task(queue: string, action: string): DefinedTask | undefined {
    return this.#tasks.get(queue)?.get(action);
  }

  container(name: string): DefinedContainer | undefined {
    return this.#containers.get(name);
  }

  /** What the core may know about a task's definition. */
  facts(task: Pick<Task, 'action' | 'queue' | 'metadata'>): DefinitionFacts | undefined {
    const { handler } = task.metadata;
    const defined = handler === undefined ? this.task(task.queue, task.action) : this.container(handler);
    return defined === undefined ? undefined : this.#facts.get(defined);
  }
}

function factsOf(defined: DefinedTask | DefinedContainer): DefinitionFacts {
  const retry = defined.kind === 'task' ? defined.definition.retry : undefined;
  const hooks = defined.kind === 'task' ? defined.hooks : {};
  const container = defined.kind === 'container' ? defined.definition : undefined;
  const { initialDelay = 1000, maximalDelay = 60_000 } = retry ?? {};
  return {
    attempts: retry?.attempts ?? 1,
    // Exponential back-off with full jitter over the upper half, so that it never collapses to zero.
    backoff: (attempt, chance) =>
      Math.min(maximalDelay, initialDelay * 2 ** (attempt - 2)) * (0.5 + chance / 2),
    handlesErrors: hooks.handleError !== undefined || container?.handleError !== undefined,
    reserves: hooks.reserve !== undefined,
    cancelsReservation: hooks.cancelReservation !== undefined,
    hearsNewReservation: container?.newReservation !== undefined,
    hearsCancelledReservation: container?.cancelledReservation !== undefined,
    preExecutes: container?.preExecute !== undefined,
    idempotent: defined.kind === 'task' && defined.definition.idempotent === true,
    maxTakeovers: MAX_TAKEOVERS,
  };
}

/** What a handler threw, as it is stored and sent, and whether another attempt could help. */
export function failureOf(
  thrown: unknown,
  action: string,
  node: string,
): { failure: Failure; final: boolean } {
  if (thrown instanceof TaskError) {
    const failure: Failure = { code: thrown.code, message: thrown.message, node };
    if (thrown.data !== undefined) failure.data = thrown.data;
    return { failure, final: true };
  }
  if (thrown instanceof ConclaveError) return { failure: thrown.toFailure(node), final: thrown.status < 500 };
  const reason = thrown instanceof Error ? thrown.message : String(thrown);
  return { failure: new ConclaveError('handler_error', { action, reason }).toFailure(node), final: false };
}
