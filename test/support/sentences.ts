/* Sentences whose ids and dates differ from run to run. */

const DATE = String.raw`\d{4}-\d\d-\d\dT[\d:.]+Z`;

/** Matches all of a text: `DATE` stands for any date, `…` for anything. */
export function sentence(text: string): RegExp {
  const escaped = text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`^${escaped.replaceAll('DATE', DATE).replaceAll('…', '.*')}$`);
}
