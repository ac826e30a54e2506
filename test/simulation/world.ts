/**
 * Virtual time: the one queue of everything that is going to happen in a simulation. An event is called, then all
 * promises that it settled run to their ends, then the next one is called. So a schedule is a plain function of its
 * seed: nothing waits for real time, sockets or threads.
 */
import { setFlagsFromString } from 'node:v8';

/** Runs the microtasks that are due, and those which they cause. Of no effect inside a microtask. */
const settlePromises = ((): (() => void) => {
  setFlagsFromString('--allow-natives-syntax');
  return new Function('return () => %PerformMicrotaskCheckpoint()')() as () => void;
})();

/** What runs on a machine: its events wait while it is stalled, and never come when it is dead. */
export interface Host {
  alive: boolean;
  stalledUntil: number;
}

export interface Happening {
  readonly at: number;
  readonly order: number;
  readonly host: Host | null;
  /** Null: it was called off. */
  call: (() => void) | null;
}

export class World {
  /** Milliseconds since the beginning, with fractions. */
  now = 0;
  readonly #heap: Happening[] = [];
  #order = 0;
  /** How many events were called. */
  events = 0;

  /** Calls after so many milliseconds. */
  after(milliseconds: number, host: Host | null, call: () => void): Happening {
    this.#order += 1;
    const happening = { at: this.now + milliseconds, order: this.#order, host, call };
    this.#push(happening);
    return happening;
  }

  /**
   * Lets things happen until `done`, or until so many milliseconds since the beginning. Must be called outside of any
   * promise's continuation.
   * @returns whether `done` was reached
   */
  run(until: number, done: () => boolean): boolean {
    settlePromises();
    while (!done()) {
      const next = this.#pop();
      if (next === undefined || next.at > until) return false;
      const { host, call } = next;
      if (call === null || host?.alive === false) continue;
      if (next.at > this.now) this.now = next.at;
      if (host !== null && host.stalledUntil > this.now) {
        this.after(host.stalledUntil - this.now, host, () => {
          // It may have been called off meanwhile.
          if (next.call !== null) next.call();
        });
        continue;
      }
      this.events += 1;
      call();
      settlePromises();
    }
    return true;
  }

  #push(happening: Happening): void {
    const heap = this.#heap;
    let index = heap.length;
    heap.push(happening);
    while (index > 0) {
      const above = (index - 1) >> 1;
      const parent = heap[above]!;
      if (!before(happening, parent)) break;
      heap[index] = parent;
      index = above;
    }
    heap[index] = happening;
  }

  #pop(): Happening | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child += 1;
      if (!before(heap[child]!, last)) break;
      heap[index] = heap[child]!;
      index = child;
    }
    heap[index] = last;
    return first;
  }
}

function before(one: Happening, other: Happening): boolean {
  return one.at < other.at || (one.at === other.at && one.order < other.order);
}
