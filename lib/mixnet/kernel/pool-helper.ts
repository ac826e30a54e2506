/**
 * A helper thread of a `KernelPool`: waits for a job, takes units until none is left, waits again. It never returns to
 * its event loop, so jobs come through a port that it reads itself.
 */
import { receiveMessageOnPort, workerData } from 'node:worker_threads';
import { KernelEngines, type KernelJob, kernelUnitCount } from './kernel-engines.ts';
import {
  CLOSED,
  FAILED,
  GENERATION,
  type HelperData,
  IDLE,
  NEXT,
  NO_MORE,
  signal,
  takeUnit,
} from './pool-control.ts';

const { control, modules, port } = workerData as HelperData;

function share(engines: KernelEngines, job: KernelJob): void {
  const units = kernelUnitCount(job);
  for (let unit = takeUnit(control); unit < units; unit = takeUnit(control)) engines.run(job, unit);
}

const engines = new KernelEngines(modules);
let seen = Atomics.load(control, GENERATION);
Atomics.add(control, IDLE, 1);
signal(control);
for (;;) {
  Atomics.wait(control, GENERATION, seen);
  if (Atomics.load(control, CLOSED) !== 0) break;
  const generation = Atomics.load(control, GENERATION);
  if (generation === seen) continue;
  seen = generation;
  try {
    const received = receiveMessageOnPort(port) as { message: KernelJob } | undefined;
    if (received === undefined) throw new Error('a job was announced but not sent');
    share(engines, received.message);
  } catch (error) {
    Atomics.store(control, NEXT, NO_MORE);
    port.postMessage(error instanceof Error ? (error.stack ?? error.message) : String(error));
    Atomics.add(control, FAILED, 1);
  }
  Atomics.add(control, IDLE, 1);
  signal(control);
}
port.close();
