/*
 * Trees. `tree`: of 100 tasks, in three levels, over two nodes; `wide` and `deep`: one tree with very many children, which
 * must cost per task what a tree of a tenth costs, and little memory.
 */
import { parallel, sequential, type TreeNode } from '../../lib/engine/tree.ts';
import type { Bench } from './harness.ts';
import { LOCAL_COMMANDS, LOCAL_QUEUES, localDefinitions, noop, treesOf } from './local-load.ts';
import type { Measurement } from './measurement.ts';
import type { Command, Scenario } from './scenario.ts';

const IN_FLIGHT = 40;
const STEPS = 3;
const BRANCHES = 32;
const TASKS = 1 + STEPS * (1 + BRANCHES);

function times(count: number, make: (place: number) => TreeNode): TreeNode[] {
  return Array.from({ length: count }, (_, place) => make(place));
}

/** Every other leaf is the other node's. */
const trees = treesOf(({ b }) =>
  sequential(times(STEPS, () => parallel(times(BRANCHES, (place) => noop(place % 2 === 0 ? undefined : b))))),
);

export const tree: Scenario = {
  name: 'tree',
  about: `trees of ${TASKS} tasks, a sequence of parallels, over two nodes: at least 2,000 tasks a second`,
  nodes: ['a', 'b'].map((name) => ({ name, settings: { queues: LOCAL_QUEUES } })),
  definitions: localDefinitions,
  commands: { ...LOCAL_COMMANDS, trees },
  async run(bench) {
    const node = bench.node('a');
    await node.call('trees', { inFlight: IN_FLIGHT, seconds: Math.min(3, bench.seconds) });
    return bench.measure(async () => {
      const latencies = await node.call<number[]>('trees', { inFlight: IN_FLIGHT, seconds: bench.seconds });
      return { tasks: latencies.length * TASKS, latencies };
    });
  },
};

/** One tree with so many children. */
const one: Command = async (tools, argument) => {
  const { kind, children } = argument as { kind: 'wide' | 'deep'; children: number };
  const container = kind === 'wide' ? parallel : sequential;
  return treesOf(() => container(times(children, () => noop())))(tools, { inFlight: 1, seconds: 0 });
};

const SMALLER = 10;

async function whole(bench: Bench, kind: 'wide' | 'deep', children: number): Promise<Measurement> {
  const node = bench.node('a');
  const run = (size: number) =>
    bench.measure(async () => {
      const latencies = await node.call<number[]>('one', { kind, children: size });
      return { tasks: latencies.length * (size + 1) };
    });
  await node.call('one', { kind, children: children / SMALLER });
  const small = await run(children / SMALLER);
  const large = await run(children);
  const cpu = ({ cpu: spent, tasks }: Measurement) =>
    Object.values(spent).reduce((sum, each) => sum + each, 0) / tasks;
  const further = {
    children,
    'CPU per task, to that of a tenth': Number((cpu(large) / cpu(small)).toPrecision(3)),
    'allowed memory, MiB': 512,
  };
  return { ...large, further };
}

function single(kind: 'wide' | 'deep', children: number, about: string): Scenario {
  return {
    name: kind,
    about: `${about} of ${children} tasks: linear cost, memory under 512 MiB`,
    nodes: [{ name: 'a', settings: { queues: LOCAL_QUEUES } }],
    definitions: localDefinitions,
    commands: { one },
    run: (bench) => whole(bench, kind, children),
  };
}

export const wide = single('wide', 100_000, 'one parallel task');
export const deep = single('deep', 10_000, 'one sequence');
