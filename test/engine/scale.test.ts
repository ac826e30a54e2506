import { expect } from 'chai';
import { Client } from 'pg';
import { defineTask } from '../../lib/engine/definitions.ts';
import { parallel, sequential, simple } from '../../lib/engine/tree.ts';
import { TestFederation, type TestNode, until } from '../support/nodes.ts';
import { testServer } from '../support/postgresql.ts';

describe('engine: large trees cost what their size is, and no more', () => {
  const queue = 'work';
  const WIDE = 3000;
  const DEEP = 300;
  let federation: TestFederation;
  let node: TestNode;
  let database: string;

  before(async () => {
    federation = new TestFederation();
    const definitions = [defineTask({ queue, action: 'noop' }, () => {})];
    node = await federation.add('a', { definitions, queues: { [queue]: { maxThreads: 500 } } });
    database = (await node.database.knex.raw('select current_database() as name')).rows[0].name;
  });
  after(() => federation.close());

  it('a wide and a deep one run to their ends, and the table of tasks is not read through for each step', async () => {
    const noop = simple({ queue, action: 'noop' });
    const fill = (count: number) => Array.from({ length: count }, () => noop);
    const wide = await node.engine.ended(await node.engine.create(parallel(fill(WIDE))));
    expect(wide).to.include({ status: 'finished', childrenFinished: WIDE });
    const deep = await node.engine.ended(await node.engine.create(sequential(fill(DEEP))));
    expect(deep).to.include({ status: 'finished', childrenFinished: DEEP });
    // PostgreSQL counts a connection's reads for good when it is closed.
    await node.stop();
    await node.database.close();
    const client = new Client({ ...(await testServer()).connection, database });
    await client.connect();
    const read = await until('the counts are in', async () => {
      const { rows } = await client.query(
        `select seq_tup_read::integer as read, n_tup_ins::integer as made from pg_stat_user_tables
         where relname = 'tasks'`,
      );
      return rows[0].made >= WIDE + DEEP && { rows: rows[0].read as number };
    }).finally(() => client.end());
    // Each of the steps reading the table once would be more than a million rows.
    expect(read.rows).to.be.lessThan(50 * (WIDE + DEEP));
  });
});
