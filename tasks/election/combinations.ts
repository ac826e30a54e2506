/**
 * Numbers for selections: all ways to choose from `n` answers, as a set or in order, are counted without gaps from 0,
 * so that a ballot carries as little as possible. Pure integer arithmetic; the caller keeps `n` sane.
 */

/** The number of `k`-element subsets of `n` things. */
export function binomial(n: number, k: number): bigint {
  if (k < 0 || k > n) return 0n;
  let result = 1n;
  for (let i = 1; i <= k; i += 1) result = (result * BigInt(n - k + i)) / BigInt(i);
  return result;
}

/**
 * How many selections there are of 0, 1, … `max` of `n` things, as sets or in order. For ordered selections, whose
 * numbers only grow, the list ends early with the first number that passes `bound`.
 */
export function countsBySize(n: number, max: number, ordered: boolean, bound: bigint): bigint[] {
  const counts = [1n];
  for (let size = 1; size <= Math.min(n, max); size += 1) {
    const more = counts[size - 1]! * BigInt(n - size + 1);
    counts.push(ordered ? more : more / BigInt(size));
    if (ordered && more > bound) break;
  }
  return counts;
}

/** The rank of an ascending subset among all of its size (combinatorial number system, colexicographic order). */
export function rankSubset(ascending: readonly number[]): bigint {
  return ascending.reduce((rank, element, at) => rank + binomial(element, at + 1), 0n);
}

/** The ascending subset of `k` of 0…n-1 with that rank, which must be below `binomial(n, k)`. */
export function unrankSubset(rank: bigint, n: number, k: number): number[] {
  const subset: number[] = [];
  let rest = rank;
  let element = n - 1;
  // binomial(element, size) is carried along: one multiplication and division for each step down.
  let count = k > 0 ? binomial(element, k) : 0n;
  for (let size = k; size > 0; size -= 1) {
    while (count > rest) {
      count = element > 0 ? (count * BigInt(element - size)) / BigInt(element) : 0n;
      element -= 1;
    }
    rest -= count;
    subset.unshift(element);
    if (size > 1) {
      element -= 1;
      count = binomial(element, size - 1);
    }
  }
  return subset;
}

/** The rank of an ordered selection of 0…n-1 among all of its length (mixed radix n, n-1, n-2, …). */
export function rankArrangement(selection: readonly number[], n: number): bigint {
  const left = Array.from({ length: n }, (_, element) => element);
  let rank = 0n;
  for (const element of selection) {
    const at = left.indexOf(element);
    rank = rank * BigInt(left.length) + BigInt(at);
    left.splice(at, 1);
  }
  return rank;
}

/** The ordered selection of `k` of 0…n-1 with that rank, which must be below their number. */
export function unrankArrangement(rank: bigint, n: number, k: number): number[] {
  const digits: number[] = [];
  let rest = rank;
  for (let radix = n - k + 1; radix <= n; radix += 1) {
    digits.unshift(Number(rest % BigInt(radix)));
    rest /= BigInt(radix);
  }
  const left = Array.from({ length: n }, (_, element) => element);
  return digits.map((digit) => left.splice(digit, 1)[0]!);
}
