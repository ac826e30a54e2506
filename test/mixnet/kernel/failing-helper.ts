/** A pool's helper that fails, in the way that the environment says, when it gets its first job. */
import { workerData } from 'node:worker_threads';
import { GENERATION, type HelperData, IDLE, signal } from '../../../lib/mixnet/kernel/pool-control.ts';

const { control } = workerData as HelperData;
const way = process.env.FAILING_HELPER;
if (way === 'at-start') throw new Error('this helper does not start');
const seen = Atomics.load(control, GENERATION);
Atomics.add(control, IDLE, 1);
signal(control);
Atomics.wait(control, GENERATION, seen);
if (way === 'exit') process.exit(3);
if (way === 'throw') throw new Error('this helper throws');
if (way === 'hang') Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
