/**
 * Both nodes start together, or not at all: each reserves first, and says what it offers; when all have reserved, Alice
 * decides what each gets to do, and both begin.
 */
import { defineContainer, defineTask, type Json, simple, synchronized } from 'conclave';
import { z } from 'zod';
import { finished, type Options, runAsProgram, twoNodes } from '../two-nodes.ts';

const queue = 'music_queue';

/** Known at the start only: until then nobody plays with anybody. */
const alone = { together_with: [] };

const play = defineTask(
  { queue, action: 'play', input: z.object({ together_with: z.array(z.string()) }) },
  ({ input }, ctx) => `${ctx.node.name} plays with ${input.together_with.join(' and ')}`,
  {
    // What is returned here is what the director learns before the start. A throw would refuse.
    reserve: (_task, ctx) => ({ musician: ctx.node.name }),
  },
);

/** At the director: all have reserved; from what they said, each gets its input. */
const concert = defineContainer({
  name: 'concert',
  async preExecute(_task, ctx) {
    const children = await ctx.children();
    const musicians = children.map(
      ({ reservationData }) => z.object({ musician: z.string() }).parse(reservationData).musician,
    );
    for (const [index, { id }] of children.entries()) {
      const others: Json = musicians.filter((_, other) => other !== index);
      ctx.setInput(id, { together_with: others });
    }
  },
});

export async function concertOfTwo({ databases, print = () => {} }: Options): Promise<Json[]> {
  const { alice, bob, close } = await twoNodes({ alice: [play, concert], bob: [play] }, { databases });
  try {
    const id = await alice.engine.create(
      synchronized(
        [
          simple({ queue, action: 'play', data: alone }),
          simple({ receiver: bob.url, queue, action: 'play', data: alone }),
        ],
        { handler: 'concert' },
      ),
    );
    await finished(alice, id);
    const outputs = (await alice.engine.store.childrenOf(id)).map(({ output }) => output);
    for (const output of outputs) print(String(output));
    return outputs;
  } finally {
    await close();
  }
}

if (import.meta.main) await runAsProgram(concertOfTwo);
