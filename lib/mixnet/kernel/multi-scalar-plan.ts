/** How a multi-scalar multiplication is cut into units, and how wide its windows are: from its size alone. */
import type { MultiScalarPlan } from './p256-job.ts';

/** Terms of one bucket pass. More do not make a term cheaper, and they would fall out of the cache. */
const MAX_CHUNK = 65536;
const MAX_WIDTH = 14;

/** Windows of `width` bits of a signed-digit scalar; as `windowCount` in assembly/p256/digits.ts. */
export function windowCount(width: number, bits: number): number {
  return Math.floor((bits + width) / width);
}

/**
 * The width with the fewest additions: each window adds every term once, then sums its 2^(width-1) buckets with two
 * additions each, in short batches that cost about a half more.
 */
export function bucketWidth(terms: number, bits: number): number {
  let best = 2;
  let least = Number.POSITIVE_INFINITY;
  for (let width = 2; width <= MAX_WIDTH; width++) {
    const additions = windowCount(width, bits) * (terms + 3 * 2 ** (width - 1));
    if (additions < least) {
      least = additions;
      best = width;
    }
  }
  return best;
}

/** @param threads how many threads will share the work: with few chunks, windows are shared out as well */
export function planMultiScalar(terms: number, bits: number, threads: number): MultiScalarPlan {
  const chunks = Math.max(1, Math.ceil(terms / MAX_CHUNK));
  const chunk = Math.ceil(terms / chunks);
  const width = bucketWidth(chunk, bits);
  const windows = windowCount(width, bits);
  const windowsPerRange = Math.ceil(windows / Math.min(windows, rangesWanted(terms, chunks, threads)));
  const ranges = Math.ceil(windows / windowsPerRange);
  return { width, windows, chunk, chunks, windowsPerRange, ranges };
}

/**
 * Every range reads its chunk's terms anew and sums its buckets by itself, which few terms are not worth; more ranges
 * than threads let a thread that is disturbed leave work to the others.
 */
function rangesWanted(terms: number, chunks: number, threads: number): number {
  if (threads === 1 || terms < 64) return 1;
  if (chunks === 1) return terms < 8192 ? threads : 2 * threads;
  return Math.ceil((4 * threads) / chunks);
}

/** How many windows are sorted and added at a time: enough for full batches, few enough for the cache. */
export function windowsAtATime(chunk: number, windows: number): number {
  return Math.max(1, Math.min(windows, Math.floor(MAX_CHUNK / Math.max(1, chunk))));
}
