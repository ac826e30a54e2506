/** How wide a fixed base's window is: from the number of exponents that will use its table. */
import { windowCount } from './multi-scalar-plan.ts';

/** 13 bits make a table of 6 MB for 256-bit scalars; wider ones fall out of the cache. */
const MAX_WIDTH = 13;

/** The width with the fewest additions, those that make the table included. */
export function fixedBaseWidth(count: number, bits: number): number {
  let best = 2;
  let least = Number.POSITIVE_INFINITY;
  for (let width = 2; width <= MAX_WIDTH; width++) {
    const additions = windowCount(width, bits) * (count + 2 ** (width - 1));
    if (additions < least) {
      least = additions;
      best = width;
    }
  }
  return best;
}
