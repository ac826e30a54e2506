/**
 * The engine's vocabulary.
 *
 * - **task**: a unit of work, a row of the table `tasks`. Its id is the same at both ends (FQ-P7).
 * - **task tree**: a task with its subtasks. The task without a parent on this node is the *root*.
 * - **action**, **queue**: what is to be done, and the line in which it waits; together they name a *handler*.
 * - **container**: a sequential, parallel or synchronized task without a handler of its own.
 * - **sent** task: one that a peer executes for us. **received** task: one that we execute for a peer; we see it
 *   as sequential, so that its handler can grow a subtree (FQ-T1). A **local** task is both ends in one row.
 * - **director** of a synchronized task: the node that holds the container; **performer**: one that executes a subtask.
 * - **reservation**: a performer's promise to start when told; it holds a *slot* of the queue, belongs to an
 *   *epoch* (a round of invitations) and expires.
 * - **job**: the next call that a task waits for from a worker (its handler, or another function of its definition).
 * - **worker**: a process that executes jobs; it holds a *lease* that it renews, and a *fencing token* per claim.
 */
import type { Failure } from '../errors.ts';
import type { Json } from '../json.ts';

/** FQ-T1…T5. */
export type TaskType = 'simple' | 'sequential' | 'parallel' | 'synchronized' | 'external';

/** FQ-T6. */
export type Status =
  | 'created'
  | 'sent'
  | 'syncing'
  | 'reserved'
  | 'confirmed'
  | 'executing'
  | 'finished'
  | 'error';

/** Which function of a task's definition a worker is to call. */
export type Job =
  | 'execute'
  | 'handle_error'
  | 'reserve'
  | 'cancel_reservation'
  | 'new_reservation'
  | 'cancelled_reservation'
  | 'pre_execute';

/** The action name of tasks without a handler (FQ-I6), and their queue. */
export const VIRTUAL_ACTION = 'frestq.virtual_empty_task';
export const INTERNAL_QUEUE = 'internal.frestq';

/** Bulk data that the receiver fetches before the handler runs (FQ-P11, D17). */
export interface AsyncDataReference {
  url: string;
  /** Lower-case hex SHA-256 of the bytes. */
  sha256: string;
  /** In bytes. */
  size: number;
}
export type AsyncData = Record<string, AsyncDataReference>;

/** How often reservations were lost: because they expired, because an older task needed the slot, otherwise. */
export interface Losses {
  expired: number;
  yielded: number;
  other: number;
}

/** What the engine itself remembers about a task, beside what its author gave. */
export interface TaskMetadata {
  /** Name of the handler of a synchronized container (FQ-A4), or of a container whose errors are handled. */
  handler?: string;
  /** Synchronized: the start was decided; from then on reservations do not matter any more. */
  started?: boolean;
  /** With a quorum: how long the others may take once it is reached, in seconds. */
  quorumWait?: number;
  /** Parallel: with its error its children end that run. */
  endsTogether?: boolean;
  /** Performer: the reservation was given up before the start came. */
  reservationLost?: boolean;
  /** How its reservations were lost, or on the director's container those of all its subtasks. */
  lost?: Losses;
  /** How often its bulk data could not be fetched for the moment. */
  unfetched?: number;
  /** Error handling runs or has run: an error from here on propagates (FQ-T8). */
  errorHandled?: boolean;
  /** It recovered from an error: the subtasks from this order on follow one another, earlier ones do not matter. */
  resumeFrom?: number;
  /** It is to end with this failure as soon as `cancelReservation` has freed what was reserved. */
  ending?: { failure: Failure; quiet: boolean };
  /** Child of a synchronized task: the epoch in which its container counted its reservation. */
  counted?: number;
  /** Child of a synchronized task, on the director's side: the handler of the container. */
  container?: string;
  /** The sender did not name the task: nobody waits for an update. */
  unnamed?: boolean;
  /** The raw message that it handles (FQ-A1). */
  message?: { id: string; taskId: string | null };
  /** Trace context of the request that caused this tree (D54). */
  trace?: string;
}

/** A row of `tasks` (FQ-T10). Dates are `Date`s; `order` counts from 0. */
export interface Task {
  id: string;
  rootId: string;
  parentId: string | null;
  order: number;
  label: string | null;
  type: TaskType;
  action: string;
  queue: string;
  status: Status;
  isReceived: boolean;
  isLocal: boolean;
  /** The other end: receiver of a sent task, sender of a received one; null for what stays here. */
  peerId: string | null;
  senderUrl: string;
  receiverUrl: string;
  createdDate: Date;
  modifiedDate: Date;
  pingbackDate: Date | null;
  expirationDate: Date | null;
  infoText: string | null;
  input: Json;
  output: Json;
  reservationData: Json;
  asyncData: AsyncData | null;
  metadata: TaskMetadata;
  error: Failure | null;
  progress: Json;
  /** How many children suffice (D16); null: all. */
  quorum: number | null;
  children: number;
  childrenFinished: number;
  childrenFailed: number;
  childrenReserved: number;
  /** The task's own handler has run to its end, or there is none. */
  handled: boolean;
  /** Synchronized: the round of reservations that counts. */
  epoch: number;
  /** Synchronized: the age of the director's tree; the smaller, the older, the stronger (wound–wait, D16). */
  priority: string | null;
  job: Job | null;
  jobQueue: string | null;
  runAt: Date;
  attempt: number;
  takeovers: number;
  workerId: string | null;
  /** The fencing token of the last claim (D13). */
  fence: number;
  /** The task holds a slot of its queue. */
  slot: boolean;
}

export type TimerKind = 'expiration' | 'pingback' | 'reservation' | 'quorum';

export interface Timer {
  taskId: string;
  kind: TimerKind;
  fireAt: Date;
  epoch: number;
}

export function hasEnded(task: Pick<Task, 'status'>): boolean {
  return task.status === 'finished' || task.status === 'error';
}

/** Whether the task is executed by a peer. */
export function isSent(task: Pick<Task, 'isReceived' | 'isLocal'>): boolean {
  return !task.isReceived && !task.isLocal;
}

/**
 * A message from a peer, parsed and authenticated (FQ-P2). `peerId` comes from the certificate of the connection,
 * never from the message.
 */
export interface IncomingMessage {
  peerId: string;
  messageId: string;
  senderUrl: string;
  queue: string;
  action: string;
  taskId: string | null;
  data: Json;
  infoText: string | null;
  pingbackDate: Date | null;
  expirationDate: Date | null;
  asyncData: AsyncData | null;
}

/** What became of an incoming message. A rejection's `failure.code` is one of `ERROR_CODES`. */
export type Receipt =
  | { outcome: 'accepted' }
  /** The same message of the same peer was processed before (D21). */
  | { outcome: 'duplicate' }
  /** Late, repeated or out of order: acknowledged, without effect. */
  | { outcome: 'ignored'; reason: string }
  | { outcome: 'rejected'; failure: Failure };

/** A message to a peer, written to the outbox in the transaction that causes it (D21). */
export interface OutgoingMessage {
  messageId: string;
  peerId: string;
  queue: string;
  action: string;
  taskId: string | null;
  data: Json;
  infoText: string | null;
  pingbackDate: Date | null;
  expirationDate: Date | null;
  asyncData: AsyncData | null;
  /** After this the message is dead; null: never. */
  deadline: Date | null;
}
