/** Alice asks Bob to say hello; Bob's answer is the output of her task. */
import { defineTask, simple } from 'conclave';
import { z } from 'zod';
import { finished, type Options, runAsProgram, twoNodes } from '../two-nodes.ts';

const sayHello = defineTask(
  { queue: 'say_queue', action: 'hello_world', input: z.object({ username: z.string() }) },
  (task, ctx) => `hello ${task.input.username}, says ${ctx.node.name}`,
);

export async function helloWorld({ databases, print = () => {} }: Options): Promise<unknown> {
  const { alice, bob, close } = await twoNodes({ alice: [], bob: [sayHello] }, { databases });
  try {
    const id = await alice.engine.create(
      simple({ receiver: bob.url, queue: 'say_queue', action: 'hello_world', data: { username: 'Alice' } }),
    );
    const task = await finished(alice, id);
    print(String(task.output));
    return task.output;
  } finally {
    await close();
  }
}

if (import.meta.main) await runAsProgram(helloWorld);
