import type { Knex } from 'knex';

/** What operators count must not cost more when ten million tasks have ended. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    -- queueActivity: the errors of the last day
    create index tasks_failed on tasks (last_modified_date) where status = 'error';
  `);
}
