/**
 * Bob's operator decides: the task waits in his node, however long, until somebody finishes it there; then it goes on with
 * what was decided. Here the program itself is the operator; a person uses `conclave --finish`.
 */
import { defineTask, external, simple } from 'conclave';
import { z } from 'zod';
import { finished, type Options, runAsProgram, twoNodes } from '../two-nodes.ts';

const queue = 'loan_queue';

const lend = defineTask(
  { queue, action: 'lend', input: z.object({ what: z.string() }) },
  ({ input }, ctx) => {
    ctx.add(
      external({ label: 'approve_loan', info: `Lend Alice the ${input.what}?`, data: input }),
      simple({ queue, action: 'hand_over', data: input }),
    );
  },
);

/** Runs when the decision is there: it is the output of the step before. */
const handOver = defineTask({ queue, action: 'hand_over' }, async (_task, ctx) => {
  const decision = z.object({ status: z.string() }).parse((await ctx.previous())?.output);
  ctx.setParentOutput(decision.status === 'accepted' ? 'here you are' : 'rather not');
});

export async function loan({ databases, print = () => {} }: Options, status = 'accepted'): Promise<unknown> {
  const { alice, bob, close } = await twoNodes({ alice: [], bob: [lend, handOver] }, { databases });
  try {
    const id = await alice.engine.create(
      simple({ receiver: bob.url, queue, action: 'lend', data: { what: 'lawn mower' } }),
    );
    const waiting = await decisionAt(bob);
    print(`Bob is asked: ${waiting.infoText}`);
    print(`Why does Alice wait? ${(await alice.engine.why(id)).sentence}`);
    await bob.engine.finishExternal(waiting.id, { status });
    const task = await finished(alice, id);
    print(`Bob: ${String(task.output)}`);
    return task.output;
  } finally {
    await close();
  }
}

/** The decision that waits at a node. */
async function decisionAt(node: Awaited<ReturnType<typeof twoNodes>>['bob']) {
  for (;;) {
    const [row] = await node.database.knex('tasks').where({ task_type: 'external', status: 'executing' });
    const task = row === undefined ? undefined : await node.engine.store.task(row.id);
    if (task !== undefined) return task;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

if (import.meta.main) await runAsProgram((options) => loan(options));
