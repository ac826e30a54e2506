/** What somebody who mistyped a name may have meant: settings, commands, columns. */

/** A suggestion further away than this helps nobody. */
const MAX_DISTANCE = 3;

/** `: did you mean …?`, or what is known when that is little, or nothing. */
export function suggestion(name: string, known: readonly string[]): string {
  const ranked = known
    .map((candidate) => ({ candidate, distance: editDistance(name.toLowerCase(), candidate.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance);
  const [best] = ranked;
  if (best !== undefined && best.distance <= Math.min(MAX_DISTANCE, Math.ceil(name.length / 2))) {
    return `: did you mean ${best.candidate}?`;
  }
  return known.length > 0 && known.length <= 8 ? ` (known: ${known.join(', ')})` : '';
}

/** Levenshtein's distance: insertions, deletions and replacements of one character. */
function editDistance(from: string, to: string): number {
  let previous = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (let row = 1; row <= from.length; row++) {
    const current = [row];
    for (let column = 1; column <= to.length; column++) {
      const replaced = previous[column - 1]! + (from[row - 1] === to[column - 1] ? 0 : 1);
      current.push(Math.min(replaced, previous[column]! + 1, current[column - 1]! + 1));
    }
    previous = current;
  }
  return previous.at(-1)!;
}
