/**
 * A tree: the letters of a word are counted at both nodes at the same time, then one more task adds the counts up. The
 * handler at Bob grows a subtree of its own, which Alice does not see.
 */
import { defineTask, type Json, parallel, sequential, simple } from 'conclave';
import { z } from 'zod';
import { finished, type Options, runAsProgram, twoNodes } from '../two-nodes.ts';

const queue = 'count_queue';
const word = z.object({ word: z.string() });

const countOne = defineTask({ queue, action: 'count_one', input: word }, ({ input }) => input.word.length);

/** Splits its word, counts both halves in subtasks, and answers with their sum when these have ended. */
const countHalves = defineTask({ queue, action: 'count_halves', input: word }, ({ input }, ctx) => {
  const middle = Math.floor(input.word.length / 2);
  const halves = [input.word.slice(0, middle), input.word.slice(middle)];
  ctx.add(
    parallel(halves.map((half) => simple({ queue, action: 'count_one', data: { word: half } }))),
    simple({ queue, action: 'add_up' }),
  );
});

/** Adds up what the tasks of the step before it gave, and makes it the output of the task above. */
const addUp = defineTask({ queue, action: 'add_up' }, async (_task, ctx) => {
  const before = await ctx.previous();
  const counts = before === undefined ? [] : await ctx.childrenOf(before.id);
  const sum: Json = counts.reduce((total, { output }) => total + Number(output), 0);
  ctx.setParentOutput(sum);
  return sum;
});

export async function taskTree({ databases, print = () => {} }: Options): Promise<unknown> {
  const nodes = { alice: [countOne, addUp], bob: [countOne, countHalves, addUp] };
  const { alice, bob, close } = await twoNodes(nodes, { databases });
  try {
    const id = await alice.engine.create(
      sequential([
        parallel([
          simple({ queue, action: 'count_one', data: { word: 'liberty' } }),
          simple({ receiver: bob.url, queue, action: 'count_halves', data: { word: 'equality' } }),
        ]),
        simple({ queue, action: 'add_up' }),
      ]),
    );
    const root = await finished(alice, id);
    print(`${String(root.output)} letters`);
    return root.output;
  } finally {
    await close();
  }
}

if (import.meta.main) await runAsProgram(taskTree);
