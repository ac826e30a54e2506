/**
 * Why does it wait (D18): for one task, who or what is awaited, since when, what was tried, and what comes next. Pure:
 * everything comes from facts that were loaded before. Decides nothing, changes nothing.
 */
import type { Failure } from '../errors.ts';
import { hasEnded, isSent, type Losses, type Status, type Task, type TimerKind } from './model.ts';
import { deadLetter, sent, untold } from './why-peers.ts';
import { date, nameOf, peerName, progress, rounds, say, short, timer, times } from './why-text.ts';

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
  /** The task that is at the bottom of it: of one that waits for a subtask, or failed by one, the deepest of these. */
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
  /** The node at the other end; null: there is none, or it was removed. */
  peer: {
    name: string;
    url: string | null;
    dialect: 'unknown' | 'conclave' | 'frestq';
    downSince: Date | null;
    nextAttempt: Date | null;
    lastError: string | null;
  } | null;
  /** The task's undelivered messages, oldest first. */
  pending: readonly { attempts: number; nextAttempt: Date; created: Date; error: Failure | null }[];
  /** The last message of the task that will not be sent any more; `status`: the answer's, if there was one. */
  dead: { status: number | null; error: Failure | null; settled: Date } | null;
  /** The last message of the task that was delivered; with an error where that is in doubt. */
  told: { at: Date; error: Failure | null } | null;
  /** The last message about the task that came from the peer. */
  heard: { at: Date } | null;
  timers: readonly { kind: TimerKind; fireAt: Date }[];
  /** Who holds the task; `alive` false: the lease has lapsed. */
  worker: { name: string; leaseUntil: Date; alive: boolean } | null;
  /** Tasks that hold a slot of its queue, and since when they are in their status. */
  holders: readonly { id: string; action: string; status: Status; since: Date }[];
  /** How many slots the queue has; null: this process does not serve it. */
  slots: number | null;
  unfinishedChildren: number;
  /** The step before it in a sequence, if that has not ended. */
  previous: { id: string; action: string } | null;
  /** The peer that asked for the tree; null: this node itself. */
  director: string | null;
  /** How reservations were lost: its own, or on the director's side those of its container. */
  lost: Losses | null;
  /** Operators who have accepted, where one is not enough. */
  accepted: readonly { operator: string; at: Date }[];
}

/** What the process that answers knows beside. */
export interface WhyContext {
  node: { name: string };
  /** Whether a task is sent again to a peer that cannot be asked for its state. */
  repeats(task: Task): boolean;
}

/** @param facts of the task, of the subtask that it waits for or that made it fail, of that one's, and so on */
export function why(facts: readonly [WhyFacts, ...WhyFacts[]], context: WhyContext): Why {
  const [first, ...below] = facts;
  const [next, ...deeper] = below;
  const own = hasEnded(first.task) && next !== undefined ? undefined : ownReason(first, context);
  if (own !== undefined || next === undefined)
    return own ?? (first.unfinishedChildren > 0 ? ofSubtasks(first) : unforeseen(first));
  const cause = why([next, ...deeper], context);
  return { ...cause, sentence: `${subtasks(first, next)} ${cause.sentence}` };
}

function subtasks(facts: WhyFacts, { task: child }: WhyFacts): string {
  const { task, unfinishedChildren: open } = facts;
  const which = `${nameOf(child)} (${short(child.id)})`;
  if (task.status === 'error') return `ended with an error because of its subtask ${which}:`;
  const more = `${rounds(facts)}${enough(facts)}`;
  if (open === 1) return `waits for its subtask ${which}${more}:`;
  return `waits for ${open} of its ${task.children} subtasks${more}, the first of them ${which}:`;
}

/** Of a container alone, when nothing of what is below it was loaded. */
function ofSubtasks(facts: WhyFacts): Why {
  const { task, unfinishedChildren: open } = facts;
  return say(
    facts,
    'subtask',
    `waits for ${open} of its ${task.children} subtasks${rounds(facts)}${enough(facts)}`,
  );
}

/** The quorum is there: the others have some time yet (D16). */
function enough(facts: WhyFacts): string {
  const until = timer(facts, 'quorum');
  return until === null ? '' : ` (enough of them are there; the others have until ${date(until)})`;
}

/** What the task itself waits for; undefined: a subtask. */
function ownReason(facts: WhyFacts, context: WhyContext): Why | undefined {
  const { task, unfinishedChildren } = facts;
  if (hasEnded(task)) return ended(facts);
  if (task.job !== null) return job(facts);
  if (task.status === 'created') return turn(facts);
  if (isSent(task)) return sent(facts, context);
  if (task.type === 'external' && task.status === 'executing') return approval(facts, context);
  if (task.status === 'reserved') return reserved(facts);
  return unfinishedChildren > 0 ? undefined : unforeseen(facts);
}

function ended(facts: WhyFacts): Why {
  const { task } = facts;
  const at = date(task.modifiedDate);
  const how = task.status === 'finished' ? `has finished at ${at}` : `ended with an error at ${at}`;
  const dead = deadLetter(facts);
  // The letter's end is the reason, and says more than its code.
  const reason = task.error === null || (dead !== '' && isSent(task)) ? '' : `: ${task.error.message}`;
  const letter = dead === '' ? '' : `: ${dead}`;
  return say(facts, 'nothing', `${how}${reason}${letter}${untold(facts)}`, { next: null });
}

function job(facts: WhyFacts): Why {
  const { task, worker, now } = facts;
  if (task.workerId !== null) {
    if (worker?.alive !== true) return lapsed(facts);
    const doing = `${JOBS[task.job!]} runs in the worker ${worker.name}${progress(task)}`;
    const lease = `its lease holds until ${date(worker.leaseUntil)} unless it is renewed`;
    return say(facts, 'handler', `${doing}, since ${date(task.modifiedDate)}; ${lease}`);
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
  const next = 'another worker takes it over within seconds, if one runs';
  return say(facts, 'worker', `${lease}; ${next}`, { next: null, ...since });
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
    error?.code === 'async_data_failed'
      ? unfetched(facts, error)
      : attempt > 0
        ? failed
        : `${JOBS[task.job!]} was interrupted`;
  return say(facts, 'retry', `${because}; it is tried again at ${date(task.runAt)}`, {
    next: task.runAt,
    ...(error?.code === 'async_data_failed' && {
      tried: { attempts: task.metadata.unfetched ?? attempt, lastError: error.message },
    }),
  });
}

/** Which data, of whom, and how often in vain. */
function unfetched({ task: { asyncData, metadata }, peer }: WhyFacts, error: Failure): string {
  const { name, reason } = (error.data ?? {}) as { name?: unknown; reason?: unknown };
  const reference = asyncData?.[String(name)];
  if (reference === undefined) return error.message;
  const { origin, host } = new URL(reference.url);
  const whose = peer?.url != null && new URL(peer.url).origin === origin ? peer.name : host;
  const what = `the bulk data ${String(name)} (${reference.size} bytes)`;
  return `${what} could not be fetched from ${whose}, tried ${times(metadata.unfetched ?? 1)} (${String(reason)})`;
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
  const shown = holders
    .slice(0, 3)
    .map(({ id, action, status, since: from }) => `${action} (${short(id)}, ${status} since ${date(from)})`);
  const more = holders.length > shown.length ? ` and ${holders.length - shown.length} more` : '';
  const held = `${slots === 1 ? 'its only slot is' : `all ${slots} slots are`} held by ${shown.join(', ')}${more}`;
  const sentence = `waits for a slot of the queue ${task.queue}, since ${date(since)}: ${held}`;
  return say(facts, 'slot', sentence, { since });
}

function approval(facts: WhyFacts, { node }: WhyContext): Why {
  const { task, director, accepted } = facts;
  const asked = director === null ? '' : `, asked by ${director}`;
  const names = accepted.map(({ operator, at }) => `${operator} accepted at ${date(at)}`);
  const others = names.length === 0 ? '' : `; ${names.join(', ')}, and another operator is awaited`;
  const whose = `waits for a decision of the operators of ${node.name}`;
  const sentence = `${whose}: ${task.label ?? 'without a label'}${asked}, since ${date(task.modifiedDate)}${others}`;
  return say(facts, 'approval', sentence);
}

function reserved(facts: WhyFacts): Why {
  const { task } = facts;
  const until = timer(facts, 'reservation');
  const who = task.isReceived ? peerName(facts) : 'the others';
  const sentence = `has reserved${until === null ? '' : ` until ${date(until)}`}, and waits for ${who} to start${rounds(facts)}`;
  return say(facts, 'start', sentence, { next: until });
}

function turn(facts: WhyFacts): Why {
  const { task, previous } = facts;
  if (task.epoch > 0)
    return say(facts, 'reservation', `lost its reservation, and is invited again${rounds(facts)}`);
  const after =
    previous === null ? 'the task above it' : `${previous.action} (${short(previous.id)}) before it`;
  return say(facts, 'turn', `its turn has not come: ${after} has not got that far`);
}

function unforeseen(facts: WhyFacts): Why {
  return say(facts, 'nothing', `is ${facts.task.status}, and nothing is known that it waits for`);
}
