/**
 * What a peer's message means for a task (FQ-P*, FQ-I*), and whether the peer may say it (D22).
 *
 * A message that names an existing task is believed only from the peer of that task; a new task never takes the id
 * of an existing one (1A.7, task hijack).
 */
import { z } from 'zod';
import { ConclaveError, type ErrorCode, type ErrorData, type Failure } from '../errors.ts';
import type { Json } from '../json.ts';
import type { Registry } from './definitions.ts';
import type { Context, Event } from './events.ts';
import { hasEnded, INTERNAL_QUEUE, type IncomingMessage, isSent, type Receipt, type Task } from './model.ts';
import { blankTask } from './tree.ts';
import type { UnitOfWork } from './unit-of-work.ts';

/** What a message asks for, once it is understood. */
type Meaning =
  | { kind: 'new_task' }
  | {
      kind: 'invitation';
      taskId: string;
      epoch: number;
      priority: string;
      queue: string;
      action: string;
      data: Json;
      pingbackDate: Date | null;
      expirationDate: Date | null;
    }
  /** About a task that we sent to the peer. */
  | { kind: 'to_sender'; taskId: string; event: Event }
  /** About a task that the peer sent to us. */
  | { kind: 'to_receiver'; taskId: string; event: Event };

/** A long reason is worth more than none. */
const failureMessage = z.string().transform((text) => text.slice(0, 4096));
const failureSchema = z.object({
  code: z.string().max(128),
  message: failureMessage,
  data: z.unknown().optional(),
  node: z.string().max(1024).optional(),
});
const epochSchema = z
  .number()
  .int()
  .nonnegative()
  .max(2 ** 31 - 1);
const json = z.custom<Json>((value) => value !== undefined);
/** As peers write dates inside data (FQ-P8): without a zone they are UTC. Other texts say nothing. */
const dateText = z
  .string()
  .max(1024)
  .nullable()
  .transform((text) => {
    if (text === null || !/^\d{4}-\d\d-\d\dT[\d:.]+(Z|[+-]\d\d:?\d\d)?$/.test(text)) return null;
    const date = new Date(/(Z|[+-]\d\d:?\d\d)$/.test(text) ? text : `${text}Z`);
    return Number.isNaN(date.getTime()) ? null : date;
  });

const updateData = z.object({
  status: z.string().max(1024),
  output_data: json.optional(),
  error: failureSchema.optional().catch(undefined),
  progress: json.optional(),
});
const invitationData = z.object({
  action: z.string().min(1).max(1024),
  queue_name: z.string().min(1).max(1024),
  input_data: json,
  pingback_date: dateText,
  expiration_date: dateText,
  epoch: epochSchema.optional(),
  priority: z
    .string()
    .regex(/^[\x20-\x7e]{1,256}$/)
    .nullish(),
});
const queueData = invitationData.pick({ queue_name: true });
const confirmationData = z.object({
  reservation_data: json.optional(),
  reservation_expiration_seconds: z.number().nonnegative().max(86_400),
  epoch: epochSchema.optional(),
});
const orderData = z.object({ input_data: json, epoch: epochSchema.optional() });
const cancellationData = z.object({ reason: failureMessage.default('the sender cancelled it') });
const epochData = z.object({ epoch: epochSchema, reason: failureMessage.default('no reason given') });

/** Applies a message to the unit of work; the receipt says what the peer is answered. */
export function receive(
  message: IncomingMessage,
  unit: UnitOfWork,
  registry: Registry,
  context: Context,
  room: Map<string, number>,
): Receipt {
  const meaning = understand(message, context);
  if ('failure' in meaning) return { outcome: 'rejected', failure: meaning.failure };
  switch (meaning.kind) {
    case 'new_task':
      return receiveTask(message, unit, registry, context, room);
    case 'invitation':
      return receiveInvitation(message, meaning, unit, registry, context, room);
    case 'to_sender':
      return pass(meaning.taskId, meaning.event, message, unit, isSent);
    case 'to_receiver':
      // Nothing to cancel is what the peer wants: its task may have been withdrawn before it came.
      if (meaning.event.type === 'cancel' && unit.task(meaning.taskId) === undefined)
        return { outcome: 'ignored', reason: 'the task never came' };
      return pass(meaning.taskId, meaning.event, message, unit, (task) => task.isReceived);
  }
}

/** The tasks that must be locked before the message is applied. */
export function tasksNamed(message: IncomingMessage): string[] {
  return message.taskId === null ? [] : [message.taskId];
}

/** The queue that a message wants to enter, if any. */
export function queueOf({ queue, action, data }: IncomingMessage): string[] {
  if (queue !== INTERNAL_QUEUE) return [queue];
  if (action !== 'frestq.synchronize_task') return [];
  const named = queueData.safeParse(data);
  return named.success ? [named.data.queue_name] : [];
}

function understand(message: IncomingMessage, context: Context): Meaning | { failure: Failure } {
  const { action, queue, taskId, data } = message;
  if (queue !== INTERNAL_QUEUE) return { kind: 'new_task' };
  if (!KNOWN_ACTIONS.has(action)) return rejection('unknown_action', { action, queue });
  if (action === 'frestq.finish_external_task') return rejection('local_only', { action });
  if (taskId === null) return rejection('invalid_field', { field: 'task_id' });
  try {
    return INTERNAL[action]!(taskId, data, context);
  } catch (thrown) {
    if (!(thrown instanceof z.ZodError)) throw thrown;
    const field = ['data', ...(thrown.issues[0]?.path ?? [])].join('.');
    return rejection('invalid_field', { field });
  }
}

const INTERNAL: Record<string, (taskId: string, data: Json, context: Context) => Meaning> = {
  'frestq.update_task': (taskId, data) => {
    const { status, output_data: output = null, error, progress } = updateData.parse(data);
    const failure = (error as Failure | undefined) ?? null;
    return { kind: 'to_sender', taskId, event: { type: 'update', status, output, failure, progress } };
  },
  'frestq.synchronize_task': (taskId, data, context) => {
    const parsed = invitationData.parse(data);
    const { action, queue_name: queue, epoch = 1 } = parsed;
    const priority = parsed.priority ?? `${context.now.toISOString()} ${taskId}`;
    const { input_data: given, pingback_date: pingbackDate, expiration_date: expirationDate } = parsed;
    const dates = { pingbackDate, expirationDate };
    return { kind: 'invitation', taskId, epoch, priority, queue, action, data: given, ...dates };
  },
  'frestq.confirm_task_reservation': (taskId, data) => {
    const parsed = confirmationData.parse(data);
    const { reservation_data: given = null, reservation_expiration_seconds: seconds, epoch = null } = parsed;
    return { kind: 'to_sender', taskId, event: { type: 'confirm', epoch, data: given, seconds } };
  },
  'frestq.execute_synchronized': (taskId, data) => {
    const { input_data: input, epoch = null } = orderData.parse(data);
    return { kind: 'to_receiver', taskId, event: { type: 'execute', epoch, input } };
  },
  'conclave.cancel_task': (taskId, data) => {
    const { reason } = cancellationData.parse(data ?? {});
    const failure: Failure = { code: 'cancelled', message: `cancelled: ${reason}` };
    return { kind: 'to_receiver', taskId, event: { type: 'cancel', failure } };
  },
  'conclave.cancel_reservation': (taskId, data) => {
    const { epoch, reason } = epochData.parse(data);
    return { kind: 'to_receiver', taskId, event: { type: 'release', epoch, reason } };
  },
  'conclave.reservation_cancelled': (taskId, data) => {
    const { epoch, reason } = epochData.parse(data);
    return { kind: 'to_sender', taskId, event: { type: 'released', epoch, reason } };
  },
  'conclave.query_task': (taskId) => ({ kind: 'to_receiver', taskId, event: { type: 'query' } }),
};

const KNOWN_ACTIONS = new Set([...Object.keys(INTERNAL), 'frestq.finish_external_task']);

function receiveTask(
  message: IncomingMessage,
  unit: UnitOfWork,
  registry: Registry,
  context: Context,
  room: Map<string, number>,
): Receipt {
  const { queue, action, messageId } = message;
  const isRaw = registry.task(queue, action)?.definition.message === true;
  // A raw message may name any task: it is none itself.
  const taskId = isRaw ? null : message.taskId;
  const known = taskId === null ? undefined : unit.task(taskId);
  if (known !== undefined) return receiveAgain(known, message, unit);
  const refusal = admission(queue, action, registry);
  if (refusal !== undefined) return rejected(refusal, { action, queue });
  if (!enters(queue, room)) return rejected('queue_full', { queue });
  const task: Task = {
    ...receivedTask(message, taskId ?? context.newId(), context),
    metadata: {
      ...(taskId === null ? { unnamed: true } : {}),
      ...(isRaw ? { message: { id: messageId, taskId: message.taskId } } : {}),
    },
  };
  unit.insert([task]);
  unit.apply(task.id, { type: 'start' });
  return { outcome: 'accepted' };
}

/** The original sends a task again when it was restored or answers late: the sender is told the state instead. */
function receiveAgain(known: Task, message: IncomingMessage, unit: UnitOfWork): Receipt {
  if (known.peerId !== message.peerId || !known.isReceived)
    return rejected('task_exists', { taskId: known.id });
  if (known.action !== message.action || known.queue !== message.queue)
    return rejected('task_exists', { taskId: known.id });
  unit.apply(known.id, { type: 'query' });
  return { outcome: 'ignored', reason: 'the task is here already' };
}

function receiveInvitation(
  message: IncomingMessage,
  meaning: Extract<Meaning, { kind: 'invitation' }>,
  unit: UnitOfWork,
  registry: Registry,
  context: Context,
  room: Map<string, number>,
): Receipt {
  const { taskId, epoch, priority, queue, action, data, pingbackDate, expirationDate } = meaning;
  const event = { type: 'invite', epoch, priority, container: null } as const;
  const known = unit.task(taskId);
  if (known !== undefined) {
    const receipt = pass(taskId, event, message, unit, (task) => task.isReceived);
    // The director missed how it ended.
    if (receipt.outcome === 'ignored' && hasEnded(known)) unit.apply(taskId, { type: 'query' });
    return receipt;
  }
  const refusal = admission(queue, action, registry);
  if (refusal !== undefined) return rejected(refusal, { action, queue });
  if (!enters(queue, room)) return rejected('queue_full', { queue });
  const received = receivedTask(message, taskId, context);
  const task: Task = { ...received, queue, action, input: data, pingbackDate, expirationDate };
  unit.insert([task]);
  unit.apply(taskId, event);
  return { outcome: 'accepted' };
}

/** Takes one of the places that a queue has left. */
function enters(queue: string, room: Map<string, number>): boolean {
  const places = room.get(queue) ?? Number.POSITIVE_INFINITY;
  if (places > 0) room.set(queue, places - 1);
  return places > 0;
}

function admission(queue: string, action: string, registry: Registry): ErrorCode | undefined {
  if (!registry.hasQueue(queue)) return 'unknown_queue';
  const defined = registry.task(queue, action);
  if (defined === undefined) return 'unknown_action';
  return defined.definition.localOnly === true ? 'local_only' : undefined;
}

function receivedTask(message: IncomingMessage, id: string, context: Context): Task {
  return {
    ...blankTask(id, context.now),
    isReceived: true,
    isLocal: false,
    peerId: message.peerId,
    action: message.action,
    queue: message.queue,
    senderUrl: message.senderUrl,
    receiverUrl: context.node.url,
    input: message.data,
    infoText: message.infoText,
    pingbackDate: message.pingbackDate,
    expirationDate: message.expirationDate,
    asyncData: message.asyncData,
  };
}

function pass(
  taskId: string,
  event: Event,
  message: IncomingMessage,
  unit: UnitOfWork,
  mayBe: (task: Task) => boolean,
): Receipt {
  const task = unit.task(taskId);
  if (task === undefined) return rejected('task_not_found', { taskId });
  if (task.peerId !== message.peerId || !mayBe(task)) return rejected('wrong_peer', { taskId });
  const outcome = unit.apply(taskId, event);
  if (outcome.outcome === 'refused') return { outcome: 'rejected', failure: outcome.failure };
  if (outcome.outcome === 'ignored') return { outcome: 'ignored', reason: outcome.reason };
  return { outcome: 'accepted' };
}

function rejection(code: ErrorCode, data: ErrorData): { failure: Failure } {
  return { failure: new ConclaveError(code, data).toFailure() };
}

function rejected(code: ErrorCode, data: ErrorData): Receipt {
  return { outcome: 'rejected', ...rejection(code, data) };
}
