import type { Knex } from 'knex';

/** What an authority knows of its elections (D30–D36), and the files that it offers to peers (D17). */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create table elections (
      -- the election's id as a text; the request has it as it came
      key text primary key,
      request json not null,
      request_hash text not null,
      -- the position of this authority, from 1, as in the proofs; 0: this node is not one of them
      position integer not null,
      threshold integer not null,
      group_name text not null,
      director_url text not null,
      status text not null check (status in ('requested', 'approved', 'denied', 'created', 'failed')),
      reason text,
      -- the task that created it here
      task_id text not null,
      -- signing and encryption keys of this authority for this election: a secret, sealed with the node's key (D36)
      sealed_party_key bytea,
      -- SHA-256 (hex) of the archive of key shares, kept when they are deleted (EO-50)
      share_archive_hash text,
      created_date timestamptz not null default now(),
      last_modified_date timestamptz not null default now()
    );

    create table election_authorities (
      election text not null references elections (key) on delete cascade,
      position integer not null,
      name text not null,
      url text not null,
      certificate text not null,
      -- public keys of this election, signed with the certificate's key
      party_key json,
      primary key (election, position)
    );

    create table election_sessions (
      election text not null references elections (key) on delete cascade,
      question integer not null,
      session_id text not null unique,
      -- secrets, sealed with the node's key (D36): our dealing until it is opened, our share of the key
      sealed_dealing bytea,
      sealed_share bytea,
      -- the hashes of all dealings, fixed before ours was opened
      commitments json,
      -- all dealings, as they were opened
      dealings json,
      public_key json,
      polynomial text,
      -- the hash that all authorities compare (D32)
      confirmation text,
      share_deleted boolean not null default false,
      primary key (election, question)
    );

    create table tallies (
      id bigint generated always as identity primary key,
      election text not null references elections (key) on delete cascade,
      -- of the director's root task: the same on every authority
      tally_id text not null,
      request json not null,
      status text not null check (status in ('requested', 'approved', 'denied', 'mixing', 'published', 'failed', 'reset')),
      reason text,
      votes_hash text not null,
      lists_hash text,
      tally_hash text,
      created_date timestamptz not null default now(),
      last_modified_date timestamptz not null default now(),
      unique (election, tally_id)
    );

    create table tally_sessions (
      tally bigint not null references tallies (id) on delete cascade,
      question integer not null,
      -- one round of decryption: randomness is never used for two challenges
      round integer not null default 0,
      sealed_randomness bytea,
      state json,
      primary key (tally, question)
    );

    create table shared_files (
      id text primary key,
      path text not null,
      size bigint not null,
      sha256 text not null,
      -- ids of the peers that may fetch it
      readers text[] not null,
      created_date timestamptz not null default now()
    );
  `);
}
