/**
 * The mix-net off the main thread: typed operations as promises over a few worker threads.
 *
 * A call that is aborted ends its thread, since arithmetic cannot be interrupted otherwise; a thread that dies rejects
 * the call it was running. In both cases the next call gets a new thread.
 */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { Refusal } from '../refusal.ts';
import type { OperationName, ParametersOf, Request, Response, ResultOf } from './messages.ts';

export interface RunOptions {
  readonly signal?: AbortSignal;
  /** What is being done and how much of it is done, 0 to 1. */
  readonly onProgress?: (step: string, done: number) => void;
}

/** The thread failed, not the input: out of memory, a defect, or it was ended. */
export class MixnetWorkerError extends Error {
  readonly operation: string;

  constructor(operation: string, message: string) {
    super(`mix-net operation ${operation}: ${message}`);
    this.name = 'MixnetWorkerError';
    this.operation = operation;
  }
}

interface Call {
  readonly request: Request;
  readonly options: RunOptions;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
  abort?: () => void;
}

export class MixnetWorker {
  readonly #size: number;
  readonly #idle: Worker[] = [];
  readonly #running = new Map<Worker, Call>();
  readonly #waiting: Call[] = [];
  readonly #entry: URL;
  readonly #kernelThreads: number;
  #closed = false;

  /**
   * `threads`: how many operations run at once, by default one. `kernelThreads`: how many threads share the curve
   * arithmetic of one operation, by default as many as the machine runs at a time; they start with the first large job.
   */
  constructor(
    options: { readonly threads?: number; readonly kernelThreads?: number; readonly entry?: URL } = {},
  ) {
    this.#size = options.threads ?? 1;
    this.#kernelThreads = options.kernelThreads ?? availableParallelism();
    this.#entry = options.entry ?? new URL('./thread.ts', import.meta.url);
  }

  /**
   * Rejects with a `Refusal` if an input is refused, with a `MixnetWorkerError` if the thread fails, with the signal's
   * reason if it is aborted.
   */
  run<Name extends OperationName>(
    operation: Name,
    parameters: ParametersOf<Name>,
    options: RunOptions = {},
  ): Promise<ResultOf<Name>> {
    return new Promise((resolve, reject) => {
      if (this.#closed) throw new MixnetWorkerError(operation, 'the worker is closed');
      options.signal?.throwIfAborted();
      const call: Call = {
        request: { operation, parameters },
        options,
        resolve: resolve as (value: unknown) => void,
        reject,
      };
      call.abort = () => this.#abort(call);
      options.signal?.addEventListener('abort', call.abort, { once: true });
      this.#waiting.push(call);
      this.#next();
    });
  }

  /** Ends all threads; calls that have not ended are rejected. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const call of this.#waiting.splice(0)) {
      this.#settle(call);
      call.reject(new MixnetWorkerError(call.request.operation, 'the worker was closed'));
    }
    const threads = [...this.#idle.splice(0), ...this.#running.keys()];
    await Promise.all(threads.map((thread) => thread.terminate()));
  }

  #next(): void {
    if (this.#running.size >= this.#size) return;
    const call = this.#waiting.shift();
    if (call === undefined) return;
    const thread = this.#idle.pop() ?? this.#start();
    this.#running.set(thread, call);
    thread.ref();
    thread.postMessage(call.request);
  }

  #start(): Worker {
    const thread = new Worker(this.#entry, { workerData: { kernelThreads: this.#kernelThreads } });
    thread.on('message', (response: Response) => this.#receive(thread, response));
    thread.on('error', (error) => this.#lose(thread, error.message));
    thread.on('messageerror', (error) => this.#lose(thread, error.message));
    thread.on('exit', (code) => this.#lose(thread, `the thread ended with code ${code}`));
    return thread;
  }

  #receive(thread: Worker, response: Response): void {
    const call = this.#running.get(thread);
    if (call === undefined) return;
    if (response.kind === 'progress') {
      call.options.onProgress?.(response.step, response.done);
      return;
    }
    this.#running.delete(thread);
    // An idle thread must not keep the process alive.
    thread.unref();
    this.#idle.push(thread);
    this.#settle(call);
    if (response.kind === 'result') call.resolve(response.value);
    else if (response.kind === 'refusal') call.reject(new Refusal(response.reason, response.message));
    else call.reject(new MixnetWorkerError(call.request.operation, response.message));
    this.#next();
  }

  #lose(thread: Worker, why: string): void {
    const at = this.#idle.indexOf(thread);
    if (at !== -1) this.#idle.splice(at, 1);
    const call = this.#running.get(thread);
    if (call === undefined) return;
    this.#running.delete(thread);
    this.#settle(call);
    call.reject(new MixnetWorkerError(call.request.operation, why));
    void thread.terminate();
    if (!this.#closed) this.#next();
  }

  #abort(call: Call): void {
    const reason: unknown = call.options.signal?.reason;
    const at = this.#waiting.indexOf(call);
    if (at !== -1) this.#waiting.splice(at, 1);
    for (const [thread, running] of this.#running) {
      if (running !== call) continue;
      this.#running.delete(thread);
      void thread.terminate();
    }
    call.reject(reason);
    this.#next();
  }

  #settle(call: Call): void {
    if (call.abort) call.options.signal?.removeEventListener('abort', call.abort);
  }
}
