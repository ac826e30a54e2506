/**
 * A helper thread of a `KernelPool`: waits for a job, takes units until none is left, waits again. It never returns to
 * its event loop, so jobs come through a port that it reads itself.
 */
import { receiveMessageOnPort, workerData } from 'node:worker_threads';
import { P256Engine } from './p256Engine.ts';
import { type P256Job, unitCount } from './p256Job.ts';
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
} from './poolControl.ts';

const { control, module, port } = workerData as HelperData;

function share(engine: P256Engine, job: P256Job): void {
  const units = unitCount(job);
  for (let unit = takeUnit(control); unit < units; unit = takeUnit(control)) engine.run(job, unit);
}

const engine = new P256Engine(module);
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
    const received = receiveMessageOnPort(port) as { message: P256Job } | undefined;
    if (received === undefined) throw new Error('a job was announced but not sent');
    share(engine, received.message);
  } catch (error) {
    Atomics.store(control, NEXT, NO_MORE);
    port.postMessage(error instanceof Error ? (error.stack ?? error.message) : String(error));
    Atomics.add(control, FAILED, 1);
  }
  Atomics.add(control, IDLE, 1);
  signal(control);
}
port.close();
