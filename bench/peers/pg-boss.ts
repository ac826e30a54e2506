/* pg-boss: workers that fetch and complete a thousand jobs at a time. */
import { setTimeout as pause } from 'node:timers/promises';
import { PgBoss } from 'pg-boss';
import { BATCH, batchesOf, type OtherQueue } from './other-queue.ts';

const QUEUE = 'bench';

export const pgBoss: OtherQueue = {
  name: 'pg-boss',
  settings: `batchSize ${BATCH}, fetched again as soon as a batch is completed; no maintenance meanwhile`,
  async open(pool) {
    const db = {
      executeSql: async (text: string, values?: unknown[]) => await pool.query(text, values as unknown[]),
    };
    const boss = new PgBoss({ db, supervise: false, schedule: false });
    await boss.start();
    await boss.createQueue(QUEUE);
    return {
      async enqueue(jobs) {
        for (const size of batchesOf(jobs))
          await boss.insert(
            QUEUE,
            Array.from({ length: size }, () => ({ data: {} })),
          );
      },
      async process(jobs) {
        const noop = async (): Promise<void> => {};
        let done = 0;
        while (done < jobs) {
          const fetched = await boss.fetch(QUEUE, { batchSize: BATCH });
          if (fetched.length === 0) await pause(5);
          await Promise.all(fetched.map(noop));
          if (fetched.length > 0)
            await boss.complete(
              QUEUE,
              fetched.map(({ id }) => id),
            );
          done += fetched.length;
        }
      },
      async close() {
        await boss.stop({ graceful: false });
      },
    };
  },
};
