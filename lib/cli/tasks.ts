/** `conclave tasks`, `tree`, `retry`, `cancel`: task trees, and what an operator may do about them (D18, D50). */
import { setTimeout as pause } from 'node:timers/promises';
import type { Command } from 'commander';
import { cancelTask, retryTask, tasks } from '../operator/tasks.ts';
import type { TaskStatus } from '../operator/views.ts';
import { findTask } from '../store/task-queries.ts';
import { dated } from './approvals.ts';
import { type GlobalOptions, withEngine } from './node-access.ts';
import {
  confirm,
  type OperatorOptions,
  operatorOf,
  operatorOption,
  withOperations,
} from './operator-access.ts';
import { explanationsOf, treeText } from './original-flags.ts';
import { UsageError } from './outcome.ts';
import { fittedTable } from './table.ts';
import { shortId, taskLine } from './task-text.ts';
import { harmless, type Terminal } from './terminal.ts';

interface ListOptions extends GlobalOptions {
  readonly limit: number;
  readonly status?: string;
  readonly action?: string;
  readonly text?: string;
  readonly why?: boolean;
}

const STATUSES: readonly TaskStatus[] = [
  'created',
  'sent',
  'syncing',
  'reserved',
  'confirmed',
  'executing',
  'finished',
  'error',
];

export function addTasks(program: Command, terminal: Terminal, whole: (text: string) => number): void {
  program
    .command('tasks')
    .description('list tasks, newest first')
    .option('--status <status>', `only those: ${STATUSES.join(', ')}`)
    .option('--action <name>', 'only those of this action')
    .option('--text <text>', 'only those whose id, label or action contains it')
    .option('--why', 'with what each of them waits for')
    .option('-n, --limit <number>', 'how many at most', whole, 20)
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<ListOptions>();
      const { limit, status, action, text, why } = options;
      if (status !== undefined && !STATUSES.includes(status as TaskStatus))
        throw new UsageError(`there is no status ${status}; there are ${STATUSES.join(', ')}`);
      await withOperations(options, terminal, async (services) => {
        const { items } = await tasks(services, {
          limit: Math.min(Math.max(limit, 1), 500),
          ...(status === undefined ? {} : { status: status as TaskStatus }),
          ...(action === undefined ? {} : { action }),
          ...(text === undefined ? {} : { text }),
          why: why === true,
        });
        if (options.json) return terminal.out(JSON.stringify(items, null, 4));
        const rows = items.map((task) => [
          shortId(task.id),
          task.action,
          task.label ?? '',
          task.type,
          task.status,
          task.peer?.name ?? 'here',
          dated(task.created_date),
          ...(why ? [task.why ?? ''] : []),
        ]);
        const headings = [
          'id',
          'action',
          'label',
          'type',
          'status',
          'with',
          'created',
          ...(why ? ['why'] : []),
        ];
        terminal.out(fittedTable(headings, rows, terminal.columns));
      });
    });

  program
    .command('tree')
    .argument('<id>', 'a task; its id may be shortened')
    .description('show a task with everything below it')
    .option('--with-parents', 'and everything above it')
    .option('--why', 'and below each task that waits, what it waits for')
    .option('--watch', 'go on showing it until it has ended')
    .action(async (id: string, _: unknown, command: Command) => {
      const options = command.optsWithGlobals<TreeOptions>();
      if (options.json && options.watch) throw new UsageError('--watch does not go with --json');
      await withEngine(options, terminal, async ({ engine, opened }) => {
        const { knex } = opened.database;
        const explain = options.why ? explanationsOf(engine) : undefined;
        const asked = { tree: id, withParents: options.withParents, json: options.json };
        let shown = '';
        for (;;) {
          const { text, ended } = await treeText(knex, asked, explain);
          if (text !== shown) terminal.out(shown === '' ? text : `\n${text}`);
          shown = text;
          if (!options.watch || ended) return;
          await pause(WATCH_MILLISECONDS);
        }
      });
    });

  const cancel = program
    .command('cancel')
    .argument('<id>', 'a task; its id may be shortened')
    .requiredOption('--reason <text>', 'why; it becomes the error of the task')
    .option('--yes', 'do not ask')
    .description('end a task and everything below it');
  operatorOption(cancel).action(async (id: string, _: unknown, command: Command) => {
    const options = command.optsWithGlobals<OperatorOptions & { reason: string; yes?: boolean }>();
    const operator = operatorOf(options);
    await withOperations(options, terminal, async (services, db) => {
      const task = await findTask(db, id);
      terminal.note(harmless(taskLine(task)));
      if (!options.yes) await confirm('Cancel it, and everything below it?', 'For scripts: --yes');
      await cancelTask(services, task.id, { reason: options.reason, operator });
      terminal.out(options.json ? JSON.stringify({ id: task.id, status: 'cancelled' }) : 'Cancelled.');
    });
  });

  const retry = program
    .command('retry')
    .argument('<id>', 'a request that has failed; its id may be shortened')
    .description('ask again for an election or a tally that has failed');
  operatorOption(retry).action(async (id: string, _: unknown, command: Command) => {
    const options = command.optsWithGlobals<OperatorOptions>();
    await withOperations(options, terminal, async (services, db) => {
      const task = await findTask(db, id);
      const again = await retryTask(services, task.id, operatorOf(options));
      terminal.out(
        options.json
          ? JSON.stringify({ id: task.id, again })
          : `Asked again: conclave tree ${shortId(again)}`,
      );
    });
  });
}

interface TreeOptions extends GlobalOptions {
  readonly withParents?: boolean;
  readonly why?: boolean;
  readonly watch?: boolean;
}

const WATCH_MILLISECONDS = 500;
