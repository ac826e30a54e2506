/*
 * Prints the transition tables of docs/engine.md from TRANSITIONS (D3), so that none is described that does not exist;
 * a test compares the two. `node lib/engine/transitions-doc.ts docs/engine.md` renews them in place.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { pathToFileURL } from 'node:url';
import type { EventType } from './events.ts';
import type { Status } from './model.ts';
import { type Rule, TRANSITIONS } from './transitions.ts';

const START = '<!-- transitions: printed by lib/engine/transitions-doc.ts -->';
const END = '<!-- end of transitions -->';

type Rules = Partial<Record<EventType, Rule<EventType>>>;

/** The document with its tables replaced. @throws Error when it has no place for them */
export function withTransitions(document: string): string {
  const start = document.indexOf(START);
  const end = document.indexOf(END);
  if (start < 0 || end < start) throw new Error(`the document has no part between ${START} and ${END}`);
  return `${document.slice(0, start + START.length)}\n\n${transitionTables()}\n${document.slice(end)}`;
}

/** Rules that hold in every status of a task that has not ended, first; then each status with its own. */
export function transitionTables(): string {
  const table = Object.entries(TRANSITIONS) as [Status, Rules][];
  const open = table.filter(([status]) => status !== 'finished' && status !== 'error');
  const common = (Object.keys(open[0]![1]) as EventType[]).filter((event) =>
    open.every(([, rules]) => rules[event]?.does === open[0]![1][event]?.does),
  );
  const lines = ['### In every status but finished and error', '', ...head()];
  for (const event of common) lines.push(row(event, open[0]![1][event]!, open[0]![0]));
  for (const [status, rules] of table) {
    const own = (Object.keys(rules) as EventType[]).filter(
      (event) => !common.includes(event) || !open.some(([name]) => name === status),
    );
    lines.push('', `### ${status}`, '');
    if (own.length === 0) lines.push('Nothing further.');
    else lines.push(...head(), ...own.map((event) => row(event, rules[event]!, null)));
  }
  return `${lines.join('\n')}\n`;
}

function head(): string[] {
  return ['| event | leads to | what is done |', '|---|---|---|'];
}

/** `same`: the status for which “as it is” is printed. */
function row(event: EventType, { to, does }: Rule<EventType>, same: Status | null): string {
  const targets = to.map((status) => (status === same ? 'as it is' : status));
  return `| ${event} | ${targets.join(', ')} | ${does} |`;
}

const [, script, path] = process.argv;
if (script !== undefined && import.meta.url === pathToFileURL(script).href && path !== undefined)
  await writeFile(path, withTransitions(await readFile(path, 'utf8')));
