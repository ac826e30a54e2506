/** Messages for operators: search, one message with what became of it, dead letters once more (D21). */
import type { Knex } from 'knex';
import { hasEnded } from '../engine/model.ts';
import type { Failure } from '../errors.ts';
import { ConclaveError } from '../errors.ts';
import type { Json } from '../json.ts';
import { OUTBOX_CHANNEL } from '../store/outbox.ts';
import { readTask } from '../store/tasks.ts';
import type { OperatorServices } from './services.ts';
import { ALLOWED, dateText, failureView, refused } from './shown.ts';
import { nameOf } from './tasks.ts';
import type { MessageState, MessageSummary, MessageView, Page, Permission } from './views.ts';

export interface MessageQuery {
  readonly after?: string | undefined;
  readonly limit?: number | undefined;
  readonly peer?: string | undefined;
  readonly direction?: 'sent' | 'received' | undefined;
  readonly state?: MessageState | undefined;
  readonly action?: string | undefined;
  readonly task?: string | undefined;
  readonly text?: string | undefined;
}

interface Row {
  sequence: number;
  id: string;
  isReceived: boolean;
  peerId: string | null;
  queue: string;
  action: string;
  taskId: string | null;
  state: MessageState;
  attempts: number;
  createdDate: Date;
  settledDate: Date | null;
  error: Failure | null;
}

interface WholeRow extends Row {
  senderUrl: string;
  receiverUrl: string;
  data: Json;
  infoText: string | null;
  deadline: Date | null;
  nextAttempt: Date;
  status: number | null;
}

const LISTED = `seq::float8 as sequence, id, is_received as "isReceived", peer_id as "peerId", queue_name as queue, action,
  task_id as "taskId", state, attempts, created_date as "createdDate", settled_date as "settledDate", error`;

/** Newest first. */
export async function messages(
  services: OperatorServices,
  query: MessageQuery,
): Promise<Page<MessageSummary>> {
  const limit = Math.max(1, Math.min(query.limit ?? 50, 500));
  const parts: string[] = ['true'];
  const bindings: (string | number | boolean)[] = [];
  const add = (part: string, ...values: (string | number | boolean)[]): void => {
    parts.push(part);
    bindings.push(...values);
  };
  if (query.after !== undefined) add('seq < ?', sequenceOf(query.after));
  if (query.peer !== undefined) add('peer_id = ?', query.peer);
  if (query.direction !== undefined) add('is_received = ?', query.direction === 'received');
  if (query.state !== undefined) add('state = ?', query.state);
  if (query.action !== undefined) add('action = ?', query.action);
  if (query.task !== undefined) add('task_id = ?', query.task);
  if (query.text !== undefined && query.text !== '')
    add(
      '(starts_with(id, ?) or starts_with(task_id, ?) or strpos(action, ?) > 0)',
      query.text,
      query.text,
      query.text,
    );
  const { rows } = await services.db.raw<{ rows: Row[] }>(
    `select ${LISTED} from messages where ${parts.join(' and ')} order by seq desc limit ?`,
    [...bindings, limit + 1],
  );
  const items = rows.slice(0, limit).map((row) => summaryOf(services, row));
  return { items, next: rows.length > limit ? String(items.at(-1)!.sequence) : null };
}

/** @throws ConclaveError `message_not_found` */
export async function message(services: OperatorServices, sequence: string): Promise<MessageView> {
  const row = await demandMessage(services.db, sequence);
  const tried = row.isReceived ? [] : attemptsOf(row);
  return {
    ...summaryOf(services, row),
    sender_url: row.senderUrl,
    receiver_url: row.receiverUrl,
    data: row.data,
    info_text: row.infoText,
    deadline: dateText(row.deadline),
    next_attempt: row.state === 'pending' ? dateText(row.nextAttempt) : null,
    output_status: row.status,
    delivery_attempts: tried,
    resend: await mayResend(services, row),
  };
}

/** Of several attempts the last one is known. */
function attemptsOf({
  attempts,
  settledDate,
  createdDate,
  status,
  error,
}: WholeRow): MessageView['delivery_attempts'] {
  if (attempts === 0) return [];
  const date = (settledDate ?? createdDate).toISOString();
  return [{ attempt: attempts, date, status, error: failureView(error) }];
}

/**
 * Offers a dead letter to its peer again, for a day.
 * @throws ConclaveError `message_not_found`, `not_allowed`
 */
export async function resendMessage(
  services: OperatorServices,
  sequence: string,
  operator: string,
): Promise<void> {
  const row = await demandMessage(services.db, sequence);
  const permission = await mayResend(services, row);
  if (!permission.allowed) throw new ConclaveError('not_allowed', { reason: permission.reason });
  await services.db.transaction(async (transaction) => {
    const { rowCount } = await transaction.raw(
      `update messages set state = 'pending', attempts = 0, next_attempt = now(), error = null, output_status = null,
         settled_date = null, deadline = now() + interval '1 day'
       where seq = ? and state = 'dead'`,
      [row.sequence],
    );
    if (rowCount !== 1) throw new ConclaveError('not_allowed', { reason: 'somebody else has sent it again' });
    await services.record(transaction, { kind: 'resend', by: operator, message: row.id, task: row.taskId });
    await transaction.raw('select pg_notify(?, ?)', [OUTBOX_CHANNEL, row.peerId ?? '']);
  });
}

/** What would start work that nobody waits for any more is not sent again. */
async function mayResend(services: OperatorServices, row: Row): Promise<Permission> {
  if (row.isReceived) return refused('it was received');
  if (row.state !== 'dead') return refused(`it is ${row.state}`);
  const peer = row.peerId === null ? undefined : services.peers.byId(row.peerId);
  if (peer?.url == null) return refused('its receiver is no peer of this node any more, or has no URL');
  if (row.taskId === null) return ALLOWED;
  const task = await readTask(services.db, row.taskId);
  if (task === undefined) return refused('its task is gone');
  if (!task.isReceived && hasEnded(task))
    return refused('its task has ended here without it: try the task again, not its message');
  return ALLOWED;
}

function summaryOf(services: OperatorServices, row: Row): MessageSummary {
  return {
    sequence: row.sequence,
    id: row.id,
    is_received: row.isReceived,
    peer: row.peerId === null ? null : { id: row.peerId, name: nameOf(services)(row.peerId) ?? null },
    queue: row.queue,
    action: row.action,
    task_id: row.taskId,
    state: row.state,
    attempts: row.attempts,
    created_date: row.createdDate.toISOString(),
    settled_date: dateText(row.settledDate),
    error: failureView(row.error),
  };
}

async function demandMessage(db: Knex, sequence: string): Promise<WholeRow> {
  const { rows } = await db.raw<{ rows: WholeRow[] }>(
    `select ${LISTED}, sender_url as "senderUrl", receiver_url as "receiverUrl", input_data as data,
       info_text as "infoText", deadline, next_attempt as "nextAttempt", output_status as status
     from messages where seq = ?`,
    [sequenceOf(sequence)],
  );
  if (rows[0] === undefined) throw new ConclaveError('message_not_found', { message: sequence });
  return rows[0];
}

function sequenceOf(text: string): number {
  if (/^\d{1,15}$/.test(text)) return Number(text);
  throw new ConclaveError('message_not_found', { message: text });
}
