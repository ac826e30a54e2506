/*
 * Loads of one node on its own: no-op tasks that are created, claimed, handled and completed where they are. A task is
 * over when its end is committed.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Knex } from 'knex';
import { type DefinedTask, defineTask } from '../../lib/engine/definitions.ts';
import { simple, type TreeNode } from '../../lib/engine/tree.ts';
import type { Command } from './scenario.ts';

const QUEUE = 'bench';
const ACTION = 'noop';
/** Wide enough that a queue's concurrency is not what is measured. */
export const LOCAL_QUEUES = { [QUEUE]: { max_threads: 1000 } };

/** When the handler of the last no-op task began. */
let began = 0;

export function localDefinitions(): DefinedTask[] {
  return [
    defineTask({ queue: QUEUE, action: ACTION }, () => {
      began = performance.now();
    }),
  ];
}

/** A no-op task, here or at a peer. */
export function noop(receiver?: string): TreeNode {
  return simple({ queue: QUEUE, action: ACTION, ...(receiver === undefined ? {} : { receiver }) });
}

/** Creates so many no-op tasks at once; they are executed meanwhile. Answers when all are committed: in how many seconds. */
const enqueue: Command = async ({ node }, argument) => {
  const { tasks } = argument as { tasks: number };
  const started = performance.now();
  await Promise.all(Array.from({ length: tasks }, () => node.engine.create(noop())));
  return { seconds: (performance.now() - started) / 1000 };
};

/** From the call that creates a task to the begin of its handler, while nothing else happens; in milliseconds. */
const starts: Command = async ({ node, ended }, argument) => {
  const { tasks } = argument as { tasks: number };
  const latencies: number[] = [];
  while (latencies.length < tasks) {
    const called = performance.now();
    await ended.of(await node.engine.create(noop()));
    latencies.push(began - called);
  }
  return latencies;
};

let hidden: Knex.Transaction | null = null;
const FILLED_AT_A_TIME = 50_000;

/**
 * Queues no-op tasks: copies of one that the engine made, in a transaction that stays open until `drain`, so that none of
 * them is executed before.
 */
const fill: Command = async ({ node, ended }, argument) => {
  const { tasks } = argument as { tasks: number };
  const template = await node.engine.create(noop());
  await ended.of(template);
  const { rows } = await node.database.knex.raw<{ rows: { columns: string }[] }>(
    `select string_agg(quote_ident(column_name), ', ') as columns from information_schema.columns
     where table_schema = current_schema() and table_name = 'tasks' and column_name <> all (
       array['id', 'root_id', 'status', 'job', 'job_queue', 'run_at'])`,
  );
  const { columns } = rows[0]!;
  hidden = await node.database.knex.transaction();
  for (let made = 0; made < tasks; made += FILLED_AT_A_TIME) {
    await hidden.raw(
      `insert into tasks (id, root_id, status, job, job_queue, run_at, ${columns})
       select made.id, made.id, 'created', 'execute', :queue, now() + made.place * interval '1 microsecond', ${columns}
       from (select cast(gen_random_uuid() as text) as id, place from generate_series(1, :count) as place) as made,
         (select ${columns} from tasks where id = :template) as template`,
      { queue: QUEUE, template, count: Math.min(FILLED_AT_A_TIME, tasks - made) },
    );
  }
  return null;
};

/**
 * Lets go what `fill` has queued, and waits until so many tasks have ended or so much time has passed. Answers with how
 * many ended in how many seconds, and what their claims took.
 */
const drain: Command = async ({ node, ended }, argument) => {
  const { tasks, seconds = 600 } = argument as { tasks: number; seconds?: number };
  const { store } = node.engine;
  const claims: { tasks: number; milliseconds: number }[] = [];
  const claim = store.claim;
  store.claim = async (request) => {
    const called = performance.now();
    const claimed = await claim(request);
    if (request.queue === QUEUE)
      claims.push({ tasks: claimed.length, milliseconds: performance.now() - called });
    return claimed;
  };
  ended.forget();
  const before = ended.count;
  const started = performance.now();
  await hidden?.commit();
  hidden = null;
  await node.engine.poll();
  while (ended.count - before < tasks && performance.now() - started < seconds * 1000) await pause(2);
  store.claim = claim;
  return { tasks: ended.count - before, seconds: (performance.now() - started) / 1000, claims };
};

export const LOCAL_COMMANDS = { enqueue, starts, fill, drain };

export interface Drained {
  readonly [name: string]: unknown;
  readonly tasks: number;
  readonly seconds: number;
  readonly claims: { readonly tasks: number; readonly milliseconds: number }[];
}

/** Runs trees, so many at a time, for so long, and each at least once; `tree` says which. Answers with latencies in milliseconds. */
export function treesOf(tree: (urls: Readonly<Record<string, string>>) => TreeNode): Command {
  return async ({ node, ended, urls }, argument) => {
    const { inFlight, seconds } = argument as { inFlight: number; seconds: number };
    const until = performance.now() + seconds * 1000;
    const latencies: number[] = [];
    const lane = async (): Promise<void> => {
      do {
        const started = performance.now();
        const root = await node.engine.create(tree(urls));
        await ended.of(root);
        const task = await node.engine.store.task(root);
        if (task?.status !== 'finished') throw new Error(`a tree ended as ${task?.status}`);
        latencies.push(performance.now() - started);
      } while (performance.now() < until);
    };
    await Promise.all(Array.from({ length: inFlight }, lane));
    ended.forget();
    return latencies;
  };
}
