/** The steps of a tally's verification by the number under which docs/specification describes them (EO-59). */
import { sectionOf, verificationSections } from '../../lib/mixnet/verifier/sections.ts';

/** Ids without the question's folder, in the order of docs/specification/tally.md; the first follows the proofs' last. */
export const tallySections = [
  'announced',
  'archive',
  'hash',
  'layout',
  'parameters',
  'key',
  'empty',
  'input',
  'votes',
  'count',
  'ballots',
  'joined',
  'results',
] as const;

/** Section of a step, e.g. 17 for `announced`, 21 for `<session>/parameters`, 9 for `<session>/shuffle-2`. */
export function tallySectionOf(id: string): number {
  const name = id.slice(id.indexOf('/') + 1);
  const index = (tallySections as readonly string[]).indexOf(name);
  return index === -1 ? sectionOf(name) : verificationSections.length + 1 + index;
}
