import { expect } from 'chai';
import { defineTask, Registry } from '../../lib/engine/definitions.ts';
import type { Context, Event } from '../../lib/engine/events.ts';
import type { Task } from '../../lib/engine/model.ts';
import { transition } from '../../lib/engine/transitions.ts';
import { blankTask } from '../../lib/engine/tree.ts';

describe('engine: how many workers a job may lose (D13)', () => {
  const registry = new Registry([
    defineTask({ queue: 'q', action: 'a', retry: { attempts: 100 } }, () => {}),
  ]);
  const now = new Date('2030-01-01T00:00:00Z');
  const context: Context = {
    now,
    node: { name: 'n', url: 'https://n.test' },
    newId: () => 'id',
    facts: (task) => registry.facts(task),
    dialect: () => 'conclave',
    reservationTimeout: 60,
  };
  const lost: Event = { type: 'worker_lost', workerId: 'w', fence: 1, graceful: false };
  const failed: Event = {
    type: 'handler_failed',
    failure: { code: 'handler_error', message: 'not yet' },
    final: false,
    chance: 0,
  };
  const start: Task = { ...blankTask('t', now), queue: 'q', action: 'a', job: 'execute', jobQueue: 'q' };

  /** Each event befalls the job in the hands of a worker. */
  function befallen(events: readonly Event[]): Task {
    const task = { ...start };
    for (const event of events) {
      Object.assign(task, { status: 'executing', workerId: 'w', fence: 1 });
      const outcome = transition(task, event, context);
      if (outcome.outcome !== 'applied') throw new Error(`${event.type} was ${outcome.outcome}`);
      Object.assign(task, outcome.changes);
    }
    return task;
  }
  const times = (count: number, ...events: Event[]): Event[] =>
    Array.from({ length: count }, () => events).flat();

  it('given six workers that die in a row, when the sixth has, then the task ends with worker_lost', () => {
    expect(befallen(times(5, lost)).status).to.equal('executing');
    expect(befallen(times(6, lost)).error).to.include({ code: 'worker_lost' });
  });

  it('given calls that come to their ends in between, when many more die, then the task goes on', () => {
    const task = befallen(times(20, lost, lost, failed));
    expect(task.status).to.equal('executing');
    expect(task.takeovers).to.equal(0);
  });
});
