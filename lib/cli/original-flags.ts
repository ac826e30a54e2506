/**
 * The original's commands, which are flags of the program itself (FQ-C1…C14, EO-52), with the original's output. Repaired:
 * a short id that means several tasks is refused with the candidates, columns to filter by are an allow-list, nothing goes
 * on to start a node, and no certificate fills the screen.
 */
import { type Command, Option } from 'commander';
import type { Knex } from 'knex';
import { resetTally } from '../../tasks/tally/request.ts';
import type { Engine } from '../engine/engine.ts';
import { hasEnded, type Task } from '../engine/model.ts';
import type { Why } from '../engine/why.ts';
import { ConclaveError } from '../errors.ts';
import type { Json } from '../json.ts';
import { openNodeDatabase } from '../node/node-database.ts';
import { askedBy } from '../operator/approvals.ts';
import { whyView } from '../operator/shown.ts';
import { listWorkers, queueActivity } from '../store/activity.ts';
import { listPeers } from '../store/peers.ts';
import {
  ancestors,
  findMessage,
  findTask,
  listMessages,
  listTasks,
  MESSAGE_FILTERS,
  subtree,
  TASK_FILTERS,
} from '../store/task-queries.ts';
import { suggestion } from '../suggestion.ts';
import { type GlobalOptions, settingsOf, withDatabase, withEngine } from './node-access.ts';
import { CommandFailed, UsageError } from './outcome.ts';
import { shortened, table, tableDate } from './table.ts';
import { externalText, messageRecord, shortId, taskRecord, treeLines } from './task-text.ts';
import { harmless, type Terminal } from './terminal.ts';

interface Flags extends GlobalOptions {
  createdb?: boolean;
  tasks?: boolean;
  messages?: boolean;
  tree?: string;
  showTask?: string;
  showMessage?: string;
  showExternal?: string;
  finish?: string[];
  showActivity?: boolean;
  resetTally?: string;
  filters?: string[];
  limit: number;
  withParents?: boolean;
  why?: boolean;
}

type Handler = (flags: Flags, terminal: Terminal) => Promise<void>;

const COMMANDS: readonly (readonly [keyof Flags, Handler])[] = [
  ['createdb', createDatabase],
  ['tasks', showTasks],
  ['messages', showMessages],
  ['tree', showTree],
  ['showTask', showTask],
  ['showMessage', showMessage],
  ['showExternal', showExternal],
  ['finish', finish],
  ['showActivity', showActivity],
  ['resetTally', reset],
];

const GROUP = "The original's commands (of a node, running or not):";

export function addOriginalFlags(program: Command, whole: (text: string) => number): void {
  const add = (flags: string, description: string): void => {
    program.addOption(new Option(flags, description).helpGroup(GROUP));
  };
  add('--tasks', 'list tasks, newest first');
  add('--messages', 'list messages, newest first');
  add('--filters <column=value...>', 'only those, for example "task_type=external" "status=executing"');
  program.addOption(
    new Option('-n, --limit <number>', 'how many are listed at most')
      .argParser(whole)
      .default(20)
      .helpGroup(GROUP),
  );
  add('--tree <id>', 'show a task with everything below it; an id may be shortened');
  add('--with-parents', 'with --tree: and everything above it');
  add('--why', 'with --tree: and below each task that waits, what it waits for');
  add('--show-task <id>', 'show all of a task');
  add('--show-message <id>', 'show all of a message');
  add('--show-external <id>', 'show what is to be decided');
  add(
    '--finish <id-and-json...>',
    `decide: --finish ID '{"status": "accepted"}', or "denied" with a "reason"`,
  );
  add('--show-activity', 'show what happens in each queue');
  add('--createdb', 'make the database and its tables, and say where it is');
  add('--reset-tally <election>', 'allow this authority to tally an election again');
}

/** Whether one of the flags was given: then nothing else may be. */
export function givenFlags(flags: object): string[] {
  return [
    ...COMMANDS.map(([name]) => name),
    'filters' as const,
    'withParents' as const,
    'why' as const,
  ].filter((name) => (flags as Flags)[name] !== undefined);
}

/** False when none of the commands was asked for. */
export async function runOriginalFlags(flags: Flags, terminal: Terminal): Promise<boolean> {
  const asked = COMMANDS.filter(([name]) => flags[name] !== undefined);
  const [first] = asked;
  if (asked.length > 1) {
    throw new UsageError(
      `one command at a time: ${asked.map(([name]) => spelt(name)).join(', ')} were given`,
    );
  }
  if (flags.filters !== undefined && first?.[0] !== 'tasks' && first?.[0] !== 'messages') {
    throw new UsageError('--filters goes with --tasks or --messages');
  }
  if (flags.withParents && first?.[0] !== 'tree') throw new UsageError('--with-parents goes with --tree');
  if (flags.why && first?.[0] !== 'tree') throw new UsageError('--why goes with --tree');
  if (flags.limit < 1) throw new UsageError('--limit must be at least 1');
  if (first === undefined) return false;
  await first[1](flags, terminal);
  return true;
}

export function spelt(name: string): string {
  return `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/** Other names of columns: the headings of the tables. */
const ALIASES: ReadonlyMap<string, string> = new Map([
  ['queue', 'queue_name'],
  ['small id', 'id'],
  ['type', 'task_type'],
]);

function filtersOf(texts: readonly string[] | undefined, columns: object): Record<string, string> {
  const filters = (texts ?? []).map((text) => {
    const [, name, value] = /^([^=]*)=(.*)$/s.exec(text) ?? [];
    if (name === undefined || value === undefined)
      throw new UsageError(`--filters: "${text}" is not COLUMN=VALUE`);
    const column = ALIASES.get(name) ?? name;
    if (!Object.hasOwn(columns, column)) {
      const names = Object.keys(columns);
      const meant = suggestion(column, names) || `; there are ${names.join(', ')}`;
      throw new UsageError(`--filters: there is no column ${column}${meant}`);
    }
    return [column, value] as const;
  });
  return Object.fromEntries(filters);
}

async function createDatabase(flags: Flags, terminal: Terminal): Promise<void> {
  const settings = await settingsOf(flags, terminal);
  const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
  const opened = await openNodeDatabase(settings, silent, {
    applicationName: 'conclave createdb',
    poolSize: 2,
  });
  await opened.close();
  const { shownAs: database, migrated } = opened;
  if (flags.json) return terminal.out(JSON.stringify({ database, migrated }));
  terminal.out(`using the database ${database}`);
  terminal.out(
    migrated.length === 0 ? 'its tables are up to date' : `made its tables: ${migrated.join(', ')}`,
  );
}

async function showTasks(flags: Flags, terminal: Terminal): Promise<void> {
  const filters = filtersOf(flags.filters, TASK_FILTERS);
  await withDatabase(flags, terminal, async ({ knex }) => {
    const tasks = await listTasks(knex, { filters, limit: flags.limit });
    if (flags.json) return terminal.out(JSON.stringify(tasks.map(taskRecord), null, 4));
    const rows = tasks.map((task) => [
      shortId(task.id),
      task.senderUrl,
      task.action,
      task.queue,
      task.type,
      task.status,
      tableDate(task.createdDate),
    ]);
    terminal.out(
      table(['small id', 'sender_url', 'action', 'queue', 'task_type', 'status', 'created_date'], rows),
    );
  });
}

const SHOWN_INPUT = 30;

async function showMessages(flags: Flags, terminal: Terminal): Promise<void> {
  const filters = filtersOf(flags.filters, MESSAGE_FILTERS);
  await withDatabase(flags, terminal, async ({ knex }) => {
    const messages = await listMessages(knex, { filters, limit: flags.limit });
    if (flags.json) return terminal.out(JSON.stringify(messages.map(messageRecord), null, 4));
    const rows = messages.map((message) => [
      shortId(message.id),
      message.senderUrl,
      message.action,
      message.queue,
      tableDate(message.createdDate),
      shortened(JSON.stringify(message.data) ?? '', SHOWN_INPUT),
      message.state,
    ]);
    const headings = ['small id', 'sender_url', 'action', 'queue', 'created_date', 'input_data', 'state'];
    terminal.out(table(headings, rows));
  });
}

async function showTree(flags: Flags, terminal: Terminal): Promise<void> {
  const asked = { ...flags, tree: flags.tree! };
  if (flags.why !== true)
    return await withDatabase(flags, terminal, async ({ knex }) =>
      terminal.out((await treeText(knex, asked)).text),
    );
  await withEngine(flags, terminal, async ({ engine, opened }) =>
    terminal.out((await treeText(opened.database.knex, asked, explanationsOf(engine))).text),
  );
}

type Explain = (tasks: readonly Task[]) => Promise<Map<string, Why>>;

export function explanationsOf(engine: Engine): Explain {
  return (tasks) => whysOf(engine, tasks);
}

/** A task with everything below it, as it is printed; and whether the topmost has ended. */
export async function treeText(
  knex: Knex,
  flags: { tree: string; json?: boolean | undefined; withParents?: boolean | undefined },
  explain?: Explain,
): Promise<{ text: string; ended: boolean }> {
  const asked = await findTask(knex, flags.tree);
  const [top = asked] = flags.withParents ? await ancestors(knex, asked.id) : [];
  const [tasks, peers] = await Promise.all([subtree(knex, top.id), listPeers(knex)]);
  const whys = await explain?.(tasks);
  if (flags.json) {
    const records = tasks.map((task) => {
      const why = whys?.get(task.id);
      return whys === undefined ? taskRecord(task) : { ...taskRecord(task), why: why ? whyView(why) : null };
    });
    return { text: JSON.stringify(records, null, 4), ended: hasEnded(top) };
  }
  const lines = treeLines(tasks, asked.id, peers, whys).map((line) => line.replace(/\s*\n\s*/g, ' '));
  return { text: harmless(lines.join('\n')), ended: hasEnded(top) };
}

/** More would take longer than an operator watches. */
const MAX_EXPLAINED = 500;

/** Why each unfinished task waits; of a tree that has failed, by which task it did. */
async function whysOf(engine: Engine, tasks: readonly Task[]): Promise<Map<string, Why>> {
  const whys = new Map<string, Why>();
  const [top] = tasks;
  if (top?.status === 'error') {
    const why = await engine.why(top.id);
    whys.set(why.taskId, { ...why, sentence: (await engine.why(why.taskId)).sentence });
  }
  for (const task of tasks.filter((one) => !hasEnded(one)).slice(0, MAX_EXPLAINED))
    whys.set(task.id, await engine.why(task.id));
  return whys;
}

async function showTask(flags: Flags, terminal: Terminal): Promise<void> {
  await withDatabase(flags, terminal, async ({ knex }) => {
    terminal.out(JSON.stringify(taskRecord(await findTask(knex, flags.showTask!)), null, 4));
  });
}

async function showMessage(flags: Flags, terminal: Terminal): Promise<void> {
  await withDatabase(flags, terminal, async ({ knex }) => {
    terminal.out(JSON.stringify(messageRecord(await findMessage(knex, flags.showMessage!)), null, 4));
  });
}

async function showExternal(flags: Flags, terminal: Terminal): Promise<void> {
  await withDatabase(flags, terminal, async ({ knex }) => {
    const task = await findTask(knex, flags.showExternal!);
    if (task.type !== 'external') throw new CommandFailed(`task ${flags.showExternal} is not external`);
    if (flags.json) return terminal.out(JSON.stringify(taskRecord(task), null, 4));
    terminal.out(harmless(externalText(task)));
    if (task.status === 'executing') {
      terminal.note(`Decide: conclave --finish ${shortId(task.id)} '{"status": "accepted"}'`);
      terminal.note(`    or: conclave --finish ${shortId(task.id)} '{"status": "denied", "reason": "…"}'`);
    }
  });
}

async function finish(flags: Flags, terminal: Terminal): Promise<void> {
  const [prefix, text, ...rest] = flags.finish!;
  if (prefix === undefined || text === undefined || rest.length > 0) {
    throw new UsageError(
      `--finish needs an id and one JSON text, in quotes: --finish ID '{"status": "accepted"}'`,
    );
  }
  const data = parseFinishData(text);
  await withEngine(flags, terminal, async ({ engine, opened, settings }) => {
    const { knex } = opened.database;
    const task = await findTask(knex, prefix);
    const { id } = task;
    // The original's way knows no second operator.
    if (settings.approvals_required > 1 && (await askedBy(knex, task)) !== undefined)
      throw new ConclaveError('is_approval', { taskId: prefix });
    try {
      await engine.finishExternal(id, data);
    } catch (thrown) {
      if (thrown instanceof ConclaveError && thrown.code === 'not_external') {
        throw new CommandFailed(`task ${prefix} is not external`, undefined, { cause: thrown });
      }
      throw thrown;
    }
    if (flags.json) terminal.out(JSON.stringify({ id, output_data: data }));
    else terminal.out(`task ${shortId(id)} is finished`);
  });
}

function parseFinishData(text: string): Json {
  try {
    return JSON.parse(text) as Json;
  } catch (cause) {
    const hint = `Put the JSON into single quotes: '{"status": "accepted"}'`;
    throw new CommandFailed('error loading the json finish data', hint, { cause });
  }
}

async function showActivity(flags: Flags, terminal: Terminal): Promise<void> {
  await withDatabase(flags, terminal, async ({ knex }, settings) => {
    const [queues, workers] = await Promise.all([queueActivity(knex), listWorkers(knex)]);
    const rows = queues.map((queue) => ({
      ...queue,
      max_threads: settings.queues[queue.queue]?.max_threads ?? null,
    }));
    if (flags.json) return terminal.out(JSON.stringify({ queues: rows, workers }, null, 4));
    const headings = ['queue', 'max_threads', 'executing', 'waiting', 'unfinished', 'errors (24 h)'];
    terminal.out(
      table(
        headings,
        rows.map((row) =>
          [
            row.queue,
            row.max_threads ?? 'default',
            row.executing,
            row.waiting,
            row.unfinished,
            row.errors,
          ].map(String),
        ),
      ),
    );
    const alive = workers.filter(({ alive: lives }) => lives);
    terminal.out(alive.length === 0 ? 'no worker is running: conclave start' : 'workers:');
    for (const { name, started_date } of alive) terminal.out(`  ${name} since ${started_date.toISOString()}`);
  });
}

async function reset(flags: Flags, terminal: Terminal): Promise<void> {
  const text = flags.resetTally!;
  const electionId = /^[1-9]\d{0,14}$/.test(text) ? Number(text) : text;
  await withEngine(flags, terminal, async ({ services }) => {
    const count = await resetTally(services, electionId);
    if (flags.json) terminal.out(JSON.stringify({ election_id: electionId, reset: count }));
    else
      terminal.out(
        `election ${text}: ${count} tally/tallies reset; it can be tallied again as far as we are asked`,
      );
  });
}
