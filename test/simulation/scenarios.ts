/** What is simulated: federations and what is asked of them. */
import type { FaultKind } from './faults.ts';
import type { Spec } from './handlers.ts';
import type { Random } from './random.ts';
import type { Plan, PlannedNode, Scenario } from './simulation.ts';

const ALL_FAULTS: readonly FaultKind[] = [
  'database',
  'database',
  'database',
  'request',
  'request',
  'partition',
  'outage',
  'crash',
  'restart',
  'stall',
  'clock',
  'slow',
];

function nodes(random: Random, least: number, most: number, workers = 2): PlannedNode[] {
  const count = random.between(least, most);
  return Array.from({ length: count }, (_, index) => ({
    name: 'abcdefg'[index]!,
    processes: random.between(1, workers),
  }));
}

function plan(made: Pick<Plan, 'nodes' | 'requests'> & Partial<Plan>): Plan {
  return { slots: { left: 100, right: 100 }, faults: ALL_FAULTS, mostFaults: 8, horizon: 3000, ...made };
}

function ask(create: Spec, node = 'a', at = 20, name = 'root'): Plan['requests'][number] {
  return { at, node, create, name };
}

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'simple',
    about: 'one task, here or at a peer',
    plan: (random) => {
      const made = nodes(random, 2, 2);
      const on = random.pick(['a', 'b', 'b']);
      const does = random.pick(['work', 'plain', 'fail', 'flaky'] as const);
      return plan({
        nodes: made,
        requests: [ask({ is: 'simple', on, does, takes: random.pick([0, 0, 5, 300]) })],
      });
    },
  },
];
