import type { Knex } from 'knex';

/** What operators did and how they come in, and indexes for what they look at. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    -- the word of each operator on each approval; kept when the task is pruned
    create table approval_decisions (
      task_id text not null,
      operator text not null,
      decision text not null check (decision in ('accept', 'deny')),
      reason text,
      -- SHA-256 (hex) of what the operator was shown
      approval_hash text not null,
      decided_date timestamptz not null default now(),
      primary key (task_id, operator)
    );

    -- one-time links of the console, by the SHA-256 of their tokens
    create table console_links (
      token_hash bytea primary key,
      operator text not null,
      created_date timestamptz not null default now(),
      expires_date timestamptz not null
    );

    -- sessions of the console, by the SHA-256 of their cookies
    create table console_sessions (
      token_hash bytea primary key,
      operator text not null,
      csrf_token text not null,
      -- of the certificate that the session belongs to, lower-case hex; null: it began with a link
      fingerprint text,
      created_date timestamptz not null default now(),
      last_used_date timestamptz not null default now(),
      expires_date timestamptz not null
    );

    -- what the last check of a peer found
    create table peer_checks (
      peer_id text primary key references peers (id) on delete cascade,
      checked_date timestamptz not null,
      milliseconds integer,
      clock_difference_ms integer,
      problem text
    );

    -- approvals, waiting and decided
    create index tasks_external on tasks (created_date) where task_type = 'external';
    -- dead letters
    create index messages_dead on messages (seq) where state = 'dead';
  `);
}
