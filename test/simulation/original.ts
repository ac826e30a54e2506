/**
 * A peer that is an original frestq, as recorded: one message a request, updates that race each other, 500 to a message
 * that it has seen, no batches, no epochs, no retries. What it sends while we are away is lost.
 */
import type { Answer } from '../../lib/protocol/client.ts';
import { answer, type Server } from './network.ts';
import { urlOf } from './node.ts';
import type { Random } from './random.ts';
import type { World } from './world.ts';

export interface OriginalOptions {
  name: string;
  world: World;
  random: Random;
  /** Sends once, to whoever lives there. */
  post(to: string, queue: string, body: Record<string, unknown>): void;
}

type Body = Record<string, unknown> & { data?: Record<string, unknown> };

export class Original implements Server {
  readonly machine = null;
  readonly #options: OriginalOptions;
  readonly #seen = new Set<string>();
  readonly #invited = new Set<string>();
  readonly #started = new Set<string>();
  /** What it was told of the tasks that it had sent. */
  readonly told = new Map<string, string>();
  #messages = 0;

  constructor(options: OriginalOptions) {
    this.#options = options;
  }

  identify(): Answer {
    return answer(404);
  }

  async batch(): Promise<Answer> {
    return answer(404);
  }

  async single(from: string, queue: string, body: unknown): Promise<Answer> {
    const message = body as Body;
    const id = String(message.message_id);
    if (this.#seen.has(id)) return answer(500);
    this.#seen.add(id);
    const taskId = String(message.task_id);
    if (queue !== 'internal.frestq') {
      this.#execute(from, taskId, message.action === 'fail');
      return answer(200);
    }
    switch (message.action) {
      case 'frestq.synchronize_task':
        if (!this.#invited.has(taskId)) this.#reserve(from, taskId);
        return answer(200);
      case 'frestq.execute_synchronized':
        // The order often comes twice.
        if (!this.#started.has(taskId)) this.#execute(from, taskId, false);
        this.#started.add(taskId);
        return answer(200);
      case 'frestq.update_task':
        this.told.set(taskId, String(message.data?.status));
        return answer(200);
      default:
        return answer(404);
    }
  }

  /** Starts a task of its own at a Conclave node; `meet` is one of a synchronized task that it directs. */
  send(to: string, action: string, taskId: string | null): void {
    const data = { takes: 0, below: [], asked: 0 };
    const named = taskId === null ? {} : { task_id: taskId };
    if (action === 'meet') this.#direct(to, taskId ?? `${this.#options.name}-met`);
    else this.#post(to, 'left', action, { ...named, data });
  }

  /** Invites once or twice, and orders the start once or twice, now and then before it was told of the reservation. */
  #direct(to: string, taskId: string): void {
    const { random, world } = this.#options;
    const input_data = { takes: 0, below: [], asked: 0 };
    const dates = { pingback_date: null, expiration_date: null };
    const invitation = { task_id: taskId, action: 'meet', queue_name: 'left', input_data, ...dates };
    const order = { action: 'meet', queue_name: 'left', input_data };
    for (let times = random.between(1, 2); times > 0; times -= 1)
      this.#internal(to, 'frestq.synchronize_task', taskId, invitation);
    for (let times = random.between(1, 2); times > 0; times -= 1)
      world.after(random.between(1, 600), null, () =>
        this.#internal(to, 'frestq.execute_synchronized', taskId, order),
      );
  }

  #reserve(from: string, taskId: string): void {
    this.#invited.add(taskId);
    const { random, world } = this.#options;
    const data = { reservation_data: null, reservation_expiration_seconds: 5 };
    world.after(random.between(1, 300), null, () => {
      this.#internal(from, 'frestq.confirm_task_reservation', taskId, data);
      // It forgets, when nothing comes of it.
      world.after(5000, null, () => this.#invited.delete(taskId));
    });
  }

  /** Executing and finished race each other, or finished comes twice. An error comes once, without its reason. */
  #execute(from: string, taskId: string, fails: boolean): void {
    const { random, world } = this.#options;
    const statuses = fails ? ['error'] : [random.pick(['executing', 'finished']), 'finished'];
    const takes = random.between(1, 300);
    // One of them may be late by far.
    for (const status of statuses)
      world.after(takes + (random.chance(0.2) ? random.between(1, 2000) : 0), null, () => {
        const output_data = status === 'error' ? null : { done: taskId };
        this.#internal(from, 'frestq.update_task', taskId, { status, output_data });
      });
  }

  #internal(to: string, action: string, taskId: string, data: object): void {
    this.#post(to, 'internal.frestq', action, { task_id: taskId, data });
  }

  #post(to: string, queue: string, action: string, rest: object): void {
    const { name, post } = this.#options;
    this.#messages += 1;
    post(to, queue, { message_id: `${name}-m${this.#messages}`, action, sender_url: urlOf(name), ...rest });
  }
}
