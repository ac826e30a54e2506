/** The thread in which a published tally is verified, so that the node goes on meanwhile. Tells each step, then the verdict. */
import { parentPort, workerData } from 'node:worker_threads';
import { verifyTally } from '../../tasks/tally/verification.ts';
import { MixnetWorker } from '../mixnet/worker/client.ts';

// One thread for the arithmetic: the mix-net of an election under way has the others.
const mixnet = new MixnetWorker({ kernelThreads: 1 });
try {
  const { path } = workerData as { path: string };
  const { ok } = await verifyTally(path, {
    mixnet,
    onStep: ({ id, title, ok: passed, detail }) =>
      parentPort!.postMessage({ step: { id, title, ok: passed, detail: detail ?? null } }),
  });
  parentPort!.postMessage({ ok });
} finally {
  await mixnet.close();
}
