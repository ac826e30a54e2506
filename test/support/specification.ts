/** The steps of a verification as docs/specification describes them. */
import { readFileSync } from 'node:fs';

/** By number; without what a party's number or a question's folder adds. */
export function describedSteps(): Map<number, string> {
  const text = ['verification.md', 'tally.md']
    .map((file) => readFileSync(new URL(`../../docs/specification/${file}`, import.meta.url), 'utf8'))
    .join('\n');
  const headings = [...text.matchAll(/^### (\d+)\. `(?:session\/)?([a-z-]+?)(?:-l)?`$/gm)];
  const steps = new Map(headings.map((match) => [Number(match[1]), match[2]!]));
  if (steps.size !== headings.length) throw new Error('two steps have the same number');
  return steps;
}
