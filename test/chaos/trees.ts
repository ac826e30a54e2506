/* The stream of small trees, and what must have come of each of them. */
import { setTimeout as pause } from 'node:timers/promises';
import type { Random } from '../simulation/random.ts';
import type { ChaosAuthority } from './authority.ts';
import { type Expected, expectedOf, randomShape } from './workflow.ts';

export interface AskedTree {
  readonly label: string;
  readonly node: string;
  readonly expected: Expected;
  /** Null: nobody knows whether it was created. */
  id: string | null;
}

export class Trees {
  readonly asked: AskedTree[] = [];
  readonly #authorities: readonly ChaosAuthority[];
  readonly #random: Random;
  readonly #pauseMilliseconds: number;

  constructor(authorities: readonly ChaosAuthority[], random: Random, pauseMilliseconds: number) {
    this.#authorities = authorities;
    this.#random = random;
    this.#pauseMilliseconds = pauseMilliseconds;
  }

  /** A tree every now and then at one of the processes that run, until `signal`. */
  async run(signal: AbortSignal): Promise<void> {
    const urls = this.#authorities.map(({ url }) => url);
    const asking = new Set<Promise<unknown>>();
    while (!signal.aborted) {
      const authority = this.#random.pick(this.#authorities);
      const shape = randomShape(this.#random, urls);
      const ready = authority.processes.filter((each) => each.ready);
      if (ready.length > 0) {
        const label = `tree-${this.asked.length + 1}`;
        const tree: AskedTree = { label, node: authority.name, expected: expectedOf(shape), id: null };
        this.asked.push(tree);
        const asked = this.#random.pick(ready).create(label, shape);
        const noted = asked.then((id) => {
          tree.id = id;
          asking.delete(noted);
        });
        asking.add(noted);
      }
      await pause(this.#pauseMilliseconds, undefined, { signal }).catch(() => {});
    }
    await Promise.all(asking);
  }
}
