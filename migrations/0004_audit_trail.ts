import type { Knex } from 'knex';

/** The audit trail (D24): entries that wait to be sealed, sealed blocks, and the heads of peers' logs. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create table log_pending (
      id bigint generated always as identity primary key,
      count integer not null,
      -- entries, one a line
      entries text not null
    ) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

    create table log_blocks (
      number bigint primary key check (number > 0),
      hash text not null unique,
      date timestamptz not null,
      header text not null,
      signature text not null,
      -- one a line, exactly as they were hashed
      entries text not null,
      -- SHA-256 of each entry, 32 bytes each
      hashes bytea not null
    );
    -- Hashes do not compress; the time of trying is better spent.
    alter table log_pending alter column entries set storage external;
    alter table log_blocks alter column entries set storage external, alter column hashes set storage external;
    create index log_blocks_date on log_blocks (date);

    create function log_blocks_are_final() returns trigger language plpgsql as $$
    begin
      raise exception 'blocks of the audit trail are never changed or deleted';
    end $$;
    create trigger log_blocks_final before update or delete on log_blocks
      for each row execute function log_blocks_are_final();
    create trigger log_blocks_whole before truncate on log_blocks
      for each statement execute function log_blocks_are_final();

    create table log_certificates (
      fingerprint text primary key,
      pem text not null,
      first_used timestamptz not null default now()
    );

    create table peer_heads (
      peer_id text not null,
      number bigint not null,
      hash text not null,
      node text not null,
      certificate text not null,
      signature text not null,
      -- of the certificate, as it was pinned
      pem text not null,
      first_seen timestamptz not null,
      -- entered: it is in our log too, and stays; latest: the next one takes its place; fork: it contradicts another
      kept text not null check (kept in ('latest', 'entered', 'fork')),
      primary key (peer_id, number, hash)
    );
    create index peer_heads_forks on peer_heads (peer_id) where kept = 'fork';
  `);
}
