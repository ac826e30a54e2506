/** `conclave why ID`: what a task waits for, since when, what was tried, and what comes next (D18). */
import type { Command } from 'commander';
import { whyView } from '../operator/shown.ts';
import { findTask } from '../store/task-queries.ts';
import { type GlobalOptions, withEngine } from './node-access.ts';
import { shortId, taskLine } from './task-text.ts';
import { harmless, type Terminal } from './terminal.ts';

/** Labels of what `conclave approve` decides; other external tasks are their workflow's. */
const APPROVALS: ReadonlySet<string> = new Set(['approve_election', 'approve_election_tally']);

export function addWhy(program: Command, terminal: Terminal): void {
  program
    .command('why')
    .argument('<id>', 'a task; its id may be shortened')
    .description('say what a task waits for, since when, and what comes next')
    .action(async (id: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<GlobalOptions>();
      await withEngine(options, terminal, async ({ engine, opened }) => {
        const task = await findTask(opened.database.knex, id);
        const why = await engine.why(task.id);
        if (options.json) return terminal.out(JSON.stringify(whyView(why), null, 4));
        terminal.out(harmless(`* ${taskLine(task)}`));
        terminal.out(harmless(why.sentence));
        // What the operators of a peer are asked cannot be decided here.
        const asked = why.waitingFor === 'approval' ? await engine.store.task(why.taskId) : undefined;
        if (asked?.type === 'external') {
          const short = shortId(why.taskId);
          if (APPROVALS.has(asked.label ?? '')) {
            terminal.note(`Look at it and decide: conclave approve ${short}`);
            terminal.note(`or deny it:            conclave deny ${short} --reason TEXT`);
          } else {
            terminal.note(`Look at it: conclave --show-external ${short}`);
            terminal.note(`Decide:     conclave --finish ${short} '{"status": "accepted"}'`);
          }
        }
      });
    });
}
