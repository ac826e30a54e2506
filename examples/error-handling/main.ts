/**
 * Errors travel up the tree, with the name of the node where they happened, until a handler recovers: Bob has no more
 * oranges, Alice takes apples instead. What fails for a moment only is tried again, and nobody hears of it.
 */
import { defineTask, simple, TaskError } from 'conclave';
import { z } from 'zod';
import { finished, type Options, runAsProgram, twoNodes } from '../two-nodes.ts';

const queue = 'fruit_queue';
const order = z.object({ fruit: z.string() });

/** A `TaskError` is final; any other error is tried again, here up to three times. */
const deliver = defineTask(
  { queue, action: 'deliver', input: order, retry: { attempts: 3, initialDelay: 20 } },
  ({ input, attempt }) => {
    if (input.fruit === 'oranges') throw new TaskError('there are no oranges left', { left: 0 });
    if (attempt === 0) throw new Error('the cart has a flat tyre');
    return `a basket of ${input.fruit}, at attempt ${attempt + 1}`;
  },
);

const ask = (url: string, fruit: string) =>
  simple({ receiver: url, queue, action: 'deliver', data: { fruit } });

const shopping = defineTask(
  { queue, action: 'shop', input: order.extend({ at: z.url() }) },
  ({ input }, ctx) => {
    ctx.add(ask(input.at, input.fruit));
  },
  {
    handleError({ input }, error, ctx) {
      ctx.recover(`apples, because ${error.message} (at ${error.node})`);
      ctx.add(ask(input.at, 'apples'));
    },
  },
);

export async function shop({
  databases,
  print = () => {},
}: Options): Promise<{ output: unknown; basket: unknown }> {
  const { alice, bob, close } = await twoNodes({ alice: [shopping], bob: [deliver] }, { databases });
  try {
    const id = await alice.engine.create(
      simple({ queue, action: 'shop', data: { fruit: 'oranges', at: bob.url } }),
    );
    const { output } = await finished(alice, id);
    const basket = (await alice.engine.store.childrenOf(id)).at(-1)?.output;
    print(`Alice takes ${String(output)}`);
    print(`Bob delivers ${String(basket)}`);
    return { output, basket };
  } finally {
    await close();
  }
}

if (import.meta.main) await runAsProgram(shop);
