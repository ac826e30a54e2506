/*
 * Synchronized tasks over three nodes: each starts when all three performers have reserved a slot. Measured are starts
 * a second, with as many trees under way as there are slots; then four directors at a time want the same two slots of
 * each performer, which is where reservations are taken from one another.
 */
import { defineTask } from '../../lib/engine/definitions.ts';
import { simple, synchronized as together } from '../../lib/engine/tree.ts';
import type { Json } from '../../lib/json.ts';
import type { Bench } from './harness.ts';
import { percentile } from './measurement.ts';
import type { Command, Scenario } from './scenario.ts';

const WIDE = 'meeting';
const NARROW = 'narrow_meeting';
const ACTION = 'meet';
const SLOTS = 64;
const FEW_SLOTS = 2;
const DIRECTORS = ['a', 'b', 'c', 'd'];
const PERFORMERS = ['a', 'b', 'c'];
/** What a start under contention may take at most, in seconds. */
const LONGEST_START = 5;

interface Load {
  readonly [name: string]: Json;
  readonly queue: string;
  readonly inFlight: number;
  readonly seconds: number;
}

interface Done {
  readonly [name: string]: Json;
  readonly latencies: number[];
}

/** Directs trees, so many at a time. A latency is from the creation of a tree to its end; its handlers do nothing. */
const meetings: Command = async ({ node, ended, urls }, argument) => {
  const { queue, inFlight, seconds } = argument as unknown as Load;
  const until = performance.now() + seconds * 1000;
  const latencies: number[] = [];
  const lane = async (): Promise<void> => {
    while (performance.now() < until) {
      const started = performance.now();
      const performers = PERFORMERS.map((name) => simple({ receiver: urls[name]!, queue, action: ACTION }));
      const id = await node.engine.create(together(performers));
      await ended.of(id);
      const task = await node.engine.store.task(id);
      if (task?.status !== 'finished') throw new Error(`a synchronized task ended as ${task?.status}`);
      latencies.push(performance.now() - started);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
  ended.forget();
  return { latencies } satisfies Done;
};

async function contention(bench: Bench): Promise<Record<string, number>> {
  const load = { queue: NARROW, inFlight: 1, seconds: Math.min(10, bench.seconds) };
  const done = await Promise.all(DIRECTORS.map((name) => bench.node(name).call<Done>('meetings', load)));
  const latencies = done.flatMap((each) => each.latencies).sort((one, other) => one - other);
  return {
    'contended starts/s': Number((latencies.length / load.seconds).toPrecision(4)),
    'contended median ms': percentile(latencies, 0.5) ?? 0,
    'contended longest ms': percentile(latencies, 1) ?? 0,
    'allowed longest ms': LONGEST_START * 1000,
  };
}

const queues = { [WIDE]: { max_threads: SLOTS }, [NARROW]: { max_threads: FEW_SLOTS } };

export const synchronized: Scenario = {
  name: 'synchronized',
  about: `synchronized tasks of 3 nodes, ${SLOTS} slots: at least 100 starts/s; 4 directors for 2 slots: none over 5 s`,
  nodes: DIRECTORS.map((name) => ({ name, settings: { queues } })),
  definitions: () => [WIDE, NARROW].map((queue) => defineTask({ queue, action: ACTION }, () => {})),
  commands: { meetings },
  async run(bench) {
    const director = bench.node('a');
    const load = { queue: WIDE, inFlight: SLOTS, seconds: bench.seconds };
    await director.call('meetings', { ...load, seconds: Math.min(2, bench.seconds) });
    const measured = await bench.measure(async () => {
      const { latencies } = await director.call<Done>('meetings', load);
      return { tasks: latencies.length, latencies };
    });
    return { ...measured, further: await contention(bench) };
  },
};
