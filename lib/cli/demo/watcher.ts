/**
 * Looks into the nodes' databases while the demonstration runs, as an operator would, and tells what has happened there:
 * which authority has done what, what waits for a person.
 */
import type { Knex } from 'knex';
import type { Json } from '../../json.ts';
import { type NodeDatabase, openNodeDatabase } from '../../node/node-database.ts';
import { loadSettings } from '../../node/settings.ts';
import type { Account } from './account.ts';
import type { DemoAuthority } from './authority.ts';

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const LOOK_MILLISECONDS = 300;

interface Row {
  readonly id: string;
  readonly action: string;
  readonly type: string;
  readonly label: string | null;
  readonly status: string;
  readonly receiver: string;
  readonly progress: Json;
}

/** What the end of a task means to somebody who watches; `who` did it. */
const SENTENCES: Readonly<Record<string, (who: string, label: string | null) => string>> = {
  generate_private_info: (who) => `${who} has approved the election and made its keys for it`,
  generate_public_key: (who, label) =>
    `${who} has dealt its part of the joint key${label === null ? '' : ''}`,
  confirm_public_key: (who) => `${who} has checked all dealings and confirms the joint key`,
  compare_public_key: (who) => `${who} has asked the others which key they hold: the same`,
  review_tally: (who) => `${who} has fetched the votes, checked every ballot's proof, and approved the tally`,
  perform_tally: (who) => `${who} holds the same list of ciphertexts and is ready to mix`,
  shuffle: (who) => `${who} has shuffled and re-encrypted the ballots`,
  verify_shuffle: (who) => `${who} has verified the shuffle's proof`,
  verify_and_publish_tally: (who) => `${who} has verified all proofs, counted, and published the tally`,
};

export class Watcher {
  readonly #authorities: readonly DemoAuthority[];
  readonly #account: Account;
  readonly #opened: NodeDatabase[] = [];
  readonly #told = new Set<string>();
  readonly #names = new Map<string, string>();
  #looking: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  private constructor(authorities: readonly DemoAuthority[], account: Account) {
    this.#authorities = authorities;
    this.#account = account;
    for (const { made } of authorities) this.#names.set(made.url, made.name);
  }

  /** `manual`: also tells what waits for a person. */
  static async start(
    authorities: readonly DemoAuthority[],
    account: Account,
    manual: boolean,
  ): Promise<Watcher> {
    const watcher = new Watcher(authorities, account);
    for (const { made } of manual ? authorities : authorities.slice(0, 1)) {
      const settings = await loadSettings(made.settings, {});
      watcher.#opened.push(
        await openNodeDatabase(settings, silent, { applicationName: 'conclave demo', poolSize: 2 }),
      );
    }
    watcher.#schedule();
    return watcher;
  }

  /** One more look, so that nothing which has happened is untold. */
  async look(): Promise<void> {
    this.#looking = this.#looking.then(() => this.#lookNow());
    await this.#looking;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#looking.catch(() => {});
    for (const opened of this.#opened) await opened.close();
  }

  #schedule(): void {
    if (this.#closed) return;
    this.#timer = setTimeout(() => {
      this.look()
        // A node that is being restarted is looked at later.
        .catch(() => {})
        .finally(() => this.#schedule());
    }, LOOK_MILLISECONDS);
  }

  async #lookNow(): Promise<void> {
    const [director] = this.#opened;
    if (director !== undefined && !this.#closed) this.#tellRows(await tasksOf(director.database.knex));
    for (const [index, { database }] of this.#opened.entries()) {
      for (const { id, label } of await decisionsOf(database.knex))
        this.#tellDecision(this.#authorities[index]!, id, label);
    }
  }

  #tellRows(rows: readonly Row[]): void {
    for (const { id, action, label, receiver, status } of rows) {
      const sentence = Object.hasOwn(SENTENCES, action) ? SENTENCES[action] : undefined;
      if (sentence === undefined || status !== 'finished' || this.#told.has(id)) continue;
      this.#told.add(id);
      const text = sentence(this.#names.get(receiver) ?? receiver, label);
      // With several questions the same is done once for each.
      const times = [...this.#told].filter((told) => told === text).length;
      if (times === 0) this.#account.line(text);
      this.#told.add(text);
    }
    const working = rows
      .filter(({ status }) => status === 'executing')
      .flatMap(({ progress }) => stepOf(progress));
    const [first] = working;
    if (first !== undefined) this.#account.progress(first.step, first.done);
  }

  #tellDecision({ made }: DemoAuthority, id: string, label: string | null): void {
    if (this.#told.has(`decision ${id}`)) return;
    this.#told.add(`decision ${id}`);
    const short = id.slice(0, 8);
    const command = `npx conclave --settings ${made.settings}`;
    this.#account.line(
      `${made.name} is asked: ${label ?? 'approve'}. In another terminal:\n` +
        `  ${command} --show-external ${short}\n` +
        `  ${command} --finish ${short} '{"status": "accepted"}'`,
    );
  }
}

function stepOf(progress: Json): { step: string; done: number }[] {
  if (typeof progress !== 'object' || progress === null || Array.isArray(progress)) return [];
  const { step, done, total } = progress;
  if (typeof done !== 'number') return [];
  return [
    {
      step: typeof step === 'string' ? step : '',
      done: done / (typeof total === 'number' && total > 0 ? total : 1),
    },
  ];
}

async function tasksOf(db: Knex): Promise<Row[]> {
  const { rows } = await db.raw<{ rows: Row[] }>(
    `select id, action, task_type as type, label, status, receiver_url as receiver, progress from tasks
     order by last_modified_date, id`,
  );
  return rows;
}

async function decisionsOf(db: Knex): Promise<{ id: string; label: string | null }[]> {
  const { rows } = await db.raw<{ rows: { id: string; label: string | null }[] }>(
    `select id, label from tasks where task_type = 'external' and status = 'executing'`,
  );
  return rows;
}
