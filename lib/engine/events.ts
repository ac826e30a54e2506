/**
 * What can happen to a task, and what a transition answers: the interface of the functional core (D11).
 *
 * Nothing here does I/O. A transition sees one task and one event; everything else that must happen (other
 * tasks' events, messages, timers) it returns as effects, which the unit of work applies in the same transaction.
 */
import type { Failure } from '../errors.ts';
import type { Json } from '../json.ts';
import type { OutgoingMessage, Status, Task, TimerKind } from './model.ts';
import type { ResolvedNode } from './tree.ts';

export type Event =
  /** The parent's turn has come to it, or it is a new root. */
  | { type: 'start' }
  /** Subtasks are added to a running task (FQ-T7). */
  | { type: 'add'; nodes: ResolvedNode[] }
  /** The handler returned. `output` undefined: leave what is there. */
  | {
      type: 'handler_done';
      output?: Json;
      nodes: ResolvedNode[];
      parentOutput?: Json;
      /** Appended to the parent, after the last of its children. */
      parentNodes?: ResolvedNode[];
    }
  /**
   * The handler threw. `chance` in [0, 1) is the jitter of the retry. `unfetched`: it was not called, because the bulk data
   * that came with the task could not be fetched for the moment.
   */
  | { type: 'handler_failed'; failure: Failure; final: boolean; chance: number; unfetched?: boolean }
  /** The error handler returned; not `recovered`: the error propagates (FQ-T8). */
  | { type: 'error_handled'; recovered: boolean; output?: Json; nodes: ResolvedNode[]; failure?: Failure }
  /** `reservedIn`: the epoch in which the container had counted its reservation, if it held one to its end. */
  | {
      type: 'child_ended';
      childId: string;
      order: number;
      failure: Failure | null;
      reservedIn: number | null;
    }
  /** The receiver of a sent task reports (FQ-I1). */
  | { type: 'update'; status: string; output: Json; failure: Failure | null; progress: Json | undefined }
  | { type: 'finish_external'; data: Json }
  /** `quiet`: the parent itself says so, and has drawn its conclusions. */
  | { type: 'cancel'; failure: Failure; quiet?: true }
  | { type: 'expire' }
  | { type: 'pingback' }
  /** The peer asks for the state of a task that it sent us. */
  | { type: 'query' }
  /** Its handler says how far it is. */
  | { type: 'progress'; state: Json }
  | { type: 'set_output'; output: Json }
  | { type: 'set_input'; input: Json }
  /** The message of a sent task could not be delivered, or was refused. */
  | { type: 'undeliverable'; failure: Failure }
  /**
   * The claim with that fencing token came to nothing: the worker died, or `graceful`, gave the job back because its
   * process stops. `reason`: what interrupted a worker that lives.
   */
  | { type: 'worker_lost'; workerId: string; fence: number; graceful: boolean; reason?: string }
  // Synchronized tasks (FQ-T4, D16)
  /** The director invites; on a performer: an invitation came. */
  | { type: 'invite'; epoch: number; priority: string; container: string | null }
  /** The performer's `reserve` returned. */
  | { type: 'reserve_done'; data: Json }
  /** A performer confirmed its reservation to the director; `epoch` null: it is an original, which has none. */
  | { type: 'confirm'; epoch: number | null; data: Json; seconds: number }
  /** To the container: a child's reservation is complete. */
  | { type: 'child_reserved'; childId: string; epoch: number }
  /** To the container: a child's reservation is gone. */
  | { type: 'child_released'; childId: string; epoch: number; reason: string }
  | { type: 'reservation_expired'; epoch: number }
  /** The performer is to give its reservation up: an older tree needs the slot, or the director says so. */
  | { type: 'release'; epoch: number | null; reason: string }
  /** The performer told the director that it gave its reservation up. */
  | { type: 'released'; epoch: number; reason: string }
  | { type: 'quorum_waited'; epoch: number }
  /** A job that only informs (new, cancelled, given-up reservation) has run; it may edit inputs of children (FQ-A7). */
  | { type: 'notice_done'; inputs: Record<string, Json> }
  | { type: 'pre_execute_done'; inputs: Record<string, Json> }
  /** Start: on the director's side decided, on the performer's side ordered. */
  | { type: 'execute'; epoch: number | null; input: Json | undefined };

export type EventType = Event['type'];
export type EventOf<K extends EventType> = Extract<Event, { type: K }>;

export type Effect =
  /** An event for one other task of the tree. */
  | { effect: 'event'; taskId: string; event: Event }
  /** An event for the child with that order. */
  | { effect: 'child'; parentId: string; order: number; event: Event }
  /** An event for every child in one of the statuses. */
  | { effect: 'children'; parentId: string; statuses: readonly Status[]; event: Event }
  | { effect: 'insert'; tasks: Task[] }
  | { effect: 'message'; message: OutgoingMessage }
  /** The task's messages that were never tried need not be delivered any more. */
  | { effect: 'withdraw'; taskId: string }
  | { effect: 'timer'; taskId: string; kind: TimerKind; fireAt: Date; epoch: number }
  | { effect: 'clear_timers'; taskId: string; kinds: readonly TimerKind[] | 'all' }
  /** A worker may be executing this: its signal is to be aborted after the commit. */
  | { effect: 'abort'; taskId: string };

export type Outcome =
  | { outcome: 'applied'; changes: Partial<Task>; effects: Effect[] }
  /** Late, repeated or out of order: acknowledged and without effect. */
  | { outcome: 'ignored'; reason: string }
  | { outcome: 'refused'; failure: Failure };

/** What the core may know about an action or a container's handler. */
export interface DefinitionFacts {
  attempts: number;
  /** Milliseconds to wait before the attempt with this number (2, 3, …), for a chance in [0, 1). */
  backoff(attempt: number, chance: number): number;
  handlesErrors: boolean;
  reserves: boolean;
  cancelsReservation: boolean;
  hearsNewReservation: boolean;
  hearsCancelledReservation: boolean;
  preExecutes: boolean;
  idempotent: boolean;
  maxTakeovers: number;
}

/** Everything that a transition may use beside the task and the event. */
export interface Context {
  now: Date;
  node: { name: string; url: string };
  newId(): string;
  /** What is defined for an action of a queue, or for a container's handler; undefined: nothing. */
  facts(task: Pick<Task, 'action' | 'queue' | 'metadata'>): DefinitionFacts | undefined;
  dialect(peerId: string): 'unknown' | 'conclave' | 'frestq';
  /** In seconds (FQ-S5). */
  reservationTimeout: number;
}

export function applied(changes: Partial<Task> = {}, effects: Effect[] = []): Outcome {
  return { outcome: 'applied', changes, effects };
}

export function ignored(reason: string): Outcome {
  return { outcome: 'ignored', reason };
}
