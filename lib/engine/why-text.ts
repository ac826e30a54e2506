/** Pieces of the sentences of `why` (D18): names, dates, counts, and what every answer has. Pure. */
import { hasEnded, type Losses, type Task, type TimerKind } from './model.ts';
import type { Awaited, Why, WhyFacts } from './why.ts';

export function say(facts: WhyFacts, waitingFor: Awaited, said: string, more: Partial<Why> = {}): Why {
  const { task } = facts;
  const limit = hasEnded(task) ? null : timer(facts, 'expiration');
  const sentence = limit === null ? said : `${said}; it expires at ${date(limit)}`;
  const next = earliest(timer(facts, 'pingback'), limit);
  const tried = { attempts: task.attempt, lastError: task.error?.message ?? null };
  return { taskId: task.id, waitingFor, since: task.modifiedDate, tried, next, sentence, ...more };
}

export function timer({ timers }: WhyFacts, kind: TimerKind): Date | null {
  return timers.find((one) => one.kind === kind)?.fireAt ?? null;
}

function earliest(one: Date | null, other: Date | null): Date | null {
  if (one === null || other === null) return one ?? other;
  return one < other ? one : other;
}

/** Reservations are lost by expiring, or by giving way to an older task; each time all are invited again. */
export function rounds({ task: { epoch }, lost }: WhyFacts): string {
  if (epoch <= 1) return '';
  const how = lost === null ? `reservations were lost ${times(epoch - 1)}` : lossesText(lost);
  return ` (round ${epoch}: ${how})`;
}

function lossesText({ expired, yielded, other }: Losses): string {
  const parts = [
    expired > 0 ? `${count(expired, 'reservation')} expired` : '',
    yielded > 0 ? `${count(yielded, 'reservation')} gave way to an older task` : '',
    other > 0 ? `${count(other, 'reservation')} ${other === 1 ? 'was' : 'were'} lost otherwise` : '',
  ];
  return parts.filter((part) => part !== '').join(', ');
}

/** What a handler says of its progress: the step, if it has a name, and how far it is. */
export function progress({ progress: state }: Task): string {
  if (state === null || typeof state !== 'object' || Array.isArray(state)) return '';
  const { step, done, total } = state;
  const far = typeof done === 'number' && typeof total === 'number' ? `${done} of ${total}` : '';
  const parts = [typeof step === 'string' ? step : '', far].filter((part) => part !== '');
  return parts.length === 0 ? '' : ` (${parts.join(': ')})`;
}

export function peerName({ peer, task }: WhyFacts): string {
  if (peer !== null) return peer.name;
  return task.peerId === null ? 'nobody' : `a peer that was removed here (${short(task.peerId)})`;
}

export function nameOf({ label, action, type }: Pick<Task, 'label' | 'action' | 'type'>): string {
  return label ?? (action === 'frestq.virtual_empty_task' ? `${type} task` : action);
}

export function times(number: number): string {
  return number === 1 ? 'once' : `${number} times`;
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}

export function short(id: string): string {
  return id.slice(0, 8);
}

export function date(value: Date): string {
  return value.toISOString();
}
