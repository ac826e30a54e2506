/**
 * What must hold in every schedule, checked at every commit of every node and when all is over (D10–D16, D21).
 */
import { hasEnded, isSent, type Task, VIRTUAL_ACTION } from '../../lib/engine/model.ts';
import type { Change, Effect, MemoryDatabase } from './memory-database.ts';
import { slotsTaken } from './memory-store.ts';

export interface Violation {
  /** Which promise was broken; shrinking keeps it. */
  invariant: string;
  detail: string;
}

export interface CheckedNode {
  readonly name: string;
  readonly database: MemoryDatabase;
  /** Slots by queue. */
  slots(queue: string): number;
}

/** What the task's handlers leave in their transactions. */
const TRACED = new Set(['work', 'flaky', 'grow', 'rescue', 'meet', 'steps']);

export class Checker {
  readonly violations: Violation[] = [];
  readonly #nodes = new Map<string, CheckedNode>();
  /** `node task what` → how often it was committed. */
  readonly #effects = new Map<string, number>();
  /** `task epoch`: performers that held a reservation. */
  readonly #reservations = new Set<string>();
  readonly #accepted = new Set<string>();
  /** `node task`: its handler has run, or began to. */
  readonly #ran = new Set<string>();

  watch(node: CheckedNode): void {
    this.#nodes.set(node.name, node);
    node.database.onCommit((changes, effects) => this.#committed(node, changes, effects));
  }

  report(invariant: string, detail: string): void {
    if (this.violations.length < 20) this.violations.push({ invariant, detail });
  }

  /** A peer's message was accepted. */
  accepted(node: string, key: string): void {
    const whole = `${node} ${key}`;
    if (this.#accepted.has(whole)) this.report('a message is processed once', whole);
    this.#accepted.add(whole);
  }

  #committed(node: CheckedNode, changes: readonly Change[], effects: readonly Effect[]): void {
    for (const { taskId, what } of effects) {
      const key = `${node.name} ${taskId} ${what}`;
      const count = (this.#effects.get(key) ?? 0) + 1;
      this.#effects.set(key, count);
      if (count > 1 && (what === 'execute' || what === 'handle_error' || what === 'pre_execute'))
        this.report('effects happen once', `${key} happened ${count} times`);
    }
    for (const { before, after } of changes)
      if (isReservation(before, after)) this.#reservations.add(`${after.id} ${after.epoch}`);
    for (const { before, after } of changes) {
      if (before !== undefined && hasEnded(before)) this.#checkEnded(node, before, after);
      else if (before === undefined || before.status !== after.status || before.job !== after.job)
        this.#checkStep(node, before, after, changes);
      if (after.output === 'forged' || after.error?.message.includes('forged') === true)
        this.report('only its peer is believed', `${node.name} ${after.id}`);
      if (after.slot && before?.slot !== true) this.#checkSlots(node, after.queue);
      if (hasEnded(after) && (after.job !== null || after.workerId !== null || after.slot))
        this.report('what has ended is at rest', `${node.name} ${after.id} ${after.job} ${after.workerId}`);
      if (after.childrenReserved < 0 || after.childrenReserved > after.children)
        this.report('reservations are counted', `${node.name} ${after.id}: ${after.childrenReserved}`);
    }
  }

  #checkEnded({ name }: CheckedNode, before: Task, after: Task): void {
    if (before.status !== after.status)
      this.report('the end is final', `${name} ${after.id}: ${before.status} → ${after.status}`);
    else if (before.output !== after.output || before.error !== after.error)
      this.report('the end is final', `${name} ${after.id}: its result changed`);
  }

  #checkStep(node: CheckedNode, before: Task | undefined, after: Task, changes: readonly Change[]): void {
    if (after.status === 'reserved' && !isSent(after)) this.#reservations.add(`${after.id} ${after.epoch}`);
    if (after.status === 'executing') this.#ran.add(`${node.name} ${after.id}`);
    const started = after.status === 'sent' || after.job === 'execute' || after.status === 'executing';
    const had = before !== undefined && (before.status !== 'created' || before.job !== null);
    if (started && !had && after.parentId !== null) this.#checkOrder(node, after);
    if (after.type === 'synchronized' || before?.type === 'synchronized') return;
    if (after.status === 'confirmed' && before?.status !== 'confirmed')
      this.#checkStart(node, after, changes);
  }

  /** Sequential: everything before it has finished. */
  #checkOrder({ name, database }: CheckedNode, task: Task): void {
    const parent = database.tasks.get(task.parentId!);
    const inSequence =
      parent?.type === 'sequential' || parent?.metadata.resumeFrom !== undefined || parent?.type === 'simple';
    if (parent === undefined || !inSequence) return;
    const from = parent.metadata.resumeFrom ?? 0;
    if (task.order < from) this.report('order holds', `${name} ${task.id} starts after the recovery`);
    for (const sibling of database.children(parent.id))
      if (sibling.order >= from && sibling.order < task.order && sibling.status !== 'finished')
        this.report('order holds', `${name} ${task.id} starts while ${sibling.id} is ${sibling.status}`);
  }

  /** A child of a synchronized task is started: on the director's side decided, on the performer's ordered. */
  #checkStart(node: CheckedNode, task: Task, changes: readonly Change[]): void {
    const { name, database } = node;
    if (task.parentId !== null && !task.isReceived) {
      const container = database.tasks.get(task.parentId)!;
      if (container.type !== 'synchronized') return;
      if (task.epoch !== container.epoch)
        this.report('one epoch starts', `${name} ${task.id}: ${task.epoch}, not ${container.epoch}`);
      const children = database.children(container.id);
      const starting = children.filter(({ status }) => status === 'confirmed' || status === 'executing');
      const least = container.quorum ?? container.children;
      const open = container.children - container.childrenFailed - container.childrenFinished;
      // Started and ended in one commit: a batch of messages brought both.
      const over = changes.filter(
        ({ before, after }) => after.parentId === container.id && hasEnded(after) && !hasEnded(before!),
      ).length;
      if (starting.length + over < Math.min(least, open + over))
        this.report('all start together', `${name} ${container.id}: ${starting.length} of ${least}`);
      if (isSent(task) && !this.#originals.has(task.peerId!))
        if (!this.#reservations.has(`${task.id} ${task.epoch}`))
          this.report('a start needs a reservation', `${name} ${task.id} in epoch ${task.epoch}`);
    }
    if (isSent(task) || task.metadata.reservationLost === true) return;
    if (!this.#reservations.has(`${task.id} ${task.epoch}`))
      this.report('a start needs a reservation', `${name} ${task.id} in epoch ${task.epoch}`);
  }

  readonly #originals = new Set<string>();

  original(name: string): void {
    this.#originals.add(name);
  }

  #checkSlots({ name, database, slots }: CheckedNode, queue: string): void {
    const most = slots(queue);
    if (slotsTaken(database, queue) <= most) return;
    // The start of a synchronized task does not wait for a slot that it has lost: its partners run already (D16).
    let counted = 0;
    for (const task of database.slots.values())
      if (task.queue === queue && task.metadata.reservationLost !== true) counted += 1;
    if (counted > most) this.report('queues keep their limits', `${name} ${queue}: ${counted} of ${most}`);
  }

  // When all is over

  checkEnd(): void {
    for (const node of this.#nodes.values()) {
      for (const task of node.database.tasks.values()) this.#checkResult(node, task);
      for (const timer of node.database.timers.values())
        this.report('nothing is left', `${node.name}: a timer ${timer.kind} of ${timer.taskId}`);
    }
  }

  #checkResult(node: CheckedNode, task: Task): void {
    const { name } = node;
    if (!hasEnded(task)) {
      if (!this.#isForsaken(task)) this.report('trees end', `${name} ${describe(task)}`);
      return;
    }
    if (task.status === 'error') this.#checkReason(node, task);
    const executed = this.#effects.get(`${name} ${task.id} execute`) ?? 0;
    if (!isSent(task) && task.status === 'finished' && TRACED.has(task.action) && executed !== 1)
      this.report('effects happen once', `${name} ${task.id} has finished: ${executed} times`);
    if (isSent(task)) this.#checkBothEnds(node, task);
    else if (task.action === 'meet') this.#checkFreed(name, task);
  }

  /** All that is left waits for an original that has nothing more to say. */
  isForsaken({ pending, tasks }: MemoryDatabase): boolean {
    if (pending.size > 0) return false;
    for (const task of tasks.values()) if (!hasEnded(task) && !this.#isForsaken(task)) return false;
    return true;
  }

  /** An original invites once and orders the start once: if either was lost, nothing is held, and nothing follows. */
  #isForsaken(task: Task): boolean {
    const { status, isReceived, peerId, epoch, job, slot, workerId } = task;
    const invited = isReceived && status === 'created' && epoch > 0 && this.#originals.has(peerId ?? '');
    return invited && job === null && !slot && workerId === null;
  }

  /** FQ-A6: what `reserve` took and no start used is freed. */
  #checkFreed(name: string, task: Task): void {
    const count = (what: string) => this.#effects.get(`${name} ${task.id} ${what}`) ?? 0;
    const left = count('reserve') - count('free');
    const used = this.#ran.has(`${name} ${task.id}`) ? 1 : 0;
    if (left < 0 || left > used)
      this.report('reservations are freed', `${name} ${describe(task)}: ${left} left, ${task.error?.code}`);
  }

  #checkReason({ name }: CheckedNode, task: Task): void {
    const { error } = task;
    if (error === null || error.message === '' || error.code === '') {
      this.report('errors have reasons', `${name} ${task.id}: none`);
      return;
    }
    if (error.message.includes('without a reason') && !this.#originals.has(task.peerId ?? ''))
      if (this.#originals.size === 0)
        this.report('errors have reasons', `${name} ${task.id}: ${error.message}`);
  }

  #checkBothEnds({ name }: CheckedNode, task: Task): void {
    if (this.#originals.has(task.peerId!)) return;
    const there = this.#nodes.get(task.peerId!)!.database.tasks.get(task.id);
    if (task.status === 'finished') {
      if (there?.status !== 'finished')
        this.report('both ends agree', `${name} ${task.id} finished, there ${there?.status ?? 'nothing'}`);
      else if (JSON.stringify(there.output) !== JSON.stringify(task.output))
        this.report('both ends agree', `${name} ${task.id}: ${JSON.stringify([task.output, there.output])}`);
      return;
    }
    const { code } = task.error!;
    if (there === undefined) return;
    if (there.status === 'finished' && !OWN_ENDS.has(code))
      this.report('both ends agree', `${name} ${task.id}: error ${code} here, finished there`);
    if (there.status === 'error' && there.error!.code !== code && !OWN_ENDS.has(code))
      this.report('both ends agree', `${name} ${task.id}: error ${code} here, ${there.error!.code} there`);
  }
}

/** Whether a performer holds a reservation of its epoch now, or held it for an instant within the commit. */
function isReservation(before: Task | undefined, after: Task): boolean {
  if (isSent(after)) return false;
  if (after.status === 'reserved') return true;
  // The director's own: the last one to reserve, and the start, may be one commit.
  if (after.status !== 'confirmed' || after.isReceived) return false;
  return before?.status === 'reserved' || before?.job === 'reserve';
}

/** Ends that the sender decides by itself. */
const OWN_ENDS = new Set(['cancelled', 'expired', 'not_started', 'undeliverable', 'handler_error']);

export function describe(task: Task): string {
  const what = task.action === VIRTUAL_ACTION ? task.type : task.action;
  const { id, status, job, workerId, epoch } = task;
  return `${what} ${id} is ${status}; job ${job}, worker ${workerId}, epoch ${epoch}`;
}
