/* Every example, as it is, with real TLS and real databases; only the databases come from the tests' server. */
import { expect } from 'chai';
import { shop } from '../../examples/error-handling/main.ts';
import { loan } from '../../examples/external/main.ts';
import { helloWorld } from '../../examples/hello-world/main.ts';
import { concertOfTwo } from '../../examples/synchronized/main.ts';
import { taskTree } from '../../examples/task-tree/main.ts';
import { databaseUrl } from '../support/node-folders.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgresql.ts';

describe('the examples', () => {
  let databases: [TestDatabase, TestDatabase];
  const options = () => ({
    databases: [databaseUrl(databases[0]), databaseUrl(databases[1])] as [string, string],
  });

  beforeEach(async () => {
    databases = [await createTestDatabase(), await createTestDatabase()];
  });
  afterEach(async () => {
    for (const database of databases) await database.drop();
  });

  it('hello-world: given a task for a peer, when it has ended, then its output is here', async () => {
    expect(await helloWorld(options())).to.equal('hello Alice, says Bob');
  });

  it('task-tree: given subtrees at both nodes, when all have ended, then their results are added up', async () => {
    expect(await taskTree(options())).to.equal('liberty'.length + 'equality'.length);
  });

  it('synchronized: given reservations of both nodes, when they start, then each has what the director gave it', async () => {
    expect(await concertOfTwo(options())).to.deep.equal(['Alice plays with Bob', 'Bob plays with Alice']);
  });

  it('external: given a decision that waits at the peer, when it is made, then the task goes on with it', async () => {
    expect(await loan(options())).to.equal('here you are');
  });

  it('external: given a decision that waits at the peer, when it is denied, then the task says so', async () => {
    expect(await loan(options(), 'denied')).to.equal('rather not');
  });

  it('error-handling: given an error at the peer, when the handler recovers, then another task delivers', async () => {
    const { output, basket } = await shop(options());
    expect(output).to.equal('apples, because there are no oranges left (at Bob)');
    expect(basket).to.equal('a basket of apples, at attempt 2');
  });
});
