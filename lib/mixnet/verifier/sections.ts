/** The steps of a report by the number under which docs/specification/verification.md describes them. */

/** Ids without the party's number, section 1 first. */
export const verificationSections = [
  'type',
  'session',
  'shufflers',
  'files',
  'active-threshold',
  'keys',
  'ciphertexts',
  'generators',
  'shuffle',
  'output',
  'correct-indices',
  'factors',
  'decryption-proof',
  'left-out',
  'decryption',
  'plaintexts',
] as const;

/** Section of a step, e.g. 9 for `shuffle-2`. */
export function sectionOf(id: string): number {
  const name = id.replace(/-\d+$/, '');
  const index = (verificationSections as readonly string[]).indexOf(name);
  if (index === -1) throw new Error(`no section describes the step ${id}`);
  return index + 1;
}
