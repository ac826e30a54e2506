/**
 * Why does it wait (D18): for one task, who or what is awaited, since when, what was tried, and what comes next. Pure:
 * everything comes from facts that were loaded before. Decides nothing, changes nothing.
 */
import type { Failure } from '../errors.ts';
import { hasEnded, isSent, type Task, type TimerKind } from './model.ts';

export type Awaited =
  | 'nothing'
  | 'peer'
  | 'delivery'
  | 'approval'
  | 'slot'
  | 'worker'
  | 'handler'
  | 'retry'
  | 'reservation'
  | 'start'
  | 'turn'
  | 'subtask';

export interface Why {
  /** The task that is at the bottom of it: of a container that waits for a subtask, the deepest of these. */
  taskId: string;
  waitingFor: Awaited;
  since: Date;
  tried: { attempts: number; lastError: string | null };
  /** When something will happen by itself; null: when it does. */
  next: Date | null;
  sentence: string;
}

/** What is known of one task; times are of one moment. */
export interface WhyFacts {
  now: Date;
  task: Task;
  /** The node at the other end. */
  peer: {
    name: string;
    downSince: Date | null;
    nextAttempt: Date | null;
    lastError: string | null;
  } | null;
  /** The task's undelivered messages, oldest first. */
  pending: readonly { attempts: number; nextAttempt: Date; created: Date; error: Failure | null }[];
  timers: readonly { kind: TimerKind; fireAt: Date }[];
  /** Who holds the task; `alive` false: the lease has lapsed. */
  worker: { name: string; leaseUntil: Date; alive: boolean } | null;
  /** Tasks that hold a slot of its queue. */
  holders: readonly { id: string; action: string }[];
  /** How many slots the queue has; null: this process does not serve it. */
  slots: number | null;
  unfinishedChildren: number;
  /** The step before it in a sequence, if that has not ended. */
  previous: { id: string; action: string } | null;
}

/** @param facts of the task, of the subtask that it waits for, of that one's, and so on */
export function why(facts: readonly [WhyFacts, ...WhyFacts[]]): Why {
  const [first, ...below] = facts;
  const own = ownReason(first);
  const [next, ...deeper] = below;
  if (own !== undefined || next === undefined) return own ?? unforeseen(first);
  const cause = why([next, ...deeper]);
  return { ...cause, sentence: `${subtasks(first, next)} ${cause.sentence}` };
}

function subtasks({ task, unfinishedChildren: open }: WhyFacts, { task: child }: WhyFacts): string {
  const which = `${nameOf(child)} (${short(child.id)})`;
  const epochs = task.epoch > 1 ? ` in round ${task.epoch} of reservations` : '';
  if (open === 1) return `waits for its subtask ${which}${epochs}:`;
  return `waits for ${open} of its ${task.children} subtasks${epochs}, the first of them ${which}:`;
}

/** What the task itself waits for; undefined: a subtask. */
function ownReason(facts: WhyFacts): Why | undefined {
  const { task, unfinishedChildren } = facts;
  if (hasEnded(task)) return ended(facts);
  if (task.job !== null) return job(facts);
  if (isSent(task)) return sent(facts);
  if (task.type === 'external' && task.status === 'executing') return approval(facts);
  if (task.status === 'reserved') return reserved(facts);
  if (task.status === 'created') return turn(facts);
  return unfinishedChildren > 0 ? undefined : unforeseen(facts);
}

function ended(facts: WhyFacts): Why {
  const { task } = facts;
  const at = date(task.modifiedDate);
  const how = task.status === 'finished' ? `has finished at ${at}` : `ended with an error at ${at}`;
  const reason = task.error === null ? '' : `: ${task.error.message}`;
  return say(facts, 'nothing', `${how}${reason}`, { next: null });
}

function job(facts: WhyFacts): Why {
  const { task, worker, now } = facts;
  if (task.workerId !== null) {
    if (worker?.alive !== true) return lapsed(facts);
    const doing = `${JOBS[task.job!]} runs in the worker ${worker.name}${progress(task)}`;
    return say(facts, 'handler', `${doing}, since ${date(task.modifiedDate)}`);
  }
  if (task.runAt > now) return later(facts);
  return inLine(facts);
}

/** The row of a worker whose lease lapsed is removed by whoever takes its tasks over. */
function lapsed(facts: WhyFacts): Why {
  const { worker } = facts;
  const lease =
    worker === null
      ? 'the lease of its worker lapsed'
      : `the lease of its worker ${worker.name} was not renewed, and lapsed at ${date(worker.leaseUntil)}`;
  const since = worker === null ? {} : { since: worker.leaseUntil };
  return say(facts, 'worker', `${lease}; another takes it over within seconds`, { next: null, ...since });
}

const JOBS = {
  execute: 'its handler',
  handle_error: 'its error handler',
  reserve: 'its reservation',
  cancel_reservation: 'what frees its reservation',
  new_reservation: 'the hook for its new reservation',
  cancelled_reservation: 'the hook for its lost reservation',
  pre_execute: 'what decides about the start',
} as const;

function later(facts: WhyFacts): Why {
  const { task } = facts;
  const { attempt, error } = task;
  const failed = `attempt ${attempt} failed (${error?.message ?? 'no reason given'})`;
  const because =
    error?.code === 'async_data_failed' ? error.message : attempt > 0 ? failed : 'it was interrupted';
  const sentence = `${because}; it is tried again at ${date(task.runAt)}`;
  return say(facts, 'retry', sentence, { next: task.runAt });
}

function inLine(facts: WhyFacts): Why {
  const { task, holders, slots } = facts;
  const since = task.runAt;
  if (slots === null) {
    const sentence = `no process that serves the queue ${task.jobQueue} is known here; it waits since ${date(since)}`;
    return say(facts, 'worker', sentence, { since });
  }
  const takes = (task.job === 'execute' && task.epoch === 0) || task.job === 'reserve';
  if (!takes || task.slot || holders.length < slots) {
    const sentence = `waits for a worker of the queue ${task.jobQueue}, since ${date(since)}`;
    return say(facts, 'worker', sentence, { since });
  }
  const shown = holders.slice(0, 3).map(({ id, action }) => `${action} (${short(id)})`);
  const more = holders.length > shown.length ? ` and ${holders.length - shown.length} more` : '';
  const held = `${slots === 1 ? 'its only slot is' : `all ${slots} slots are`} held by ${shown.join(', ')}${more}`;
  const sentence = `waits for a slot of the queue ${task.queue}, since ${date(since)}: ${held}`;
  return say(facts, 'slot', sentence, { since });
}

function sent(facts: WhyFacts): Why {
  const { task, pending } = facts;
  const [message] = pending;
  if (task.status === 'created') return turn(facts);
  if (message !== undefined) return delivery(facts, message);
  const peer = peerName(facts);
  const since = date(task.modifiedDate);
  switch (task.status) {
    case 'syncing':
      return say(facts, 'reservation', `waits for a reservation of ${peer}, since ${since}${rounds(task)}`);
    case 'reserved': {
      const until = timer(facts, 'reservation');
      const sentence = `${peer} has reserved${until === null ? '' : ` until ${date(until)}`}; the others have not all${rounds(task)}`;
      return say(facts, 'start', sentence, { next: until });
    }
    case 'confirmed':
      return say(facts, 'peer', `${peer} was told to start, and has not reported yet, since ${since}`);
    case 'sent':
      return say(facts, 'peer', `${peer} has it and has not reported yet, since ${since}`);
    default:
      return say(facts, 'peer', `${peer} executes it${progress(task)}, last heard of at ${since}`);
  }
}

function delivery(facts: WhyFacts, message: WhyFacts['pending'][number]): Why {
  const { peer } = facts;
  const name = peerName(facts);
  const tried = { attempts: message.attempts, lastError: message.error?.message ?? peer?.lastError ?? null };
  const reason = tried.lastError === null ? '' : ` (${tried.lastError})`;
  if (peer !== null && peer.downSince !== null) {
    const next = peer.nextAttempt;
    const again = next === null ? '' : `; the next attempt is at ${date(next)}`;
    const sentence = `${name} does not answer since ${date(peer.downSince)}${reason}${again}`;
    return say(facts, 'peer', sentence, { since: peer.downSince, tried, next });
  }
  const since = message.created;
  if (message.attempts === 0)
    return say(facts, 'delivery', `its message to ${name} is about to be sent, since ${date(since)}`, {
      since,
    });
  const next = message.nextAttempt;
  const sentence = `its message to ${name} was tried ${times(message.attempts)}${reason}; again at ${date(next)}`;
  return say(facts, 'delivery', sentence, { since, tried, next });
}

function approval(facts: WhyFacts): Why {
  const { task } = facts;
  const sentence = `waits for a decision here: ${task.label ?? 'without a label'}, since ${date(task.modifiedDate)}`;
  return say(facts, 'approval', sentence);
}

function reserved(facts: WhyFacts): Why {
  const { task } = facts;
  const until = timer(facts, 'reservation');
  const who = task.isReceived ? peerName(facts) : 'the others';
  const sentence = `has reserved${until === null ? '' : ` until ${date(until)}`}, and waits for ${who} to start${rounds(task)}`;
  return say(facts, 'start', sentence, { next: until });
}

function turn(facts: WhyFacts): Why {
  const { task, previous } = facts;
  if (task.epoch > 0)
    return say(facts, 'reservation', `lost its reservation, and is invited again${rounds(task)}`);
  const after =
    previous === null ? 'the task above it' : `${previous.action} (${short(previous.id)}) before it`;
  return say(facts, 'turn', `its turn has not come: ${after} has not got that far`);
}

function unforeseen(facts: WhyFacts): Why {
  return say(facts, 'nothing', `is ${facts.task.status}, and nothing is known that it waits for`);
}

function say(facts: WhyFacts, waitingFor: Awaited, said: string, more: Partial<Why> = {}): Why {
  const { task } = facts;
  const limit = hasEnded(task) ? null : timer(facts, 'expiration');
  const sentence = limit === null ? said : `${said}; it expires at ${date(limit)}`;
  const next = earliest(timer(facts, 'pingback'), limit);
  const tried = { attempts: task.attempt, lastError: task.error?.message ?? null };
  return { taskId: task.id, waitingFor, since: task.modifiedDate, tried, next, sentence, ...more };
}

function timer({ timers }: WhyFacts, kind: TimerKind): Date | null {
  return timers.find((one) => one.kind === kind)?.fireAt ?? null;
}

function earliest(one: Date | null, other: Date | null): Date | null {
  if (one === null || other === null) return one ?? other;
  return one < other ? one : other;
}

/** Reservations are lost by expiring, or by giving way to an older task; each time all are invited again. */
function rounds({ epoch }: Task): string {
  return epoch > 1 ? ` (round ${epoch}: reservations were lost ${times(epoch - 1)})` : '';
}

function progress({ progress: state }: Task): string {
  if (state === null || typeof state !== 'object' || Array.isArray(state)) return '';
  const { done, total } = state;
  return typeof done === 'number' && typeof total === 'number' ? ` (${done} of ${total})` : '';
}

function peerName({ peer, task }: WhyFacts): string {
  return peer?.name ?? task.peerId ?? 'nobody';
}

function nameOf({ label, action, type }: Task): string {
  return label ?? (action === 'frestq.virtual_empty_task' ? `${type} task` : action);
}

function times(count: number): string {
  return count === 1 ? 'once' : `${count} times`;
}

function short(id: string): string {
  return id.slice(0, 8);
}

function date(value: Date): string {
  return value.toISOString();
}
