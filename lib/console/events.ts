/**
 * Server-sent events of the console: one look at the database for all who watch, while somebody watches; hints about what
 * has changed, numbered, and kept for those who come back (`Last-Event-ID`). A watcher that does not read is cut off.
 */
import { randomUUID } from 'node:crypto';
import type { Request, Response } from 'express';
import { reasonOf } from '../errors.ts';
import { latestBlock } from '../operator/audit.ts';
import type { OperatorServices } from '../operator/services.ts';
import type { VerificationView } from '../operator/views.ts';
import type { Log } from '../protocol/log.ts';
import type { ConsoleEvents } from './contract.ts';
import { cookieOf } from './guards.ts';
import { sessionOf } from './sessions.ts';

const LOOK_MILLISECONDS = 500;
const HEARTBEAT_MILLISECONDS = 15_000;
const KEPT = 1000;
const MAX_IDS = 200;
const MAX_UNREAD_BYTES = 1 << 20;
const MAX_WATCHED = 20_000;
/** How long changes are looked for after the last watcher has gone, who may only have lost the connection. */
const GRACE_MILLISECONDS = 60_000;

interface Seen {
  readonly tasks: ReadonlyMap<string, { readonly root: string; readonly modified: number }>;
  readonly approvals: string;
  readonly elections: ReadonlyMap<string, string>;
  readonly peers: ReadonlyMap<string, string>;
  readonly messages: string;
  readonly latestBlock: number | null;
}

export class EventFeed {
  readonly #services: OperatorServices;
  readonly #version: string;
  readonly #log: Log;
  /** Of numbers between which nothing was missed. */
  #epoch = randomUUID().slice(0, 8);
  readonly #watchers = new Set<Response>();
  readonly #kept: { number: number; text: string }[] = [];
  #number = 0;
  #seen: Seen | null = null;
  #timer: NodeJS.Timeout | undefined;
  #beat = 0;
  /** When the last watcher went. */
  #left = 0;
  #closed = false;

  constructor(services: OperatorServices, version: string, log: Log) {
    this.#services = services;
    this.#version = version;
    this.#log = log;
  }

  serve(request: Request, response: Response): void {
    response.set({ 'Content-Type': 'text/event-stream', 'X-Accel-Buffering': 'no' });
    response.flushHeaders();
    const missed = this.#missedSince(request.get('Last-Event-ID'));
    const { name: node } = this.#services.node;
    const hello = { node, version: this.#version, resumed: missed !== null };
    response.write(`id: ${this.#id(this.#number - (missed?.length ?? 0))}\n${event('hello', hello)}`);
    if (missed === null) response.write(event('reset', {}));
    for (const text of missed ?? []) response.write(text);
    this.#watchers.add(response);
    const session = setInterval(() => {
      sessionOf(this.#services.db, cookieOf(request)).catch(() => response.end());
    }, 60_000);
    response.once('close', () => {
      clearInterval(session);
      this.#watchers.delete(response);
      if (this.#watchers.size === 0) this.#left = Date.now();
    });
    if (this.#timer === undefined) this.#lookSoon(0);
  }

  /** A step of a verification, or its end. Nobody is told when nobody watches: whoever comes asks. */
  verification(view: VerificationView): void {
    if (this.#watchers.size > 0) this.#emit('verification', view);
  }

  close(): void {
    this.#closed = true;
    this.#rest();
    for (const watcher of this.#watchers) watcher.end();
  }

  /** Nobody looks from here on: who comes back later cannot know what they missed. */
  #rest(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#seen = null;
    this.#epoch = randomUUID().slice(0, 8);
    this.#kept.splice(0);
  }

  #id(number: number): string {
    return `${this.#epoch}-${number}`;
  }

  /** Null: it is not known what was missed. */
  #missedSince(last: string | undefined): string[] | null {
    const [epoch, text] = (last ?? '').split('-');
    const number = Number(text);
    if (epoch !== this.#epoch || !Number.isSafeInteger(number) || number > this.#number) return null;
    const oldest = this.#kept[0]?.number ?? this.#number + 1;
    if (number + 1 < oldest) return null;
    return this.#kept.filter((kept) => kept.number > number).map(({ text: kept }) => kept);
  }

  #lookSoon(milliseconds: number): void {
    this.#timer = setTimeout(() => {
      const began = performance.now();
      this.#look()
        .catch((thrown) =>
          this.#log.debug(
            { event: 'console_feed_failed', reason: reasonOf(thrown) },
            'the console could not look for changes',
          ),
        )
        .finally(() => {
          if (this.#closed) return;
          if (this.#watchers.size === 0 && Date.now() - this.#left > GRACE_MILLISECONDS) return this.#rest();
          // A database that is slow is asked less often.
          this.#lookSoon(Math.max(LOOK_MILLISECONDS, 10 * (performance.now() - began)));
        });
    }, milliseconds);
  }

  async #look(): Promise<void> {
    const now = await look(this.#services);
    const before = this.#seen;
    this.#seen = now;
    if (before !== null) this.#compare(before, now);
    if (Date.now() - this.#beat > HEARTBEAT_MILLISECONDS) {
      this.#beat = Date.now();
      this.#tell(': still here\n\n');
    }
  }

  #compare(before: Seen, now: Seen): void {
    const ids: string[] = [];
    const roots = new Set<string>();
    for (const [id, task] of now.tasks)
      if (before.tasks.get(id)?.modified !== task.modified) {
        ids.push(id);
        roots.add(task.root);
      }
    for (const [id, task] of before.tasks)
      if (!now.tasks.has(id)) {
        ids.push(id);
        roots.add(task.root);
      }
    if (ids.length > 0) {
      const complete = ids.length <= MAX_IDS && now.tasks.size < MAX_WATCHED;
      this.#emit('tasks', { ids: ids.slice(0, MAX_IDS), roots: [...roots].slice(0, MAX_IDS), complete });
    }
    if (before.approvals !== now.approvals)
      this.#emit('approvals', { waiting: now.approvals === '' ? 0 : now.approvals.split(',').length });
    const elections = changed(before.elections, now.elections);
    if (elections.length > 0) this.#emit('elections', { ids: elections.slice(0, MAX_IDS) });
    const peers = changed(before.peers, now.peers);
    if (peers.length > 0) this.#emit('peers', { ids: peers });
    if (before.messages !== now.messages) {
      const [pending = 0, dead = 0] = now.messages.split(' ').map(Number);
      this.#emit('messages', { pending, dead });
    }
    if (before.latestBlock !== now.latestBlock) this.#emit('audit', { latest_block: now.latestBlock });
  }

  #emit<K extends keyof ConsoleEvents>(type: K, data: ConsoleEvents[K]): void {
    this.#number += 1;
    const text = `id: ${this.#id(this.#number)}\n${event(type, data)}`;
    this.#kept.push({ number: this.#number, text });
    if (this.#kept.length > KEPT) this.#kept.shift();
    this.#tell(text);
  }

  #tell(text: string): void {
    for (const watcher of this.#watchers) {
      // It comes back, and says what it has seen.
      if (watcher.writableLength > MAX_UNREAD_BYTES) watcher.destroy();
      else watcher.write(text);
    }
  }
}

function event<K extends keyof ConsoleEvents>(type: K, data: ConsoleEvents[K]): string {
  return `event: ${type}\ndata: ${JSON.stringify(data)}\n\n`;
}

function changed(before: ReadonlyMap<string, string>, now: ReadonlyMap<string, string>): string[] {
  const keys = new Set([...before.keys(), ...now.keys()]);
  return [...keys].filter((key) => before.get(key) !== now.get(key));
}

/** Unfinished tasks are few; those that have ended are those that are no longer among them. */
async function look(services: OperatorServices): Promise<Seen> {
  const { db, peers } = services;
  const { rows: tasks } = await db.raw<{
    rows: { id: string; root: string; modified: Date; approval: boolean }[];
  }>(
    `select id, root_id as root, last_modified_date as modified,
       task_type = 'external' and status = 'executing' as approval
     from tasks where status not in ('finished', 'error') order by created_date desc limit ?`,
    [MAX_WATCHED],
  );
  const { rows: elections } = await db.raw<{ rows: { key: string; state: string }[] }>(
    `select key, status || last_modified_date || coalesce((select string_agg(status || last_modified_date, ',' order by id)
       from tallies where election = elections.key), '') as state from elections`,
  );
  const { rows: counts } = await db.raw<{ rows: { pending: number; dead: number }[] }>(
    `select (select count(*) from messages where state = 'pending') as pending,
       (select count(*) from messages where state = 'dead') as dead`,
  );
  return {
    tasks: new Map(tasks.map(({ id, root, modified }) => [id, { root, modified: modified.getTime() }])),
    approvals: tasks
      .filter(({ approval }) => approval)
      .map(({ id }) => id)
      .join(','),
    elections: new Map(elections.map(({ key, state }) => [key, state])),
    peers: new Map(
      peers
        .list()
        .map((peer) => [
          peer.id,
          JSON.stringify([peer.name, peer.roles, peer.downSince, peer.lastError, peer.certificates.length]),
        ]),
    ),
    messages: `${counts[0]!.pending} ${counts[0]!.dead}`,
    latestBlock: await latestBlock(services),
  };
}
