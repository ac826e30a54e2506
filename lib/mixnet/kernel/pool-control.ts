/**
 * The words that a pool's threads share, and what they mean. Everything that a thread may wait for changes `SIGNAL` or
 * `GENERATION` and wakes whoever waits for that word, so no wake-up is missed: read the word, check, wait for a change.
 */
import type { MessagePort } from 'node:worker_threads';
import type { KernelModules } from './kernel-engines.ts';

/** Raised by the coordinator for every job, and to close; helpers wait for it. */
export const GENERATION = 0;
/** The next unit that nobody has taken. */
export const NEXT = 1;
/** Helpers that are through with the current job; at the start, helpers that are ready. */
export const IDLE = 2;
/** Changes whenever something happened that the coordinator may wait for. */
export const SIGNAL = 3;
/** Helpers whose units threw; each sent a message that says what. */
export const FAILED = 4;
/** Not 0 when a helper is gone for good. */
export const LOST = 5;
/** Not 0 when helpers are to end. */
export const CLOSED = 6;

export const CONTROL_WORDS = 8;

/** No unit is left for anybody: what a thread that failed sets `NEXT` to. */
export const NO_MORE = 2 ** 30;

/** What the supervisor is started with; `helper` is the address of the helpers' script, the ports are the helpers' ends, in order. */
export type SupervisorData = Readonly<{
  control: Int32Array<SharedArrayBuffer>;
  modules: KernelModules;
  helper: string;
  ports: readonly MessagePort[];
}>;

/** What a helper is started with. */
export type HelperData = Readonly<{
  control: Int32Array<SharedArrayBuffer>;
  modules: KernelModules;
  port: MessagePort;
}>;

/** Tells the coordinator that a word changed. */
export function signal(control: Int32Array<SharedArrayBuffer>): void {
  Atomics.add(control, SIGNAL, 1);
  Atomics.notify(control, SIGNAL);
}

/** The next unit of the current job; `units` or more if none is left. */
export function takeUnit(control: Int32Array<SharedArrayBuffer>): number {
  return Atomics.add(control, NEXT, 1);
}
