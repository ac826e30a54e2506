/*
 * Claims from a long queue: as fast from one in which a million tasks wait as from one of a thousand. What is compared is
 * the time of a claim by the task that it takes; rates of whole tasks are printed beside it.
 */
import type { BenchNode } from './harness.ts';
import { type Drained, LOCAL_COMMANDS, LOCAL_QUEUES, localDefinitions } from './local-load.ts';
import type { Scenario } from './scenario.ts';

const FEW = 1000;
const ROUNDS = 30;
const MANY = 1_000_000;

async function drained(node: BenchNode, tasks: number, seconds?: number): Promise<Drained> {
  return (await node.call(
    'drain',
    seconds === undefined ? { tasks } : { tasks, seconds },
  )) as unknown as Drained;
}

/** The median, in microseconds by task, over claims that took many. */
function claimTime(claims: Drained['claims']): number {
  const times = claims
    .filter(({ tasks }) => tasks >= 50)
    .map(({ tasks, milliseconds }) => (1000 * milliseconds) / tasks)
    .sort((one, other) => one - other);
  return Number((times[times.length >> 1] ?? 0).toPrecision(4));
}

export const backlog: Scenario = {
  name: 'backlog',
  about: `${MANY} waiting tasks: claims as fast as with ${FEW}, within 20 %`,
  nodes: [{ name: 'a', settings: { queues: LOCAL_QUEUES } }],
  definitions: localDefinitions,
  commands: LOCAL_COMMANDS,
  async run(bench) {
    const node = bench.node('a');
    const few: Drained['claims'] = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      await node.call('fill', { tasks: FEW });
      const { claims } = await drained(node, FEW);
      // The first rounds warm up.
      if (round >= ROUNDS / 3) few.push(...claims);
    }
    await node.call('fill', { tasks: MANY });
    let many: Drained['claims'] = [];
    const measured = await bench.measure(async () => {
      const { tasks, seconds, claims } = await drained(node, MANY, bench.seconds);
      many = claims;
      return { tasks, seconds };
    });
    const [short, long] = [claimTime(few), claimTime(many)];
    const further = {
      [`claim µs per task, ${FEW} waiting`]: short,
      [`claim µs per task, ${MANY} waiting`]: long,
      ratio: Number((long / short).toPrecision(3)),
    };
    return { ...measured, further };
  },
};
