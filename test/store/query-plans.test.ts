import { expect } from 'chai';
import { blankTask } from '../../lib/engine/tree.ts';
import { QUEUE_ACTIVITY } from '../../lib/store/activity.ts';
import { CLAIM, heldBy, orphans, ready, waiting, wounded } from '../../lib/store/claims.ts';
import { countUnfinishedTasks, countWaitingJobs } from '../../lib/store/counts.ts';
import { processedBefore } from '../../lib/store/messages.ts';
import { overdueMessages, peersWithPendingMessages, takeMessages } from '../../lib/store/outbox.ts';
import { DELETE_MESSAGES, ENDED_ROOTS } from '../../lib/store/retention.ts';
import { type Session, sessionOf } from '../../lib/store/session.ts';
import { insertTasks, loadChildren, loadTasks, lockTrees, readTask } from '../../lib/store/tasks.ts';
import { clearTimers, dueTimers, nextDue } from '../../lib/store/timers.ts';
import { TestFederation, type TestNode } from '../support/nodes.ts';

/** A part of a plan, as EXPLAIN prints it in JSON. */
interface Plan {
  'Node Type': string;
  'Relation Name'?: string;
  Plans?: Plan[];
}

const LARGE = ['tasks', 'messages', 'timers'];
const ENDED = 20_000;

/** Tables that a plan reads from end to end. */
function readThrough(plan: Plan): string[] {
  const name = plan['Relation Name'];
  const here = plan['Node Type'] === 'Seq Scan' && name !== undefined && LARGE.includes(name) ? [name] : [];
  return [...here, ...(plan.Plans ?? []).flatMap(readThrough)];
}

describe('store: plans of the statements that run all the time', () => {
  let federation: TestFederation;
  let node: TestNode;
  const now = new Date();
  const old = new Date(now.getTime() - 90 * 24 * 3600 * 1000);

  before(async () => {
    federation = new TestFederation();
    node = await federation.add('a', { definitions: [], engine: { works: false } });
    const { knex } = node.database;
    await insertTasks(sessionOf(knex), [{ ...blankTask('template', now), status: 'finished' }]);
    const { rows } = await knex.raw(
      `select string_agg(quote_ident(column_name), ', ') as columns from information_schema.columns
       where table_schema = current_schema() and table_name = 'tasks' and column_name not in ('id', 'root_id', 'parent_id', 'order')`,
    );
    await knex.raw(
      `insert into tasks (id, root_id, parent_id, "order", ${rows[0].columns})
       select 't' || place, 't' || (place - place % 10), case when place % 10 = 0 then null else 't' || (place - place % 10) end,
         place % 10, ${rows[0].columns}
       from generate_series(10, ?) as place, (select * from tasks where id = 'template') as template`,
      [ENDED],
    );
    await knex.raw(
      `insert into messages (id, peer_id, is_received, sender_url, receiver_url, queue_name, action, state, settled_date, task_id)
       select 'm' || place, 'b', place % 2 = 0, '', '', 'q', 'act',
         case when place % 2 = 0 then 'processed' else 'delivered' end, now(), 't' || place
       from generate_series(10, ?) as place`,
      [ENDED],
    );
    await knex.raw(
      `insert into timers (task_id, kind, fire_at, epoch)
       select 't' || place, 'expiration', now() + interval '1 day', 0 from generate_series(10, ?) as place`,
      [ENDED],
    );
    await knex.raw('analyze tasks, messages, timers');
  });
  after(() => federation.close());

  /** What a query sends, with bindings; nothing is done. */
  async function sent(query: (session: Session) => unknown): Promise<[string, readonly unknown[]][]> {
    const texts: [string, readonly unknown[]][] = [];
    const keep = (text: string, bindings: readonly unknown[] = []): void => void texts.push([text, bindings]);
    const recorder = {
      rows: async (...statement: Parameters<typeof keep>) => {
        keep(...statement);
        return [];
      },
      raw: async (...statement: Parameters<typeof keep>) => {
        keep(...statement);
        return { rows: [] };
      },
      write: async (...statement: Parameters<typeof keep>) => keep(...statement),
    };
    // Some look into the first row, and there is none.
    await Promise.resolve(query(recorder as unknown as Session)).catch(() => {});
    return texts;
  }

  const request = { queue: 'q', slots: 100, now };
  const hot: Record<string, (session: Session) => unknown> = {
    claim: (session) => session.rows(CLAIM, ['q', now, 50, 'q', now, 100, 'q', 50, 'q', now, 'worker', now]),
    wounded: (session) => wounded(session, request),
    ready: (session) => ready(session, ['q', 'r'], now),
    waiting: (session) => waiting(session, 'q', 1000),
    orphans: (session) => orphans(session),
    heldBy: (session) => heldBy(session, 'worker'),
    lockTrees: (session) => lockTrees(session, ['t11', 't25'], []),
    loadTasks: (session) => loadTasks(session, ['t11', 't25']),
    'loadChildren by place': (session) => loadChildren(session, [{ parentId: 't10', match: { order: 1 } }]),
    'loadChildren by status': (session) =>
      loadChildren(session, [{ parentId: 't10', match: { statuses: ['created'] } }]),
    readTask: (session) => readTask(session, 't11'),
    processedBefore: (session) =>
      processedBefore(session, [
        { peerId: 'b', messageId: 'm12' } as Parameters<typeof processedBefore>[1][number],
      ]),
    takeMessages: (session) => takeMessages(session, { peerId: 'b', limit: 500, now, leaseUntil: now }),
    peersWithPendingMessages: (session) => peersWithPendingMessages(session),
    overdueMessages: (session) => overdueMessages(session, now, 1000),
    dueTimers: (session) => dueTimers(session, now, 500),
    nextDue: (session) => nextDue(session),
    clearTimers: (session) => clearTimers(session, [{ taskId: 't11', kinds: 'all' }]),
    countUnfinishedTasks: (session) => countUnfinishedTasks(session as never),
    countWaitingJobs: (session) => countWaitingJobs(session as never),
    queueActivity: (session) => session.raw(QUEUE_ACTIVITY),
    'retention of trees': (session) =>
      session.raw(ENDED_ROOTS, [old, old, '-infinity', '-infinity', '', 100]),
    'retention of messages': (session) => session.raw(DELETE_MESSAGES, [old, old, 1000]),
  };

  for (const [name, query] of Object.entries(hot)) {
    it(`given many ended tasks, when ${name} is planned, then no large table is read through`, async () => {
      const statements = await sent(query);
      expect(statements).not.to.have.length(0);
      for (const [text, bindings] of statements) {
        const plan = await node.database.knex.transaction(async (transaction) => {
          // Chosen for what it costs, not because the other way is closed.
          await transaction.raw('set local enable_seqscan = on');
          const { rows } = await sessionOf(transaction).raw<{ rows: { 'QUERY PLAN': { Plan: Plan }[] }[] }>(
            `explain (format json) ${text}`,
            bindings,
          );
          return rows[0]!['QUERY PLAN'][0]!.Plan;
        });
        expect(readThrough(plan), text).to.deep.equal([]);
      }
    });
  }

  it('given a statement without an index, when it is planned, then that is noticed', async () => {
    const { knex } = node.database;
    await knex.transaction(async (transaction) => {
      await transaction.raw('set local enable_seqscan = on');
      const planned = await transaction.raw(`explain (format json) select * from tasks where label = 'x'`);
      expect(readThrough(planned.rows[0]['QUERY PLAN'][0].Plan)).to.deep.equal(['tasks']);
    });
  });
});
