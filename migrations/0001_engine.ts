import type { Knex } from 'knex';

/**
 * The engine's tables (D10): tasks, messages (inbox and outbox), timers, peers, workers.
 *
 * JSON that comes from peers is stored as `json`, not `jsonb`: it is returned as it came, and PostgreSQL's
 * `jsonb` refuses strings that contain U+0000.
 */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    create table peers (
      id text primary key,
      name text not null unique,
      url text unique,
      certificates json not null,
      roles text[] not null,
      dialect text not null default 'unknown' check (dialect in ('unknown', 'conclave', 'frestq')),
      added_date timestamptz not null default now(),
      last_contact timestamptz,
      down_since timestamptz,
      next_attempt timestamptz,
      last_error text
    );

    create table workers (
      id text primary key,
      name text not null,
      started_date timestamptz not null default now(),
      lease_until timestamptz not null
    );

    create table tasks (
      id text primary key,
      root_id text not null,
      parent_id text references tasks (id),
      "order" integer not null,
      label text,
      task_type text not null check (task_type in ('simple', 'sequential', 'parallel', 'synchronized', 'external')),
      action text not null,
      queue_name text not null,
      status text not null check (status in
        ('created', 'sent', 'syncing', 'reserved', 'confirmed', 'executing', 'finished', 'error')),
      is_received boolean not null,
      is_local boolean not null,
      peer_id text,
      sender_url text not null,
      receiver_url text not null,
      created_date timestamptz not null,
      last_modified_date timestamptz not null,
      pingback_date timestamptz,
      expiration_date timestamptz,
      info_text text,
      input_data json,
      output_data json,
      reservation_data json,
      async_data json,
      task_metadata json not null,
      error json,
      progress json,
      quorum integer,
      children integer not null,
      children_finished integer not null,
      children_failed integer not null,
      children_reserved integer not null,
      handled boolean not null,
      epoch integer not null,
      priority text,
      job text check (job in ('execute', 'handle_error', 'reserve', 'cancel_reservation',
        'new_reservation', 'cancelled_reservation', 'pre_execute')),
      job_queue text,
      run_at timestamptz not null,
      attempt integer not null,
      takeovers integer not null,
      worker_id text,
      fence bigint not null,
      slot boolean not null
    ) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);

    -- claim: the ready jobs of a queue, oldest first
    create index tasks_ready on tasks (job_queue, run_at, id) where job is not null and worker_id is null;
    -- claim: the ready jobs that wait for no slot, behind however many that do
    create index tasks_ready_free on tasks (job_queue, run_at, id)
      where job is not null and worker_id is null
        and (slot or job not in ('execute', 'reserve') or (job = 'execute' and epoch > 0));
    -- claim, wounded: the reservations that wait for a slot, those of the oldest trees first
    create index tasks_reserving on tasks (job_queue, priority collate "C", id)
      where job = 'reserve' and worker_id is null;
    -- claim: how many slots of a queue are taken
    create index tasks_slots on tasks (queue_name) where slot;
    -- takeOver: the tasks of a worker that died
    create index tasks_worker on tasks (worker_id) where worker_id is not null;
    -- children of a task, in order
    create unique index tasks_children on tasks (parent_id, "order") where parent_id is not null;
    -- --tasks: newest first
    create index tasks_created on tasks (created_date desc, id);
    -- the tasks that still run, for lists of what waits
    create index tasks_unfinished on tasks (created_date) where status not in ('finished', 'error');

    create table messages (
      seq bigint generated always as identity primary key,
      id text not null,
      peer_id text,
      is_received boolean not null,
      sender_url text not null,
      receiver_url text not null,
      queue_name text not null,
      action text not null,
      task_id text,
      created_date timestamptz not null default now(),
      input_data json,
      info_text text,
      pingback_date timestamptz,
      expiration_date timestamptz,
      async_data json,
      output_status integer,
      error json,
      -- received: processed. sent: pending until acknowledged, then delivered; dead when refused or past its deadline;
      -- withdrawn when its task ended before it was delivered
      state text not null check (state in ('processed', 'pending', 'delivered', 'dead', 'withdrawn')),
      attempts integer not null default 0,
      next_attempt timestamptz not null default now(),
      deadline timestamptz,
      settled_date timestamptz
    ) with (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);

    -- inbox: a message is processed once (D21); the key is the authenticated peer, not the claimed sender
    create unique index messages_inbox on messages (peer_id, id) where is_received;
    create index messages_id on messages (id);
    -- outbox: what is to be delivered to a peer, in order
    create index messages_outbox on messages (peer_id, seq) where state = 'pending';
    -- overdueMessages: what has passed its deadline
    create index messages_deadline on messages (deadline) where state = 'pending' and deadline is not null;
    -- withdraw: the undelivered messages of a task; and the messages of a task
    create index messages_task on messages (task_id) where task_id is not null;
    -- --messages: newest first
    create index messages_created on messages (created_date desc, seq desc);

    create table timers (
      id bigint generated always as identity primary key,
      task_id text not null references tasks (id) on delete cascade,
      kind text not null check (kind in ('expiration', 'pingback', 'reservation', 'quorum')),
      fire_at timestamptz not null,
      epoch integer not null
    );
    create index timers_due on timers (fire_at);
    create index timers_task on timers (task_id);
  `);
}
