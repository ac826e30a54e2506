/** Entry of a worker thread: runs one operation after the other and reports its outcome. */
import { parentPort, workerData } from 'node:worker_threads';
import { useExecutor } from '../groups/registry.ts';
import { LazyPool } from '../kernel/lazy-pool.ts';
import { Refusal } from '../refusal.ts';
import { keyOperations } from './key-operations.ts';
import type { Request, Response } from './messages.ts';
import { mixOperations } from './mix-operations.ts';
import { precomputationOperations } from './precomputation.ts';

const port = parentPort;
if (port === null) throw new Error('this module is the entry of a worker thread');

const { kernelThreads } = workerData as { kernelThreads: number };
if (kernelThreads > 1) useExecutor(new LazyPool(kernelThreads));

type Handler = (parameters: never, progress: (step: string, done: number) => void) => unknown;
const handlers: Readonly<Record<string, Handler>> = {
  ...keyOperations,
  ...mixOperations,
  ...precomputationOperations,
};

const answer = (response: Response): void => port.postMessage(response);

port.on('message', ({ operation, parameters }: Request) => {
  try {
    const progress = (step: string, done: number): void => answer({ kind: 'progress', step, done });
    answer({ kind: 'result', value: handlers[operation]!(parameters as never, progress) });
  } catch (error) {
    if (error instanceof Refusal) answer({ kind: 'refusal', reason: error.reason, message: error.message });
    else
      answer({
        kind: 'failure',
        message: error instanceof Error ? `${error.name}: ${error.message}` : 'unknown',
      });
  }
});
