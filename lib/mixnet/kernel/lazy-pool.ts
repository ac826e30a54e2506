/**
 * A pool of threads that is started by the first job worth it, and started anew after it failed: a worker that only ever
 * sees small elections never pays for threads. Belongs to a worker thread, as `KernelPool` does.
 */
import type { Executor } from './executor.ts';
import { KernelEngines, type KernelJob, kernelUnitCount } from './kernel-engines.ts';
import { KernelPool } from './kernel-pool.ts';

/** Octets of a job's longest list from which threads are worth starting: some ten milliseconds of work or more. */
const WORTH_STARTING = 32_768;

export class LazyPool implements Executor {
  readonly threads: number;
  readonly #helper: URL | undefined;
  #engines: KernelEngines | null = null;
  #pool: KernelPool | null = null;

  constructor(threads: number, helper?: URL) {
    this.threads = threads;
    this.#helper = helper;
  }

  /** Are the threads running? */
  get started(): boolean {
    return this.#pool !== null;
  }

  get engines(): KernelEngines {
    this.#engines ??= new KernelEngines();
    return this.#engines;
  }

  run(job: KernelJob): void {
    const units = kernelUnitCount(job);
    if (units <= 1 || (this.#pool === null && longestList(job) < WORTH_STARTING)) {
      for (let unit = 0; unit < units; unit++) this.engines.run(job, unit);
      return;
    }
    this.#pool ??= new KernelPool({
      threads: this.threads,
      ...(this.#helper === undefined ? {} : { helper: this.#helper }),
    });
    try {
      this.#pool.run(job);
    } catch (error) {
      if (this.#pool.closed) this.#pool = null;
      throw error;
    }
  }

  share(octets: Uint8Array): Uint8Array {
    if (octets.buffer instanceof SharedArrayBuffer) return octets;
    const shared = this.allocate(octets.length);
    shared.set(octets);
    return shared;
  }

  allocate(length: number): Uint8Array {
    return new Uint8Array(new SharedArrayBuffer(length));
  }

  allocateIntegers(length: number): Int32Array {
    return new Int32Array(new SharedArrayBuffer(4 * length));
  }

  close(): void {
    this.#pool?.close();
    this.#pool = null;
  }
}

/** Lists are a job's own or those of its operands. */
function longestList(value: unknown, depth = 2): number {
  if (value instanceof Uint8Array) return value.length;
  if (typeof value !== 'object' || value === null || depth === 0) return 0;
  return Math.max(0, ...Object.values(value).map((part) => longestList(part, depth - 1)));
}
