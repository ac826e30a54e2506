/**
 * Several threads that share the kernel's jobs. The pool belongs to one coordinating worker thread, which takes units
 * like the others and, when none is left, waits for them: calls stay synchronous. It cannot be made on the main thread,
 * which must never wait.
 *
 *     coordinator ── owns ──> supervisor ── owns ──> helper 1 … helper k-1
 *          │  jobs by port (shared arrays), units by an atomic counter      │
 *          └───────────────────────────<── SIGNAL ──────────────────────────┘
 *
 * A unit that throws fails the job, with the helper's message. A helper that ends, for whatever reason, fails the job
 * at once; one that hangs fails it after `stallSeconds`. Either leaves the pool closed: make a new one.
 */
import { availableParallelism } from 'node:os';
import {
  isMainThread,
  MessageChannel,
  type MessagePort,
  receiveMessageOnPort,
  Worker,
} from 'node:worker_threads';
import type { Executor } from './executor.ts';
import { KernelEngines, type KernelJob, kernelUnitCount, loadModules } from './kernel-engines.ts';
import {
  CLOSED,
  CONTROL_WORDS,
  FAILED,
  GENERATION,
  IDLE,
  LOST,
  NEXT,
  NO_MORE,
  SIGNAL,
  type SupervisorData,
  signal,
  takeUnit,
} from './pool-control.ts';

export type KernelPoolOptions = Readonly<{
  /** Threads that compute, the coordinator included; by default as many as the machine runs at a time. */
  threads?: number;
  /** A job in which no unit ends for so long has failed. Units take half a second at most. */
  stallSeconds?: number;
  /** Another script for the helpers, so that tests can see them fail. */
  helper?: URL;
}>;

export class KernelPool implements Executor {
  readonly threads: number;
  readonly engines: KernelEngines;
  readonly #control = new Int32Array(new SharedArrayBuffer(4 * CONTROL_WORDS));
  readonly #ports: readonly MessagePort[];
  readonly #supervisor: Worker | null;
  readonly #stallMilliseconds: number;
  #closed = false;

  /** Starts the threads and waits for them (about 50 ms). */
  constructor({
    threads = availableParallelism(),
    stallSeconds = 60,
    helper = new URL('./pool-helper.ts', import.meta.url),
  }: KernelPoolOptions = {}) {
    if (isMainThread) throw new Error('a kernel pool waits for its threads: make it in a worker thread');
    if (!Number.isInteger(threads) || threads < 1) throw new RangeError(`a pool of ${threads} threads`);
    const modules = loadModules();
    this.threads = threads;
    this.engines = new KernelEngines(modules);
    this.#stallMilliseconds = 1000 * stallSeconds;
    const channels = Array.from({ length: threads - 1 }, () => new MessageChannel());
    this.#ports = channels.map(({ port1 }) => port1);
    const ports = channels.map(({ port2 }) => port2);
    this.#supervisor =
      threads === 1 ? null : this.#start({ control: this.#control, modules, helper: helper.href, ports });
    this.#wait();
  }

  /** By its owner, or because a thread failed. */
  get closed(): boolean {
    return this.#closed;
  }

  run(job: KernelJob): void {
    if (this.#closed) throw new Error('the kernel pool is closed');
    const units = kernelUnitCount(job);
    if (units <= 1 || this.threads === 1) {
      for (let unit = 0; unit < units; unit++) this.engines.run(job, unit);
      return;
    }
    const control = this.#control;
    Atomics.store(control, NEXT, 0);
    Atomics.store(control, IDLE, 0);
    Atomics.store(control, FAILED, 0);
    for (const port of this.#ports) port.postMessage(job);
    Atomics.add(control, GENERATION, 1);
    Atomics.notify(control, GENERATION);
    let own: unknown = null;
    try {
      for (let unit = takeUnit(control); unit < units; unit = takeUnit(control)) this.engines.run(job, unit);
    } catch (error) {
      own = error;
      Atomics.store(control, NEXT, NO_MORE);
    }
    this.#wait();
    const complaints = Atomics.load(control, FAILED) === 0 ? '' : this.#complaints();
    if (own !== null) throw own;
    if (complaints !== '') throw new Error(`a kernel thread failed: ${complaints}`);
  }

  share(octets: Uint8Array): Uint8Array {
    if (this.threads === 1 || octets.buffer instanceof SharedArrayBuffer) return octets;
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

  /** Ends the threads; no job can be run any more. Closing twice is fine. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    Atomics.store(this.#control, CLOSED, 1);
    Atomics.add(this.#control, GENERATION, 1);
    Atomics.notify(this.#control, GENERATION);
    for (const port of this.#ports) port.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #start(data: SupervisorData): Worker {
    const supervisor = new Worker(new URL('./pool-supervisor.ts', import.meta.url), {
      workerData: data,
      transferList: [...data.ports],
    });
    supervisor.unref();
    // heard between jobs only; during a job the supervisor is what tells of lost threads, and `#wait` has a limit
    supervisor.on('error', () => this.#lose());
    supervisor.on('exit', () => this.#lose());
    return supervisor;
  }

  #lose(): void {
    Atomics.add(this.#control, LOST, 1);
    signal(this.#control);
  }

  /** Until all helpers are idle. */
  #wait(): void {
    const control = this.#control;
    for (;;) {
      const seen = Atomics.load(control, SIGNAL);
      if (Atomics.load(control, LOST) !== 0) this.#fail('a kernel thread has ended');
      if (Atomics.load(control, IDLE) >= this.threads - 1) return;
      const before = Atomics.load(control, NEXT);
      if (Atomics.wait(control, SIGNAL, seen, this.#stallMilliseconds) !== 'timed-out') continue;
      if (Atomics.load(control, NEXT) === before) this.#fail('a kernel thread does not answer');
    }
  }

  #fail(reason: string): never {
    this.close();
    void this.#supervisor?.terminate();
    throw new Error(`${reason}; the kernel pool is closed`);
  }

  #complaints(): string {
    return this.#ports
      .map((port) => receiveMessageOnPort(port) as { message: string } | undefined)
      .flatMap((received) => (received === undefined ? [] : [received.message]))
      .join('; ');
  }
}
