/** What is simulated: federations and what is asked of them. */
import type { FaultKind } from './faults.ts';
import type { Action, Spec } from './handlers.ts';
import type { Random } from './random.ts';
import type { Plan, PlannedNode, Request, Scenario } from './simulation.ts';

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
  'forgery',
];

function nodes(random: Random, least: number, most: number, workers = 3): PlannedNode[] {
  const count = random.between(least, most);
  return Array.from({ length: count }, (_, index) => ({
    name: 'abcdefg'[index]!,
    processes: random.between(1, workers),
  }));
}

function plan(made: Pick<Plan, 'nodes' | 'requests'> & Partial<Plan>): Plan {
  return { slots: { left: 100, right: 100 }, faults: ALL_FAULTS, mostFaults: 8, horizon: 3000, ...made };
}

function ask(create: Spec, node = 'a', at = 20, name = 'root'): Request {
  return { at, node, create, name };
}

function task(random: Random, among: readonly PlannedNode[], does: Action = 'work'): Spec {
  const on = random.pick(among).name;
  return { is: 'simple', on, does, takes: random.pick([0, 0, 0, 10, 300]) };
}

function tasks(random: Random, among: readonly PlannedNode[], least: number, most: number): Spec[] {
  return Array.from({ length: random.between(least, most) }, () =>
    task(random, among, random.pick(['work', 'work', 'plain'])),
  );
}

function everywhere(among: readonly PlannedNode[], of: Omit<Spec, 'on'>): Spec[] {
  return among.map(({ name }) => ({ ...of, on: name }));
}

function some<T>(random: Random, items: readonly T[], count: number): T[] {
  const left = [...items];
  return Array.from({ length: count }, () => left.splice(random.below(left.length), 1)[0]!);
}

/** A tree of the grammar: about so many tasks. */
function tree(random: Random, among: readonly PlannedNode[], size: number, depth = 0): Spec {
  if (size <= 1 || depth > 3) return leaf(random, among);
  const is = random.pick([
    'sequential',
    'sequential',
    'parallel',
    'parallel',
    'synchronized',
    'simple',
  ] as const);
  if (is === 'synchronized') {
    const director = random.chance(0.5) ? ({ handler: 'director' } as const) : {};
    // At different nodes: one that has fewer slots than it is to reserve never would.
    const below = some(random, among, random.between(1, Math.min(3, among.length))).map((node) =>
      task(random, [node], random.pick(['work', 'meet', 'meet', 'grow', 'fail'])),
    );
    return { is, below, ...director };
  }
  const count = random.between(1, 3);
  const below = Array.from({ length: count }, () => tree(random, among, (size - 1) / count, depth + 1));
  if (is === 'simple')
    return { ...task(random, among, random.pick(['grow', 'grow', 'rescue', 'steps'])), below };
  const rescuer = random.chance(0.3) ? ({ handler: 'rescuer' } as const) : {};
  const quorum =
    is === 'parallel' && random.chance(0.3)
      ? { quorum: random.between(1, count), quorumWait: random.pick([0, 1]) }
      : {};
  return { is, below, ...rescuer, ...quorum };
}

function leaf(random: Random, among: readonly PlannedNode[]): Spec {
  const dates = {
    ...(random.chance(0.1) ? { expires: random.between(1, 4000) } : {}),
    ...(random.chance(0.1) ? { asks: random.between(1, 2000) } : {}),
  };
  if (random.chance(0.1)) return { is: 'external', ...dates };
  const does = random.pick(['work', 'work', 'work', 'plain', 'flaky', 'fail', 'meet'] as const);
  const queue = random.pick(['left', 'left', 'right']);
  return { ...task(random, among, does), queue, ...dates };
}

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'simple',
    about: 'one task, here or at a peer',
    plan: (random) => {
      const made = nodes(random, 2, 2);
      const does = random.pick(['work', 'plain', 'fail', 'flaky'] as const);
      return plan({ nodes: made, requests: [ask(task(random, [made[0]!, made[1]!, made[1]!], does))] });
    },
  },
  {
    name: 'sequential',
    about: 'steps at several nodes, one after the other',
    plan: (random) => {
      const made = nodes(random, 2, 3);
      return plan({ nodes: made, requests: [ask({ is: 'sequential', below: tasks(random, made, 2, 4) })] });
    },
  },
  {
    name: 'parallel',
    about: 'tasks at several nodes at the same time, over narrow queues',
    plan: (random) => {
      const made = nodes(random, 2, 3);
      const below = tasks(random, made, 2, 5);
      const slots = { left: random.between(1, 2), right: 100 };
      return plan({ nodes: made, slots, requests: [ask({ is: 'parallel', below })] });
    },
  },
  {
    name: 'synchronized',
    about: 'a common start, by reservations',
    plan: (random) => {
      const made = nodes(random, 2, 4);
      const does = random.pick(['work', 'meet'] as const);
      const below = everywhere(made, { is: 'simple', does, takes: random.pick([0, 20]) });
      const director = random.chance(0.5) ? ({ handler: 'director' } as const) : {};
      const slots = { left: random.between(1, 2), right: 100 };
      return plan({ nodes: made, slots, requests: [ask({ is: 'synchronized', below, ...director })] });
    },
  },
  {
    name: 'external',
    about: 'decisions from outside, here and at peers',
    plan: (random) => {
      const made = nodes(random, 2, 3);
      const below = everywhere(made, { is: 'simple', does: 'grow', below: [{ is: 'external' }] });
      return plan({ nodes: made, requests: [ask({ is: 'parallel', below })] });
    },
  },
  {
    name: 'takeover',
    about: 'the workers of one node stall and die, and take over from one another',
    plan: (random) => {
      const does = random.pick(['grow', 'steps', 'flaky', 'rescue'] as const);
      const below: Spec[] = [{ is: 'simple', does: 'plain', takes: random.pick([0, 3000]) }];
      const grown: Spec = { is: 'simple', does, takes: random.between(200, 3000), below };
      return plan({
        nodes: [{ name: 'a', processes: random.between(2, 3) }],
        requests: [ask({ is: 'sequential', below: [grown] })],
        settings: { leaseSeconds: 1 },
        faults: ['stall', 'stall', 'stall', 'database', 'crash', 'slow', 'clock', 'outage'],
      });
    },
  },
  {
    name: 'grammar',
    about: 'trees of all types, mixed',
    plan: (random) => {
      const made = nodes(random, 2, 4);
      const slots = { left: random.pick([1, 2, 100]), right: random.pick([1, 100]) };
      const size = random.between(2, 9);
      return plan({ nodes: made, slots, requests: [ask(tree(random, made, size))] });
    },
  },
  {
    name: 'directors',
    about: 'synchronized tasks of several directors, which want the same slots',
    plan: (random) => {
      const made = nodes(random, 2, 3);
      const does = random.pick(['work', 'meet'] as const);
      const handler = random.chance(0.3) ? ({ handler: 'director' } as const) : {};
      const requests = made.map(({ name }) =>
        ask(
          { is: 'synchronized', ...handler, below: everywhere(made, { is: 'simple', does, takes: 10 }) },
          name,
          random.between(10, 60),
          `root of ${name}`,
        ),
      );
      return plan({ nodes: made, slots: { left: 1, right: 100 }, requests });
    },
  },
  {
    name: 'cancellation',
    about: 'trees that somebody calls off',
    plan: (random) => {
      const made = nodes(random, 2, 3);
      const cancel: Request = { at: random.between(20, 600), node: 'a', cancel: 'root' };
      return plan({ nodes: made, requests: [ask(tree(random, made, random.between(2, 6))), cancel] });
    },
  },
  {
    name: 'expiration',
    about: 'tasks whose time is short',
    plan: (random) => {
      const made = nodes(random, 2, 3);
      const expires = random.between(1, 2500);
      const below = tasks(random, made, 1, 3).map((spec) => ({
        ...spec,
        takes: random.pick([0, 500]),
        ...(random.chance(0.5) ? { expires } : {}),
        ...(random.chance(0.3) ? { asks: random.between(1, 1500) } : {}),
      }));
      const is = random.pick(['sequential', 'parallel', 'synchronized'] as const);
      const whole = random.chance(0.3) ? { expires: random.between(1, 2500) } : {};
      return plan({ nodes: made, requests: [ask({ is, below, ...whole })] });
    },
  },
  {
    name: 'quorum',
    about: 'k of n suffice, and some fail',
    plan: (random) => {
      const made = nodes(random, 3, 4);
      const below = everywhere(made, { is: 'simple' }).map((spec) => ({
        ...spec,
        does: random.pick(['work', 'work', 'meet', 'fail'] as const),
        takes: random.pick([0, 0, 500, 1500]),
      }));
      const is = random.pick(['parallel', 'synchronized'] as const);
      const quorum = random.between(1, made.length);
      return plan({
        nodes: made,
        requests: [
          ask({ is, below, quorum, quorumWait: random.pick([0, 0.2, 1]), endsTogether: quorum % 2 === 0 }),
        ],
      });
    },
  },
  {
    name: 'original',
    about: 'one of the peers is an original frestq, which repeats itself and never retries',
    plan: (random) => {
      const made = nodes(random, 1, 2);
      const all: PlannedNode[] = [...made, { name: 'o', processes: 1, original: true }];
      const is = random.pick(['sequential', 'parallel', 'synchronized'] as const);
      // What it loses is asked for again; what cannot be asked for expires.
      const its: Spec = { is: 'simple', on: 'o', does: 'plain', asks: 400, expires: 30_000 };
      const count = is === 'synchronized' ? 1 : random.between(1, 2);
      const below = [...tasks(random, made, 1, 2), ...Array.from({ length: count }, () => its)];
      const sent = Array.from({ length: random.between(0, 2) }, (_, index): Request => {
        const taskId = random.chance(0.7) ? `o-${index}` : null;
        const action = random.pick(['work', 'grow', 'fail', 'meet'] as const);
        return { at: random.between(10, 1500), node: 'o', to: random.pick(made).name, action, taskId };
      });
      return plan({ nodes: all, requests: [ask({ is, below }), ...sent] });
    },
  },
  {
    name: 'creation',
    about: 'an election is created: approvals, a common key generation, publication',
    plan: (random) => {
      const made = nodes(random, 2, 7, 2);
      const approvals = everywhere(made, { is: 'simple', does: 'grow', below: [{ is: 'external' }] });
      const questions = Array.from(
        { length: random.between(1, 2) },
        (): Spec => ({
          is: 'synchronized',
          handler: 'director',
          below: everywhere(made, { is: 'simple', does: 'meet', queue: 'right', takes: 5 }),
        }),
      );
      const below: Spec[] = [
        { is: 'parallel', below: approvals, endsTogether: true },
        { is: 'sequential', below: questions },
        { is: 'parallel', below: everywhere(made, { is: 'simple', does: 'work' }) },
        { is: 'simple', does: 'plain' },
      ];
      const root: Spec = { is: 'simple', does: 'rescue', below: [{ is: 'sequential', below }] };
      return plan({ nodes: made, slots: { left: 2, right: 1 }, requests: [ask(root)], mostFaults: 12 });
    },
  },
  {
    name: 'tally',
    about: 'an election is tallied: the shuffles follow one another, t of n decrypt',
    plan: (random) => {
      const made = nodes(random, 3, 7, 2);
      const threshold = random.between(2, made.length);
      const shuffles = everywhere(made.slice(0, threshold), { is: 'simple', does: 'steps', takes: 5 });
      const decrypt = everywhere(made, { is: 'simple', does: 'work', queue: 'right', takes: 5 });
      const below: Spec[] = [
        {
          is: 'parallel',
          below: everywhere(made, { is: 'simple', does: 'grow', below: [{ is: 'external' }] }),
          endsTogether: true,
        },
        { is: 'synchronized', below: everywhere(made, { is: 'simple', does: 'meet' }) },
        { is: 'sequential', below: shuffles },
        { is: 'parallel', below: decrypt, quorum: threshold, quorumWait: 0.2 },
        { is: 'simple', does: 'plain' },
      ];
      return plan({
        nodes: made,
        slots: { left: 1, right: 1 },
        requests: [ask({ is: 'sequential', below })],
        mostFaults: 12,
      });
    },
  },
];
