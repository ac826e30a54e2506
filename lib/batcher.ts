/**
 * Natural batching: work that arrives while the previous batch is under way forms the next batch.
 *
 * There is no timer: an item that arrives when nothing is under way starts at the end of the current turn of the event
 * loop, and so an idle system adds no delay, while a busy one grows its batches by itself up to `max`.
 * A batch succeeds or fails as a whole: `run` must return one result for each item, in their order.
 */
export interface BatcherOptions {
  /** The most items of one batch. */
  max: number;
  /** The most batches under way at a time. */
  parallel: number;
  /** Calls at the end of the current turn of the event loop. Default: the system's (`setImmediate`). */
  soon?: (call: () => void) => void;
}

interface Waiting<In, Out> {
  item: In;
  resolve: (result: Out) => void;
  reject: (reason: unknown) => void;
}

export class Batcher<In, Out> {
  readonly #run: (items: In[]) => Promise<Out[]>;
  readonly #max: number;
  readonly #parallel: number;
  readonly #soon: (call: () => void) => void;
  #waiting: Waiting<In, Out>[] = [];
  #underWay = 0;
  #scheduled = false;
  #idleListeners: (() => void)[] = [];

  constructor(run: (items: In[]) => Promise<Out[]>, { max, parallel, soon = setImmediate }: BatcherOptions) {
    if (!Number.isSafeInteger(max) || max < 1)
      throw new RangeError(`max must be a positive integer, not ${max}`);
    if (!Number.isSafeInteger(parallel) || parallel < 1) {
      throw new RangeError(`parallel must be a positive integer, not ${parallel}`);
    }
    this.#run = run;
    this.#max = max;
    this.#parallel = parallel;
    this.#soon = soon;
  }

  /** How many items wait for a batch of theirs to start. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Resolves to the item's result; rejects with whatever the batch that contains it rejected with. */
  add(item: In): Promise<Out> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ item, resolve, reject });
      this.#schedule();
    });
  }

  /** Resolves when nothing waits and nothing is under way. */
  idle(): Promise<void> {
    if (this.#waiting.length === 0 && this.#underWay === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.#idleListeners.push(resolve);
    });
  }

  #schedule(): void {
    if (this.#scheduled || this.#underWay >= this.#parallel) return;
    this.#scheduled = true;
    // setImmediate, not a microtask: what else this turn of the event loop has read from its sockets joins the batch.
    this.#soon(() => {
      this.#scheduled = false;
      this.#startBatches();
    });
  }

  #startBatches(): void {
    while (this.#underWay < this.#parallel && this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0, this.#max);
      this.#underWay += 1;
      void this.#settle(batch);
    }
    if (this.#underWay === 0 && this.#waiting.length === 0) {
      for (const listener of this.#idleListeners.splice(0)) listener();
    }
  }

  async #settle(batch: Waiting<In, Out>[]): Promise<void> {
    try {
      const results = await this.#run(batch.map(({ item }) => item));
      if (results.length !== batch.length) {
        throw new Error(`a batch of ${batch.length} items gave ${results.length} results`);
      }
      for (const [index, { resolve }] of batch.entries()) resolve(results[index] as Out);
    } catch (reason) {
      for (const { reject } of batch) reject(reason);
    } finally {
      this.#underWay -= 1;
      this.#startBatches();
    }
  }
}
