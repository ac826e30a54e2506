/*
 * What must hold when all faults are over and everything has come to rest, read from the nodes' databases and logs:
 * nothing lost, nothing twice, nothing stuck, both ends agree (D10–D21).
 */
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { ChaosAuthority } from './authority.ts';
import type { AskedTree } from './trees.ts';
import { REFUSED } from './workflow.ts';

interface TaskRow {
  id: string;
  root: string;
  parent: string | null;
  label: string | null;
  type: string;
  action: string;
  queue: string;
  status: 'finished' | 'error' | string;
  received: boolean;
  peer: string | null;
  receiver: string;
  sender: string;
  output: unknown;
  error: { code: string; message: string; data?: unknown } | null;
  worker: string | null;
  job: string | null;
  slot: boolean;
}

export interface NodeRows {
  readonly authority: ChaosAuthority;
  readonly tasks: readonly TaskRow[];
  readonly byId: ReadonlyMap<string, TaskRow>;
  readonly effects: readonly { task: string; tree: string; times: number }[];
  readonly pending: readonly { id: string; action: string; receiver: string; error: unknown }[];
  /** Messages to other nodes that these have acknowledged. */
  readonly delivered: readonly { id: string; action: string; receiver: string }[];
  /** Ids of messages that were processed here. */
  readonly inbox: ReadonlySet<string>;
}

const TASKS = `select id, root_id as root, parent_id as parent, label, task_type as type, action, queue_name as queue,
  status, is_received as received, peer_id as peer, receiver_url as receiver, sender_url as sender, output_data as output,
  error, worker_id as worker, job, slot from tasks`;
const EFFECTS = 'select task_id as task, tree, count(*)::integer as times from chaos_effects group by 1, 2';
const PENDING = `select id, action, receiver_url as receiver, error from messages where state = 'pending'`;
const DELIVERED = `select id, action, receiver_url as receiver from messages
  where state = 'delivered' and not is_received and output_status between 200 and 299`;
const INBOX = 'select id from messages where is_received';
/** Ends that the sender decides while the receiver may work. */
const ENDED_BY_SENDER = new Set(['cancelled', 'expired', 'undeliverable']);

export async function readNode(authority: ChaosAuthority): Promise<NodeRows> {
  const { database } = authority;
  const tasks = await database.rows<TaskRow>(TASKS);
  return {
    authority,
    tasks,
    byId: new Map(tasks.map((task) => [task.id, task])),
    effects: await database.rows(EFFECTS),
    pending: await database.rows(PENDING),
    delivered: await database.rows(DELIVERED),
    inbox: new Set((await database.rows<{ id: string }>(INBOX)).map(({ id }) => id)),
  };
}

/** How much of a node is not at rest. */
export async function unrest({ database }: ChaosAuthority): Promise<number> {
  const [row] = await database.rows<{ number: number }>(
    `select ((select count(*) from tasks where status not in ('finished', 'error') or job is not null) +
       (select count(*) from messages where state = 'pending'))::integer as number`,
  );
  return row!.number;
}

/** Everything that is wrong. */
export function violations(nodes: readonly NodeRows[], trees: readonly AskedTree[]): string[] {
  const found: string[] = [];
  for (const node of nodes) {
    found.push(...atRest(node), ...exactlyOnce(node));
    for (const task of node.tasks) found.push(...agreement(node, task, nodes));
    found.push(...arrived(node, nodes));
  }
  for (const tree of trees) found.push(...treeEnded(tree, nodes));
  return found;
}

function atRest({ authority: { name }, tasks, pending }: NodeRows): string[] {
  const stuck = tasks.filter(({ status, job }) => !['finished', 'error'].includes(status) || job !== null);
  const held = tasks.filter(
    ({ status, worker, slot }) => ['finished', 'error'].includes(status) && (worker !== null || slot),
  );
  return [
    ...stuck.map((task) => `${name}: ${described(task)} is stuck in ${task.status}, job ${task.job}`),
    ...held.map((task) => `${name}: ${described(task)} has ended and still holds a worker or a slot`),
    ...pending.map(
      ({ id, action, receiver, error }) =>
        `${name}: the message ${id} (${action}) to ${receiver} was never delivered: ${JSON.stringify(error)}`,
    ),
  ];
}

/** One row per task that finished, none of one whose handler failed. */
function exactlyOnce({ authority: { name }, tasks, byId, effects }: NodeRows): string[] {
  const found: string[] = [];
  const times = new Map(effects.map((effect) => [effect.task, effect.times]));
  for (const [id, count] of times) {
    const task = byId.get(id);
    if (task === undefined) found.push(`${name}: a handler wrote for the task ${id}, which is not there`);
    else if (count > 1) found.push(`${name}: ${described(task)} took effect ${count} times`);
    else if (task.action === 'refuse')
      found.push(`${name}: ${described(task)} failed, and what it wrote is there`);
  }
  for (const task of tasks) {
    const executedHere = task.queue.startsWith('chaos') && task.receiver.startsWith('https') && isHere(task);
    if (executedHere && task.status === 'finished' && !times.has(task.id))
      found.push(`${name}: ${described(task)} finished without its effect`);
  }
  return found;
}

function isHere({ received, peer }: TaskRow): boolean {
  return received || peer === null;
}

/** A task that was sent is at its receiver, and both say the same of its end. */
function agreement(node: NodeRows, task: TaskRow, nodes: readonly NodeRows[]): string[] {
  if (isHere(task) && !task.received) return [];
  const url = task.received ? task.sender : task.receiver;
  const there = nodes.find(({ authority }) => authority.url === url);
  if (there === undefined) return [];
  const name = `${node.authority.name} and ${there.authority.name}: ${described(task)}`;
  const other = there.byId.get(task.id);
  if (task.received) return other === undefined ? [`${name} is unknown to its sender`] : [];
  const code = task.error?.code ?? '';
  if (code === 'not_started') return other === undefined ? [] : [`${name} was not started here, and arrived`];
  const ended = ENDED_BY_SENDER.has(code);
  if (other === undefined) return ended ? [] : [`${name} ended as ${task.status} and never arrived`];
  if (ended) return [];
  if (other.status !== task.status) return [`${name} is ${task.status} here and ${other.status} there`];
  if (JSON.stringify(other.output) !== JSON.stringify(task.output))
    return [`${name} has two outputs: ${JSON.stringify(task.output)} and ${JSON.stringify(other.output)}`];
  if (other.error?.code !== task.error?.code)
    return [`${name} has two errors: ${task.error?.code} and ${other.error?.code}`];
  return [];
}

/** What a receiver has acknowledged it has processed, and remembers: it would know it if it came again. */
function arrived({ authority: { name }, delivered }: NodeRows, nodes: readonly NodeRows[]): string[] {
  return delivered.flatMap(({ id, action, receiver }) => {
    const there = nodes.find(({ authority }) => authority.url === receiver);
    if (there === undefined || there.inbox.has(id)) return [];
    return [
      `${name} and ${there.authority.name}: the message ${id} (${action}) was acknowledged, and is lost`,
    ];
  });
}

function treeEnded({ label, node: name, expected, id }: AskedTree, nodes: readonly NodeRows[]): string[] {
  const { tasks } = nodes.find(({ authority }) => authority.name === name)!;
  const roots = tasks.filter((task) => task.label === label && task.parent === null);
  if (roots.length > 1) return [`${name}: ${label} is there ${roots.length} times`];
  const [root] = roots;
  if (root === undefined) return id === null ? [] : [`${name}: ${label} (${id}) was created, and is lost`];
  if (root.status !== expected.status)
    return [
      `${name}: ${label} (${root.id}) ended as ${root.status}, not ${expected.status}: ${JSON.stringify(root.error)}`,
    ];
  if (root.status === 'error' && deepestCode(root.error) !== REFUSED)
    return [`${name}: ${label} (${root.id}) does not say why it failed: ${JSON.stringify(root.error)}`];
  const rows = nodes
    .flatMap(({ effects }) => effects)
    .filter(({ tree }) => tree === label)
    .reduce((sum, { times }) => sum + times, 0);
  const right = expected.exactly ? rows === expected.rows : rows <= expected.rows;
  return right ? [] : [`${name}: ${label} (${root.id}) took effect ${rows} times, not ${expected.rows}`];
}

function deepestCode(error: TaskRow['error']): string | undefined {
  const { cause } = (error?.data ?? {}) as { cause?: TaskRow['error'] };
  return cause == null ? error?.code : deepestCode(cause);
}

function described({ action, id, label }: TaskRow): string {
  return `${action}${label === null ? '' : ` (${label})`} ${id}`;
}

export interface LogSummary {
  /** How often each message of level error was logged. */
  readonly errors: Readonly<Record<string, number>>;
  readonly lines: number;
  /** Lines that are not what a log's lines must be. */
  readonly damaged: number;
}

export async function readLog(file: string): Promise<LogSummary> {
  const errors: Record<string, number> = {};
  let [lines, damaged] = [0, 0];
  for await (const line of createInterface({ input: createReadStream(file) })) {
    lines += 1;
    try {
      const { level, msg } = JSON.parse(line) as { level: string; msg?: string };
      if (level !== 'error' && level !== 'fatal') continue;
      const key = `${level}: ${msg ?? ''}`.slice(0, 200);
      errors[key] = (errors[key] ?? 0) + 1;
    } catch {
      damaged += 1;
    }
  }
  return { errors, lines, damaged };
}
