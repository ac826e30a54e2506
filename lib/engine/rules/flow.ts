/**
 * The rules of ordinary flow: starting, the handler's end, children's ends, updates from a receiver, cancellation
 * (FQ-T1…T3, FQ-T5, FQ-T8, FQ-I1, FQ-I5).
 */
import type { Failure } from '../../errors.ts';
import { applied, type Context, type Effect, type EventOf, ignored, type Outcome } from '../events.ts';
import { isSent, type Task } from '../model.ts';
import { rows } from '../tree.ts';
import { cancelChildren, end, fail, idle, notStarted, stop, stopFreeing, UNFINISHED } from './endings.ts';
import { internalMessage, isContainer, startTimers, taskMessage, updateMessage } from './messages.ts';
import { nextJob } from './reservations.ts';
import { afterChildEnded, beginInvitations, startWithQuorum, uncount } from './synchronized.ts';

export function start(task: Task, _event: EventOf<'start'>, context: Context): Outcome {
  if (task.expirationDate !== null && task.expirationDate <= context.now)
    return expire(task, { type: 'expire' }, context);
  const timers = startTimers(task);
  if (isSent(task)) return applied({ status: 'sent' }, [taskMessage(task, context), ...timers]);
  if (task.type === 'external')
    return applied({ status: 'executing' }, [...timers, ...tellOfDecision(task, true)]);
  if (isContainer(task)) return beginChildren(task, context, timers);
  return applied({ type: 'sequential', job: 'execute', jobQueue: task.queue, runAt: context.now }, timers);
}

/**
 * What an operator has to decide below a task of a peer is its progress, so that the peer knows for what it waits (D18): its
 * operators would look for a fault otherwise.
 */
function tellOfDecision({ parentId, label, action }: Task, awaited: boolean): Effect[] {
  if (parentId === null) return [];
  const state = { step: label ?? action, ...(awaited ? { awaits: 'decision' } : { done: 1, total: 1 }) };
  return [{ effect: 'event', taskId: parentId, event: { type: 'progress', state } }];
}

function beginChildren(task: Task, context: Context, timers: Effect[]): Outcome {
  if (task.children === 0) return end(task, null, context);
  if (task.type === 'synchronized') return beginInvitations(task, timers);
  const first: Effect =
    task.type === 'sequential'
      ? { effect: 'child', parentId: task.id, order: 0, event: { type: 'start' } }
      : { effect: 'children', parentId: task.id, statuses: ['created'], event: { type: 'start' } };
  return applied({ status: 'executing' }, [...timers, first]);
}

/** FQ-T7: subtasks added from outside while the task runs. */
export function add(task: Task, event: EventOf<'add'>, context: Context): Outcome {
  if (task.type === 'synchronized' || task.type === 'external' || isSent(task))
    return {
      outcome: 'refused',
      failure: {
        code: 'invalid_tree',
        message: `subtasks cannot be added to a ${task.type} task of this kind`,
      },
    };
  const tasks = rows(event.nodes, { rootId: task.rootId, parentId: task.id, order: task.children }, context);
  const effects: Effect[] = [{ effect: 'insert', tasks }];
  if (task.type === 'parallel' && task.status === 'executing' && task.metadata.resumeFrom === undefined)
    for (const child of tasks)
      if (child.parentId === task.id)
        effects.push({ effect: 'event', taskId: child.id, event: { type: 'start' } });
  return applied({ children: task.children + event.nodes.length }, effects);
}

export function handlerDone(task: Task, event: EventOf<'handler_done'>, context: Context): Outcome {
  const grown = grow(task, event, context, 0);
  if (grown.outcome !== 'applied' || task.parentId === null) return grown;
  // First of all: the parent may end with this child.
  return applied(grown.changes, [...forParent(task.parentId, event), ...grown.effects]);
}

function forParent(taskId: string, event: EventOf<'handler_done'>): Effect[] {
  const { parentOutput, parentNodes = [] } = event;
  const effects: Effect[] = [];
  if (parentOutput !== undefined)
    effects.push({ effect: 'event', taskId, event: { type: 'set_output', output: parentOutput } });
  if (parentNodes.length > 0)
    effects.push({ effect: 'event', taskId, event: { type: 'add', nodes: parentNodes } });
  return effects;
}

/** Subtasks of a handler are inserted; the child with the order `from` starts, or the task ends. */
function grow(
  task: Task,
  result: Pick<EventOf<'handler_done'>, 'output' | 'nodes'>,
  context: Context,
  from: number,
): Outcome {
  const tasks = rows(result.nodes, { rootId: task.rootId, parentId: task.id, order: task.children }, context);
  const changes: Partial<Task> = {
    ...idle,
    handled: true,
    attempt: 0,
    error: null,
    output: result.output === undefined ? task.output : result.output,
    children: task.children + result.nodes.length,
  };
  if (changes.children! <= from) return end(task, null, context, changes);
  const effects: Effect[] = [];
  if (tasks.length > 0) effects.push({ effect: 'insert', tasks });
  effects.push({ effect: 'child', parentId: task.id, order: from, event: { type: 'start' } });
  if (task.isReceived && task.metadata.unnamed !== true)
    effects.push(updateMessage({ ...task, ...changes }, context));
  return applied({ ...changes, takeovers: 0 }, effects);
}

/** For about eight hours, at the longest pause of a minute: then nobody works on the peer, or on the disk. */
const MOST_UNFETCHED = 500;

/**
 * A handler, or another function of a definition, threw: again later, or an error (D15). Bulk data that cannot be fetched
 * for the moment is no attempt of the handler's (D17).
 */
export function handlerFailed(task: Task, event: EventOf<'handler_failed'>, context: Context): Outcome {
  const facts = context.facts(task);
  const attempt = task.attempt + 1;
  const { ending } = task.metadata;
  if (ending !== undefined) return end(task, ending.failure, context, {}, ending.quiet);
  if (task.job === 'cancel_reservation' || task.job === 'cancelled_reservation')
    return applied({ ...nextJob(task, context), attempt: 0, error: event.failure });
  const unfetched = (task.metadata.unfetched ?? 0) + 1;
  if (
    event.unfetched === true &&
    task.job === 'execute' &&
    facts !== undefined &&
    unfetched < MOST_UNFETCHED
  ) {
    const runAt = new Date(context.now.getTime() + facts.backoff(unfetched + 1, event.chance));
    const metadata = { ...task.metadata, unfetched };
    return applied({
      workerId: null,
      slot: keepsSlot(task),
      metadata,
      runAt,
      takeovers: 0,
      error: event.failure,
    });
  }
  if (!event.final && task.job !== 'handle_error' && attempt < (facts?.attempts ?? 1)) {
    const runAt = new Date(context.now.getTime() + facts!.backoff(attempt + 1, event.chance));
    return applied({
      workerId: null,
      slot: keepsSlot(task),
      attempt,
      runAt,
      takeovers: 0,
      error: event.failure,
    });
  }
  if (task.job === 'handle_error') return end(task, event.failure, context);
  if (task.job === 'new_reservation') return stop(task, event.failure, context);
  return fail(task, event.failure, context, idle);
}

export function errorHandled(task: Task, event: EventOf<'error_handled'>, context: Context): Outcome {
  const original: Failure = task.error ?? { code: 'task_failed', message: 'unknown error' };
  const output = event.output === undefined ? task.output : event.output;
  if (!event.recovered) return end(task, event.failure ?? original, context, { output });
  const metadata = { ...task.metadata, resumeFrom: task.children };
  const grown = grow(task, event, context, task.children);
  if (grown.outcome !== 'applied') return grown;
  const changes = { ...grown.changes, metadata };
  if (task.children === 0) return applied(changes, grown.effects);
  // Quiet: the end of one of these is no error of what goes on.
  const abandoned = cancelChildren(task, ['created'], notStarted(original, context), true);
  return applied(changes, [abandoned, ...grown.effects]);
}

export function childEnded(task: Task, event: EventOf<'child_ended'>, context: Context): Outcome {
  const { resumeFrom } = task.metadata;
  if (resumeFrom !== undefined && event.order < resumeFrom)
    return ignored('the task recovered, and goes on without this child');
  if (task.type === 'sequential' || resumeFrom !== undefined) return nextInSequence(task, event, context);
  const changes: Partial<Task> = {
    ...uncount(task, event),
    ...(event.failure === null
      ? { childrenFinished: task.childrenFinished + 1 }
      : { childrenFailed: task.childrenFailed + 1 }),
  };
  const counted: Task = { ...task, ...changes };
  if (task.job === 'handle_error' || task.metadata.errorHandled === true) return applied(changes);
  const needed = task.quorum ?? task.children;
  if (event.failure !== null && counted.childrenFailed > task.children - needed)
    return fail(task, subtasksFailed(counted, event, context), context, changes);
  if (counted.childrenFinished >= needed) return enough(counted, changes, context);
  if (task.type === 'synchronized') return afterChildEnded(counted, changes, context);
  return applied(changes);
}

/** The quorum (or every child) has finished; with a quorum the others may have some time yet (D16). */
function enough(task: Task, changes: Partial<Task>, context: Context): Outcome {
  const open = task.children - task.childrenFinished - task.childrenFailed;
  const { quorumWait = 0 } = task.metadata;
  if (open === 0 || quorumWait === 0) return endWithQuorum(task, changes, context);
  if (task.childrenFinished !== task.quorum) return applied(changes);
  const fireAt = new Date(context.now.getTime() + quorumWait * 1000);
  return applied(changes, [{ effect: 'timer', taskId: task.id, kind: 'quorum', fireAt, epoch: task.epoch }]);
}

/** Those that have not ended are not needed any more. */
export function endWithQuorum(task: Task, changes: Partial<Task>, context: Context): Outcome {
  const ended = end(task, null, context, changes);
  if (ended.outcome !== 'applied' || task.quorum === null) return ended;
  const failure: Failure = {
    code: 'cancelled',
    message: 'cancelled: enough others had finished before',
    node: context.node.name,
  };
  return applied(ended.changes, [cancelChildren(task, UNFINISHED, failure, true), ...ended.effects]);
}

export function quorumWaited(task: Task, event: EventOf<'quorum_waited'>, context: Context): Outcome {
  const needed = task.quorum ?? task.children;
  if (task.childrenFinished >= needed) return endWithQuorum(task, {}, context);
  return task.type === 'synchronized'
    ? startWithQuorum(task, event, context)
    : ignored('the quorum is not there yet');
}

function nextInSequence(task: Task, event: EventOf<'child_ended'>, context: Context): Outcome {
  if (task.job !== null) return ignored('the error of an earlier child is being handled');
  if (event.failure !== null)
    return fail(task, event.failure, context, { childrenFailed: task.childrenFailed + 1 });
  const changes = { childrenFinished: task.childrenFinished + 1 };
  const order = event.order + 1;
  if (order >= task.children) return end(task, null, context, changes);
  return applied(changes, [{ effect: 'child', parentId: task.id, order, event: { type: 'start' } }]);
}

/** FQ-T8 `SubTasksFailed`, with the first reason, so that it is known at the root. */
function subtasksFailed(task: Task, event: EventOf<'child_ended'>, context: Context): Failure {
  const cause = event.failure!;
  const failed = task.childrenFailed;
  return {
    code: 'subtasks_failed',
    message: `${failed} of ${task.children} subtasks failed: ${cause.message}`,
    data: { task: event.childId, cause },
    node: context.node.name,
  };
}

/** FQ-I1. Nothing overwrites an ended task; that is in the table, which has no row for it. */
export function update(task: Task, event: EventOf<'update'>, context: Context): Outcome {
  if (!isSent(task)) return ignored('this task is executed here');
  if (event.status === 'error') {
    const failure: Failure = event.failure ?? {
      code: 'peer_error',
      message: `the node at ${task.receiverUrl} reported an error without a reason`,
      ...(event.output === null ? {} : { data: { output_data: event.output } }),
    };
    return end(task, failure, context, { output: event.output });
  }
  if (task.status === 'syncing' || task.status === 'reserved')
    return ignored(`a ${task.status} task cannot be ${event.status} yet`);
  if (event.status === 'finished') return end(task, null, context, { output: event.output });
  if (event.status !== 'executing') return ignored(`the status ${event.status} says nothing here`);
  return applied({
    status: 'executing',
    ...(event.progress === undefined ? {} : { progress: event.progress }),
  });
}

export function finishExternal(task: Task, event: EventOf<'finish_external'>, context: Context): Outcome {
  if (task.type !== 'external')
    return {
      outcome: 'refused',
      failure: { code: 'not_external', message: `task ${task.id} is not external` },
    };
  const ended = end(task, null, context, { output: event.data });
  if (ended.outcome !== 'applied') return ended;
  // First of all: the parent may end with it.
  return applied(ended.changes, [...tellOfDecision(task, false), ...ended.effects]);
}

export function cancel(task: Task, event: EventOf<'cancel'>, context: Context): Outcome {
  return stopFreeing(task, event.failure, context, event.quiet === true);
}

export function expire(task: Task, _event: EventOf<'expire'>, context: Context): Outcome {
  const date = (task.expirationDate ?? context.now).toISOString();
  const failure = { code: 'expired', message: `the task expired at ${date}`, node: context.node.name };
  return stopFreeing(task, failure, context, false);
}

/** D17: ask the receiver for the state; an original, which cannot answer, gets the task again if that is harmless. */
export function pingback(task: Task, _event: EventOf<'pingback'>, context: Context): Outcome {
  if (!isSent(task) || task.pingbackDate === null) return ignored('nobody to ask');
  const pause = Math.max(1000, task.pingbackDate.getTime() - task.createdDate.getTime());
  const fireAt = new Date(context.now.getTime() + pause);
  const effects: Effect[] = [{ effect: 'timer', taskId: task.id, kind: 'pingback', fireAt, epoch: 0 }];
  if (context.dialect(task.peerId!) !== 'frestq')
    effects.push(internalMessage(task, 'conclave.query_task', {}, context));
  else if (
    context.facts(task)?.idempotent === true &&
    (task.status === 'sent' || task.status === 'executing')
  )
    effects.push(taskMessage(task, context));
  return applied({}, effects);
}

export function query(task: Task, _event: EventOf<'query'>, context: Context): Outcome {
  return task.isReceived ? applied({}, [updateMessage(task, context)]) : ignored('the task is not of a peer');
}

/** The sender sees how far its task is, if it can tell: an original takes every update for a step of the flow. */
export function progress(task: Task, event: EventOf<'progress'>, context: Context): Outcome {
  const told =
    task.isReceived &&
    task.status === 'executing' &&
    task.metadata.unnamed !== true &&
    context.dialect(task.peerId!) === 'conclave';
  const next = { ...task, progress: event.state };
  return applied({ progress: event.state }, told ? [updateMessage(next, context)] : []);
}

export function setOutput(_task: Task, event: EventOf<'set_output'>): Outcome {
  return applied({ output: event.output });
}

export function setInput(_task: Task, event: EventOf<'set_input'>): Outcome {
  return applied({ input: event.input });
}

export function undeliverable(task: Task, event: EventOf<'undeliverable'>, context: Context): Outcome {
  return isSent(task) ? end(task, event.failure, context) : ignored('the peer never learnt the result');
}

/**
 * Whether the slot stays held while the job waits to be done again. The start of a synchronized task does not wait for
 * one (D16): were its slot given to another meanwhile, the queue would exceed its limit.
 */
function keepsSlot(task: Task): boolean {
  return task.slot && task.job !== 'reserve' && (task.job !== 'execute' || task.epoch > 0);
}

/** What follows an interruption (a database that is away) must not come faster than the cause can pass. */
const INTERRUPTION_PAUSE = 250;

/**
 * D13: a worker died; another takes the job over, unless this job kills every worker: what counts are deaths in a row,
 * without a call that came to its end.
 */
export function workerLost(task: Task, event: EventOf<'worker_lost'>, context: Context): Outcome {
  if (task.workerId !== event.workerId || task.fence !== event.fence)
    return ignored('the task is in other hands');
  const takeovers = task.takeovers + (event.graceful ? 0 : 1);
  if (takeovers > (context.facts(task)?.maxTakeovers ?? 5)) {
    const why = event.reason === undefined ? 'died' : `were interrupted (${event.reason})`;
    const message = `the workers that executed this task ${why} ${takeovers} times`;
    const failure: Failure = { code: 'worker_lost', message, node: context.node.name };
    return end(task, failure, context);
  }
  const pause = event.reason === undefined ? 0 : INTERRUPTION_PAUSE * 2 ** takeovers;
  const runAt = new Date(context.now.getTime() + pause);
  return applied({ workerId: null, slot: keepsSlot(task), takeovers, runAt });
}
