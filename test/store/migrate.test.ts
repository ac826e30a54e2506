import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { ConclaveError } from '../../lib/errors.ts';
import { type Database, openDatabase } from '../../lib/store/database.ts';
import { loadMigrations, type Migration, migrate } from '../../lib/store/migrate.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgresql.ts';

const PEOPLE: Migration = {
  name: '0001_people',
  up: async (knex) => {
    await knex.schema.createTable('people', (table) => table.text('name'));
  },
};
const PLACES: Migration = {
  name: '0002_places',
  up: async (knex) => {
    await knex.raw('create table places (name text)');
  },
};

describe('migrations', () => {
  let database: TestDatabase;
  const pools: Database[] = [];

  beforeEach(async () => {
    database = await createTestDatabase();
  });
  afterEach(async () => {
    for (const pool of pools.splice(0)) await pool.close();
    await database.drop();
  });
  function connect(): Database {
    const pool = openDatabase({ address: database.address, statementSeconds: 0 });
    pools.push(pool);
    return pool;
  }

  it('given an empty database, when it is migrated, then all are applied in order, and a second time none', async () => {
    const { knex } = connect();
    expect(await migrate(knex, [PEOPLE, PLACES])).to.deep.equal(['0001_people', '0002_places']);
    expect(await knex.schema.hasTable('people')).to.equal(true);
    expect(await migrate(knex, [PEOPLE, PLACES])).to.deep.equal([]);
  });

  it('given several processes that start at once, when they migrate, then each migration is applied once', async () => {
    const all = await Promise.all([1, 2, 3, 4].map(() => migrate(connect().knex, [PEOPLE, PLACES])));
    expect(all.flat().sort()).to.deep.equal(['0001_people', '0002_places']);
  });

  it('given a migration that fails halfway, when it is run, then it leaves no trace and can be run again', async () => {
    const { knex } = connect();
    const broken: Migration = {
      name: '0002_places',
      up: async (transaction) => {
        await PLACES.up(transaction);
        await transaction.raw('select nonsense');
      },
    };
    const refusal = await refused(migrate(knex, [PEOPLE, broken]));
    expect(refusal.message).to.include('0002_places').and.to.include('nonsense');
    expect(await knex.schema.hasTable('places')).to.equal(false);
    expect(await migrate(knex, [PEOPLE, PLACES])).to.deep.equal(['0002_places']);
  });

  it('given a database migrated by newer software, when older software starts, then it refuses', async () => {
    const { knex } = connect();
    await migrate(knex, [PEOPLE, PLACES]);
    const refusal = await refused(migrate(knex, [PEOPLE]));
    expect(refusal.message).to.include('0002_places').and.to.include('up to 0001_people');
  });

  it('given a migration numbered before one already applied, when it is run, then it is refused', async () => {
    const { knex } = connect();
    await migrate(knex, [PLACES]);
    expect((await refused(migrate(knex, [PEOPLE, PLACES]))).message).to.include('0001_people has never been');
  });

  describe('given a folder', () => {
    let folder: string;
    beforeEach(async () => {
      folder = await mkdtemp(join(tmpdir(), 'conclave-migrations-'));
    });
    afterEach(() => rm(folder, { recursive: true }));
    const add = (name: string, text: string) => writeFile(join(folder, name), text);

    it('when it is loaded, then its migrations come in order and other files are passed over', async () => {
      await add(
        '0002_b.ts',
        "export const up = (knex: any): Promise<void> => knex.raw('create table b ()');",
      );
      await add(
        '0001_a.ts',
        "export const up = (knex: any): Promise<void> => knex.raw('create table a ()');",
      );
      await add('README.md', 'not a migration');
      await add('0001_a.d.ts', 'export {};');
      const migrations = await loadMigrations(folder);
      expect(await migrate(connect().knex, migrations)).to.deep.equal(['0001_a', '0002_b']);
    });

    it('when two have one number, then it is refused', async () => {
      await add('0001_a.ts', 'export const up = () => {};');
      await add('0001_b.ts', 'export const up = () => {};');
      expect((await refused(loadMigrations(folder))).message).to.include('0001_a and 0001_b');
    });

    it('when one exports no up, then it is refused', async () => {
      await add('0001_a.ts', 'export const down = () => {};');
      expect((await refused(loadMigrations(folder))).message).to.include('exports no function "up"');
    });
  });
});

async function refused(promise: Promise<unknown>): Promise<ConclaveError> {
  const error = await promise.then(
    () => expect.fail('it should have been refused'),
    (reason: unknown) => reason,
  );
  expect(error).to.be.instanceOf(ConclaveError);
  expect((error as ConclaveError).code).to.equal('migration_failed');
  return error as ConclaveError;
}
