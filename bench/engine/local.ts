/*
 * One node on its own: no-op tasks, queued beforehand, through claim, handler and completion; besides, creation in batches,
 * and from creation to start while nothing else happens.
 */
import { type Drained, LOCAL_COMMANDS, LOCAL_QUEUES, localDefinitions } from './local-load.ts';
import { percentile } from './measurement.ts';
import type { Scenario } from './scenario.ts';

const QUEUED = 10_000;
const STARTS = 200;

export const local: Scenario = {
  name: 'local',
  about: `no-op tasks, ${QUEUED} queued beforehand: at least 15,000 a second; enqueue as many; start within 5 ms`,
  nodes: [{ name: 'a', settings: { queues: LOCAL_QUEUES } }],
  definitions: localDefinitions,
  commands: LOCAL_COMMANDS,
  async run(bench) {
    const node = bench.node('a');
    await node.call('enqueue', { tasks: QUEUED });
    await node.call('starts', { tasks: 1 });
    const starts = (await node.call<number[]>('starts', { tasks: STARTS })).sort((one, other) => one - other);
    const { seconds } = await node.call<{ seconds: number }>('enqueue', { tasks: QUEUED });
    // Twice: the first warms up.
    for (const warming of [true, false]) {
      await node.call('fill', { tasks: QUEUED });
      if (warming) await node.call('drain', { tasks: QUEUED });
    }
    const measured = await bench.measure(async () => {
      const drained = (await node.call('drain', { tasks: QUEUED })) as unknown as Drained;
      return { tasks: drained.tasks, seconds: drained.seconds };
    });
    const further = {
      'enqueued tasks/s': Number((QUEUED / seconds).toPrecision(4)),
      'start median ms': percentile(starts, 0.5) ?? 0,
      'start p99 ms': percentile(starts, 0.99) ?? 0,
    };
    return { ...measured, further };
  },
};
