/**
 * The thread that owns a `KernelPool`'s helpers. The coordinator waits without an event loop and so cannot hear of a
 * thread's end; this one computes nothing, hears of it, and says so.
 */
import { Worker, workerData } from 'node:worker_threads';
import { CLOSED, LOST, type SupervisorData, signal } from './pool-control.ts';

const { control, modules, helper, ports } = workerData as SupervisorData;

for (const port of ports) {
  const thread = new Worker(new URL(helper), {
    workerData: { control, modules, port },
    transferList: [port],
  });
  // an uncaught error ends the thread as well; the handler only keeps it from ending this one
  thread.on('error', () => undefined);
  thread.on('exit', () => {
    if (Atomics.load(control, CLOSED) !== 0) return;
    Atomics.add(control, LOST, 1);
    signal(control);
  });
}
