/* graphile-worker: jobs fetched a thousand at a time into its local queue, completions collected for 10 ms. */
import { setTimeout as pause } from 'node:timers/promises';
import { Logger, makeWorkerUtils, run } from 'graphile-worker';
import { BATCH, batchesOf, type OtherQueue } from './other-queue.ts';

const silent = new Logger(() => () => {});

export const graphileWorker: OtherQueue = {
  name: 'graphile-worker',
  settings: `concurrency 24, localQueue ${BATCH}, completeJobBatchDelay 10`,
  async open(pgPool) {
    const utils = await makeWorkerUtils({ pgPool, logger: silent });
    await utils.migrate();
    return {
      async enqueue(jobs) {
        for (const size of batchesOf(jobs))
          await utils.addJobs(Array.from({ length: size }, () => ({ identifier: 'noop', payload: {} })));
      },
      async process() {
        const runner = await run({
          pgPool,
          logger: silent,
          noHandleSignals: true,
          taskList: { noop: () => {} },
          preset: {
            worker: { concurrentJobs: 24, localQueue: { size: BATCH }, completeJobBatchDelay: 10 },
          },
        });
        const left = async (): Promise<boolean> =>
          (await pgPool.query('select 1 from graphile_worker.jobs limit 1')).rows.length > 0;
        while (await left()) await pause(5);
        await runner.stop();
      },
      async close() {
        await utils.release();
      },
    };
  },
};
