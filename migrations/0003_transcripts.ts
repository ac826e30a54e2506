import type { Knex } from 'knex';

/** What auditors need of a key generation, beside the keys: that each came from the holder of the authority's certificate. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    -- base64, by the certificate's key, over the party key and the request's hash
    alter table election_authorities add column party_key_signature text;
  `);
}
