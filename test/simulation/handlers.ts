/**
 * What simulated nodes can do, and the grammar of the trees that they are asked for. Every handler leaves a trace in
 * its transaction, so that it can be counted how often its effects happened.
 */
import type { HandlerContext, TaskView } from '../../lib/engine/context.ts';
import {
  defineContainer,
  defineTask,
  type Handler,
  Registry,
  TaskError,
} from '../../lib/engine/definitions.ts';
import {
  external,
  parallel,
  sequential,
  simple,
  synchronized,
  type TreeNode,
} from '../../lib/engine/tree.ts';
import type { Json } from '../../lib/json.ts';
import type { Handle } from './memory-store.ts';
import type { SimulatedNodeName } from './node.ts';
import { urlOf } from './node.ts';

export interface Spec {
  is: 'simple' | 'sequential' | 'parallel' | 'synchronized' | 'external';
  /** Simple: which node executes it; absent: the one that has it. */
  on?: string;
  /** Simple: the action. */
  does?: Action;
  queue?: string;
  /** How long its handler takes, in milliseconds. */
  takes?: number;
  /** Milliseconds from the creation of the tree. */
  expires?: number;
  asks?: number;
  quorum?: number;
  quorumWait?: number;
  endsTogether?: boolean;
  handler?: 'director' | 'rescuer';
  below?: Spec[];
}

export type Action = 'work' | 'plain' | 'fail' | 'flaky' | 'grow' | 'rescue' | 'meet' | 'steps';
export const QUEUES = ['left', 'right'] as const;

export interface Input {
  takes: number;
  below: Spec[];
  /** When the tree was asked for, in milliseconds of 1970. */
  asked: number;
}

export function build(spec: Spec, asked: number): TreeNode {
  const common = {
    ...(spec.expires === undefined ? {} : { expirationDate: new Date(asked + spec.expires) }),
    ...(spec.asks === undefined ? {} : { pingbackDate: new Date(asked + spec.asks) }),
  };
  const below = (spec.below ?? []).map((one) => build(one, asked));
  const handler = spec.handler === undefined ? {} : { handler: spec.handler };
  const quorum = spec.quorum === undefined ? {} : { quorum: spec.quorum, quorumWait: spec.quorumWait ?? 0 };
  switch (spec.is) {
    case 'simple':
      return simple({
        ...common,
        queue: spec.queue ?? 'left',
        action: spec.does ?? 'work',
        ...(spec.on === undefined ? {} : { receiver: urlOf(spec.on) }),
        data: { takes: spec.takes ?? 0, below: (spec.below ?? []) as unknown as Json, asked },
      });
    case 'external':
      return external({ ...common, label: 'decision' });
    case 'sequential':
      return sequential(below, { ...common, ...handler });
    case 'parallel':
      return parallel(below, { ...common, ...handler, ...quorum, endsTogether: spec.endsTogether === true });
    case 'synchronized':
      return synchronized(below, { ...common, ...handler, ...quorum });
  }
}

/** Whether the tree may end in an error although nothing goes wrong around it. */
export function mayFail({ does, expires, below = [] }: Spec): boolean {
  return does === 'fail' || expires !== undefined || below.some(mayFail);
}

function inputOf(task: TaskView): Input {
  return task.input as Input;
}

/** Takes its time, on its machine's clock; ends at once when it is aborted. */
async function takeTime(task: TaskView, ctx: HandlerContext): Promise<void> {
  const { machine } = ctx.node as SimulatedNodeName;
  const { node } = machine;
  const fault =
    node.occasions.any && node.world.now <= node.horizon
      ? node.occasions.slow(node.name, node.calls)
      : undefined;
  node.calls += 1;
  const takes = (inputOf(task).takes ?? 0) + (fault?.milliseconds ?? 0);
  if (takes > 0) await machine.sleep(takes);
  // Half of them heed the signal.
  if (machine.random() < 0.5) ctx.signal.throwIfAborted();
}

async function leaveTrace(task: TaskView, ctx: HandlerContext, what: string): Promise<void> {
  const tx = await ctx.tx<Handle>();
  await tx.add(task.id, what);
}

/** What a task that was done answers. */
export function resultOf(taskId: string): Json {
  return { done: taskId };
}

const work: Handler = async (task, ctx) => {
  await takeTime(task, ctx);
  await leaveTrace(task, ctx, 'execute');
  return resultOf(task.id);
};

const actions: Record<
  Action,
  Parameters<typeof defineTask> extends [unknown, ...infer Rest] ? Rest : never
> = {
  work: [work],
  /** Without a transaction of its own. */
  plain: [
    async (task, ctx) => {
      await takeTime(task, ctx);
      return resultOf(task.id);
    },
  ],
  fail: [
    async (task, ctx) => {
      await takeTime(task, ctx);
      await leaveTrace(task, ctx, 'execute');
      throw new TaskError(`failed ${task.id}`);
    },
  ],
  /** Fails the first time, after it has written. */
  flaky: [
    async (task, ctx) => {
      await takeTime(task, ctx);
      await leaveTrace(task, ctx, 'execute');
      if (task.attempt === 0) throw new Error(`failed ${task.id} for the first time`);
      return resultOf(task.id);
    },
  ],
  grow: [
    async (task, ctx) => {
      await takeTime(task, ctx);
      await leaveTrace(task, ctx, 'execute');
      const { below, asked } = inputOf(task);
      ctx.add(...below.map((spec) => build(spec, asked)));
      return resultOf(task.id);
    },
  ],
  /** As `grow`; errors below it are handled by one more step. */
  rescue: [
    async (task, ctx) => {
      await leaveTrace(task, ctx, 'execute');
      const { below, asked } = inputOf(task);
      ctx.add(...below.map((spec) => build(spec, asked)));
    },
    {
      async handleError(task, _error, ctx) {
        await leaveTrace(task, ctx, 'handle_error');
        ctx.add(simple({ queue: 'left', action: 'work', data: { takes: 0, below: [], asked: 0 } }));
        ctx.recover(resultOf(task.id));
      },
    },
  ],
  /** Performer of a synchronized task that reserves something of its own. */
  meet: [
    work,
    {
      async reserve(task, ctx) {
        await leaveTrace(task, ctx, 'reserve');
        return { reserved: task.id };
      },
      async cancelReservation(task, ctx) {
        await leaveTrace(task, ctx, 'free');
      },
    },
  ],
  /** Decides as it goes: appends to its parent. */
  steps: [
    async (task, ctx) => {
      await leaveTrace(task, ctx, 'execute');
      const { below, asked } = inputOf(task);
      const trees = below.map((spec) => build(spec, asked));
      if (task.parentId !== null) ctx.addToParent(...trees);
      ctx.progress({ done: 1, total: 2 });
      return resultOf(task.id);
    },
  ],
};

export function createRegistry(): Registry {
  const registry = new Registry();
  for (const queue of QUEUES)
    for (const [action, [handler, hooks]] of Object.entries(actions))
      registry.add(
        defineTask(
          {
            queue,
            action,
            idempotent: action === 'plain',
            ...(action === 'flaky' ? { retry: { attempts: 20, initialDelay: 50 } } : {}),
          },
          handler,
          hooks,
        ),
      );
  registry.add(
    defineContainer({
      name: 'director',
      newReservation: (child, ctx) => leaveTrace(child, ctx, 'new_reservation'),
      cancelledReservation: (child, ctx) => leaveTrace(child, ctx, 'cancelled_reservation'),
      preExecute: (task, ctx) => leaveTrace(task, ctx, 'pre_execute'),
    }),
  );
  registry.add(
    defineContainer({
      name: 'rescuer',
      async handleError(task, _error, ctx) {
        await leaveTrace(task, ctx, 'handle_error');
        ctx.recover(resultOf(task.id));
      },
    }),
  );
  return registry;
}
