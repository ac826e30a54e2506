import type { Knex } from 'knex';

/** The audit trail (D24): entries that wait to be sealed, sealed blocks, and the heads of peers' logs. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    -- Entries, a row for all that a statement or a record wrote. Written once: sealing says in which block a row is.
    create table log_entries (
      id bigint generated always as identity primary key,
      -- null: waits to be sealed
      block bigint,
      -- comes before the other rows of its block, which are in the order of their ids
      opens boolean not null default false,
      count integer not null,
      -- one a line, exactly as they were hashed
      entries text not null,
      -- SHA-256 of each entry, 32 bytes each
      hashes bytea not null
    ) with (fillfactor = 90, autovacuum_vacuum_scale_factor = 0.05);
    create index log_entries_waiting on log_entries (id) where block is null;
    create index log_entries_block on log_entries (block) where block is not null;

    create table log_blocks (
      number bigint primary key check (number > 0),
      hash text not null unique,
      date timestamptz not null,
      header text not null,
      signature text not null
    );
    -- Hashes do not compress; the time of trying is better spent.
    alter table log_entries alter column entries set storage external, alter column hashes set storage external;
    create index log_blocks_date on log_blocks (date);

    -- Whole blocks, as they are exported and verified.
    create view log_sealed as
      select b.number, b.hash, b.date, b.header, b.signature,
        (select string_agg(e.entries, chr(10) order by e.opens desc, e.id) from log_entries e where e.block = b.number)
          as entries,
        (select string_agg(e.hashes, '' order by e.opens desc, e.id) from log_entries e where e.block = b.number)
          as hashes
      from log_blocks b;

    create function log_is_final() returns trigger language plpgsql as $$
    begin
      raise exception 'the audit trail is never changed or deleted';
    end $$;
    create trigger log_blocks_final before update or delete on log_blocks
      for each row execute function log_is_final();
    create trigger log_blocks_whole before truncate on log_blocks
      for each statement execute function log_is_final();
    create trigger log_entries_final before delete or update of id, opens, count, entries, hashes on log_entries
      for each row execute function log_is_final();
    create trigger log_entries_sealed before update of block on log_entries
      for each row when (old.block is not null) execute function log_is_final();
    create trigger log_entries_whole before truncate on log_entries
      for each statement execute function log_is_final();

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
