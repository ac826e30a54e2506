/*
 * What the engine does in a second, on the embedded database: `node bench/engine.ts [children] [steps] [sent]`.
 * Wide: no-op children of one parallel task. Deep: steps of one sequence. Sent: no-op tasks to another node and
 * back, over a network in memory that delivers messages one by one.
 */
import { defineTask } from '../lib/engine/definitions.ts';
import { parallel, sequential, simple } from '../lib/engine/tree.ts';
import { TestFederation } from '../test/support/nodes.ts';
import { stopTestServer } from '../test/support/postgresql.ts';

const [children = 20_000, steps = 2000, sent = 500] = process.argv.slice(2).map(Number);
const queue = 'work';
const federation = new TestFederation();
const definitions = [defineTask({ queue, action: 'noop' }, () => {})];
const queues = { [queue]: { maxThreads: 1000 } };
const a = await federation.add('a', { definitions, queues });
const b = await federation.add('b', { definitions, queues });
const noop = simple({ queue, action: 'noop' });

async function measure(name: string, count: number, run: () => Promise<unknown>): Promise<void> {
  const started = performance.now();
  await run();
  const seconds = (performance.now() - started) / 1000;
  const memory = Math.round(process.memoryUsage().rss / 2 ** 20);
  const rate = Math.round(count / seconds);
  process.stdout.write(`${name}: ${count} in ${seconds.toFixed(2)} s, ${rate}/s; ${memory} MB resident\n`);
}

const fill = <T>(count: number, item: T): T[] => Array.from({ length: count }, () => item);
const run = async (tree: Parameters<typeof a.engine.create>[0]) =>
  a.engine.ended(await a.engine.create(tree));
await measure('warm-up', 200, () => run(parallel(fill(200, noop))));
for (const count of [children / 4, children / 2, children])
  await measure('wide', count, () => run(parallel(fill(count, noop))));
for (const count of [steps / 2, steps])
  await measure('deep', count, () => run(sequential(fill(count, noop))));
await measure('roots', 2000, () => Promise.all(fill(2000, noop).map((tree) => run(tree))));
const remote = simple({ queue, action: 'noop', receiver: b.url });
await measure('sent', sent, () => run(parallel(fill(sent, remote))));
await federation.close();
await stopTestServer();
