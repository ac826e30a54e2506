/*
 * The load of the federated scenarios: simple tasks that node a sends to node b, whose handler answers with what it
 * was given. A task is over when its result is committed at a: a row at a, a message, a row at b, its claim, its result, a
 * message back, the result at a.
 */
import type { Knex } from 'knex';
import { type DefinedTask, defineTask } from '../../lib/engine/definitions.ts';
import { simple } from '../../lib/engine/tree.ts';
import type { Json } from '../../lib/json.ts';
import type { Bench } from './harness.ts';
import type { Measurement } from './measurement.ts';
import type { Command } from './scenario.ts';

const QUEUE = 'bench';
const ACTION = 'echo';
/** About as much as an election's request to one authority. */
const PAYLOAD = 'd'.repeat(800);

export const WIDE_QUEUES = { [QUEUE]: { max_threads: 1000 } };

export function roundTripDefinitions(): DefinedTask[] {
  return [
    defineTask({ queue: QUEUE, action: ACTION }, (task) => ({
      number: (task.input as { number: number }).number,
    })),
  ];
}

interface Load {
  readonly [name: string]: Json;
  readonly inFlight: number;
  readonly seconds: number;
  readonly to: string;
}

interface Done {
  readonly [name: string]: Json;
  readonly tasks: number;
  readonly latencies: number[];
}

/** Keeps so many tasks under way for so long, then lets those under way end. */
const roundTrips: Command = async ({ node, ended, urls }, argument) => {
  const { inFlight, seconds, to } = argument as unknown as Load;
  const receiver = urls[to]!;
  const until = performance.now() + seconds * 1000;
  const latencies: number[] = [];
  const lane = async (): Promise<void> => {
    while (performance.now() < until) {
      const started = performance.now();
      const data = { number: latencies.length, text: PAYLOAD };
      const id = await node.engine.create(simple({ receiver, queue: QUEUE, action: ACTION, data }));
      await ended.of(id);
      latencies.push(performance.now() - started);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
  await demandAllFinished(node.database.knex, receiver);
  return { tasks: latencies.length, latencies } satisfies Done;
};

export const ROUND_TRIP_COMMANDS = { roundTrips };

const CREATED_AT_A_TIME = 1000;

/** Creates tasks for a node that will not answer. */
export const sendWithoutWaiting: Command = async ({ node, urls }, argument) => {
  const { tasks, to } = argument as { tasks: number; to: string };
  const receiver = urls[to]!;
  const data = { number: 0, text: PAYLOAD };
  for (let created = 0; created < tasks; created += CREATED_AT_A_TIME) {
    await Promise.all(
      Array.from({ length: Math.min(CREATED_AT_A_TIME, tasks - created) }, () =>
        node.engine.create(simple({ receiver, queue: QUEUE, action: ACTION, data })),
      ),
    );
  }
  return null;
};

/** A task that failed, or got lost, makes the figure worthless. */
async function demandAllFinished(db: Knex, receiver: string): Promise<void> {
  const { rows } = await db.raw<{ rows: { status: string; tasks: string }[] }>(
    'select status, count(*) as tasks from tasks where receiver_url = ? group by status',
    [receiver],
  );
  const others = rows.filter(({ status }) => status !== 'finished');
  if (others.length > 0) throw new Error(`not all tasks have finished: ${JSON.stringify(others)}`);
}

export async function measureRoundTrips(
  bench: Bench,
  load: { inFlight: number; seconds?: number; from?: string; to?: string },
): Promise<Measurement> {
  const { inFlight, seconds = bench.seconds, from = 'a', to = 'b' } = load;
  const node = bench.node(from);
  await node.call('roundTrips', { inFlight, seconds: Math.min(3, seconds), to });
  return bench.measure(async () => await node.call<Done>('roundTrips', { inFlight, seconds, to }));
}
