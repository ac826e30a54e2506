/*
 * The small trees of the chaos test: their shapes by seed, as plain data that crosses between processes, and the
 * definitions that nodes execute them with. Every handler writes exactly one row through `ctx.tx`: rows counted
 * afterwards say what was lost and what was done twice, whatever the engine's own tables say.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { Knex } from 'knex';
import { z } from 'zod';
import type { HandlerContext, TaskView } from '../../lib/engine/context.ts';
import {
  type DefinedContainer,
  type DefinedTask,
  defineContainer,
  defineTask,
  TaskError,
} from '../../lib/engine/definitions.ts';
import { parallel, sequential, simple, synchronized, type TreeNode } from '../../lib/engine/tree.ts';
import type { Json } from '../../lib/json.ts';
import type { Random } from '../simulation/random.ts';

/** Where handlers write. Nothing keeps a row from being there twice but the engine. */
export const EFFECTS_TABLE = `create table if not exists chaos_effects (
  task_id text not null, tree text not null, written timestamptz not null default clock_timestamp())`;

const LEAVES = ['write', 'stumble', 'refuse', 'meet'] as const;
type LeafAction = (typeof LEAVES)[number];

/** A tree: `at` are URLs of nodes, `pause` is how long a handler works, in milliseconds. */
export type Shape =
  | { kind: 'leaf'; action: LeafAction; at: string; pause: number }
  | { kind: 'grow'; at: string; pause: number; early: boolean; below: Shape }
  | { kind: 'sequential' | 'parallel' | 'synchronized' | 'recovering'; children: Shape[] };

const shape: z.ZodType<Shape> = z.lazy(() =>
  z.union([
    z.object({ kind: z.literal('leaf'), action: z.enum(LEAVES), at: z.string(), pause: z.number() }),
    z.object({
      kind: z.literal('grow'),
      at: z.string(),
      pause: z.number(),
      early: z.boolean(),
      below: shape,
    }),
    z.object({
      kind: z.enum(['sequential', 'parallel', 'synchronized', 'recovering']),
      children: z.array(shape),
    }),
  ]),
);

const QUEUE = 'chaos';
/** Few slots, so that directors compete for them. */
export const MEETING_QUEUE = 'chaos_meetings';
const input = z.object({ tree: z.string(), pause: z.number() });
const growing = input.extend({ early: z.boolean(), below: shape });
type Work = z.infer<typeof input>;

export function chaosDefinitions(): (DefinedTask | DefinedContainer)[] {
  return [
    defineTask({ queue: QUEUE, action: 'write', input }, work),
    defineTask(
      { queue: QUEUE, action: 'stumble', input, retry: { attempts: 3, initialDelay: 100 } },
      async (task, ctx) => {
        const done = await work(task, ctx);
        // What this attempt has written must go with it.
        if (task.attempt === 0) throw new Error('stumbled');
        return done;
      },
    ),
    defineTask({ queue: QUEUE, action: 'refuse', input }, async (task, ctx) => {
      await work(task, ctx);
      throw new TaskError('refused, as asked', undefined, REFUSED);
    }),
    defineTask({ queue: QUEUE, action: 'grow', input: growing }, async (task, ctx) => {
      ctx.add(treeOf(task.input.below, task.input.tree));
      if (!task.input.early) return work(task, ctx);
      // When its process has stood still for longer than its lease, all that is left to do is to report: that comes
      // before it finds out that others have taken the task over. They may be done sooner, and what they grew may run.
      await write(task, ctx);
      await pause(Math.random() < 0.5 ? task.input.pause : task.input.pause / 20);
      return { done: task.id };
    }),
    defineTask({ queue: MEETING_QUEUE, action: 'meet', input }, work, {
      reserve: () => ({ reserved: true }),
      cancelReservation: () => {},
    }),
    defineContainer({ name: 'chaos_recovers', handleError: (_task, _error, ctx) => ctx.recover() }),
  ];
}

export const REFUSED = 'chaos_refused';

async function work(task: TaskView<Work>, ctx: HandlerContext) {
  const { pause: milliseconds } = task.input;
  // Some handlers do not heed their signal: when others have taken their task over, only the fencing token stops them.
  await pause(milliseconds, undefined, milliseconds % 2 === 0 ? { signal: ctx.signal } : {});
  await write(task, ctx);
  return { done: task.id };
}

async function write({ id, input: { tree } }: TaskView<Work>, ctx: HandlerContext): Promise<void> {
  const transaction = await ctx.tx<Knex.Transaction>();
  await transaction('chaos_effects').insert({ task_id: id, tree });
}

/** `label` names the root, and with it everything that its handlers write. */
export function rootOf(what: Shape, label: string): TreeNode {
  return sequential([treeOf(what, label)], { label });
}

function treeOf(what: Shape, tree: string): TreeNode {
  if (what.kind === 'leaf') {
    const queue = what.action === 'meet' ? MEETING_QUEUE : QUEUE;
    const data = { tree, pause: what.pause };
    return simple({ receiver: what.at, queue, action: what.action, data });
  }
  if (what.kind === 'grow') {
    const { pause: milliseconds, early } = what;
    const data = { tree, pause: milliseconds, early, below: what.below as unknown as Json };
    return simple({ receiver: what.at, queue: QUEUE, action: 'grow', data });
  }
  const children = what.children.map((child) => treeOf(child, tree));
  if (what.kind === 'parallel') return parallel(children);
  if (what.kind === 'synchronized') return synchronized(children);
  return sequential(children, what.kind === 'recovering' ? { handler: 'chaos_recovers' } : {});
}

const DEPTH = 3;

/** A tree by seed. */
export function randomShape(random: Random, urls: readonly string[], depth = DEPTH): Shape {
  if (depth === DEPTH && random.chance(0.3)) return overtaken(random, urls[0]!);
  const at = random.pick(urls);
  const work = (): number => (random.chance(0.1) ? random.between(1000, 7000) : random.between(0, 150));
  const children = (): Shape[] =>
    Array.from({ length: random.between(1, 3) }, () => randomShape(random, urls, depth - 1));
  const dice = depth === 0 ? 0 : random.below(10);
  if (dice < 4) return { kind: 'leaf', action: random.chance(0.15) ? 'stumble' : 'write', at, pause: work() };
  if (dice < 6) {
    const pause = random.chance(0.3) ? random.between(1000, 7000) : work();
    return { kind: 'grow', at, pause, early: false, below: randomShape(random, urls, depth - 1) };
  }
  if (dice < 7) return { kind: 'sequential', children: children() };
  if (dice < 8) return { kind: 'parallel', children: children() };
  if (dice < 9) {
    const refusing: Shape = { kind: 'leaf', action: 'refuse', at, pause: work() };
    return { kind: random.chance(0.5) ? 'recovering' : 'sequential', children: [...children(), refusing] };
  }
  // Short: everybody else waits for the slots meanwhile.
  const meeting = urls.map((each): Shape => {
    return { kind: 'leaf', action: 'meet', at: each, pause: random.between(0, 150) };
  });
  return { kind: 'synchronized', children: meeting };
}

/**
 * At the node with two processes: one that stands still for longer than its lease reports when the other has done its task
 * already, and what it grew runs. What the late one would grow must not be there.
 */
function overtaken(random: Random, at: string): Shape {
  const below: Shape = { kind: 'leaf', action: 'write', at, pause: random.between(5000, 8000) };
  return { kind: 'grow', at, pause: random.between(2000, 7000), early: true, below };
}

export interface Expected {
  readonly status: 'finished' | 'error';
  /** Rows that all handlers together write: exactly so many, or, where an error may come first, at most. */
  readonly rows: number;
  readonly exactly: boolean;
}

/** What must come of a tree whatever fails meanwhile. */
export function expectedOf(what: Shape): Expected {
  if (what.kind === 'leaf') {
    const fails = what.action === 'refuse';
    return { status: fails ? 'error' : 'finished', rows: fails ? 0 : 1, exactly: true };
  }
  if (what.kind === 'grow') {
    const below = expectedOf(what.below);
    return { ...below, rows: below.rows + 1 };
  }
  const all = what.children.map(expectedOf);
  const failing = all.findIndex(({ status }) => status === 'error');
  // After an error, nothing more is started in a sequence; in a parallel tree the others go on.
  const begun = what.kind === 'parallel' || failing === -1 ? all : all.slice(0, failing + 1);
  return {
    status: failing === -1 || what.kind === 'recovering' ? 'finished' : 'error',
    rows: begun.reduce((sum, { rows }) => sum + rows, 0),
    exactly: begun.every(({ exactly }) => exactly) && (what.kind !== 'parallel' || failing === -1),
  };
}
