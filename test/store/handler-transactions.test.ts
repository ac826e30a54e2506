import { expect } from 'chai';
import type { EngineTransaction } from '../../lib/engine/store.ts';
import { type Database, isConnectionLoss, openDatabase } from '../../lib/store/database.ts';
import { HandlerTransactions } from '../../lib/store/handler-transactions.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgresql.ts';

describe('transactions of handlers (D14)', function () {
  this.timeout(20_000);
  let test: TestDatabase;
  let database: Database;
  const never = new AbortController().signal;

  before(async () => {
    test = await createTestDatabase();
    database = openDatabase({ address: test.address, poolSize: 1 });
  });
  after(async () => {
    await database.close();
    await test.drop();
  });

  it('given a connection that breaks when a transaction begins, when a handler asks for it, then it hears that the connection is lost, and the next one is well', async () => {
    const { knex } = database;
    const transactions = new HandlerTransactions(knex, 1, () => ({}) as EngineTransaction);
    const connection = await knex.client.acquireConnection();
    await knex.client.releaseConnection(connection);
    knex.client.once('query', () => connection.connection.stream.destroy());
    const lost = await transactions.begin(never).then(
      () => null,
      (thrown: Error) => thrown,
    );
    expect(isConnectionLoss(lost), String(lost)).to.equal(true);
    const next = await transactions.begin(never);
    expect(await next.isAlive()).to.equal(true);
    await next.rollback();
  });
});
