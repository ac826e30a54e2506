/*
 * Every recorded exchange of two originals, replayed with one of them replaced by an engine of ours, in both roles:
 * what the original sent, we receive; what we send must be what the original sent in our place, ids, dates and order
 * apart. The original repeats its updates and reports `executing` when it likes: here every message counts once, and an
 * update `executing` may be missing.
 */
import { expect } from 'chai';
import { defineContainer, defineTask, TaskError } from '../../lib/engine/definitions.ts';
import type { Task } from '../../lib/engine/model.ts';
import {
  external,
  parallel,
  sequential,
  simple,
  synchronized,
  type TreeNode,
} from '../../lib/engine/tree.ts';
import type { Json } from '../../lib/json.ts';
import { parseBody, parseMessage, wireBody } from '../../lib/protocol/message.ts';
import { capturedExchanges, captureNames, type Exchange } from '../protocol/captures.ts';
import { TestFederation, type TestNode, until } from '../support/nodes.ts';

const DIRECTOR = 'http://127.0.0.1:5000/api/queues';
const EXECUTOR = 'http://127.0.0.1:5001/api/queues';
const PEER_URL = 'https://original.test:5000/api/queues';
/** Fields of ours that an original does not send and does not read. */
const OURS = new Set(['epoch', 'priority', 'error', 'progress']);
/** Single requests by hand, without a course of events. */
const PROBES = 'probe.pg.jsonl';

interface Exchanged extends Exchange {
  t: number;
  from: string;
  to: string;
}

type Body = Record<string, Json> & { action: string; task_id: string; data: Json };

const remote = (queue: string, action: string, data: Json): TreeNode =>
  simple({ receiver: PEER_URL, queue, action, data });

/** What the recorded nodes ran, as their messages show it. */
function definitions(waits: () => boolean) {
  const username = (input: unknown): string => (input as { username: string }).username;
  const port = (task: { receiverUrl: string; senderUrl: string; peerId: string | null }): Json => ({
    port: task.peerId === null ? 6010 : 6000,
  });
  return [
    // The action of one name waits for a decision in one recording, and only says hello in another.
    defineTask({ queue: 'say_queue', action: 'hello_world' }, (task, ctx) => {
      if (waits()) ctx.add(external({ label: 'approve' }));
      else return `hello ${username(task.input)}!`;
    }),
    defineTask({ queue: 'probe_queue', action: 'echo' }, (task) => ({ got: task.input as Json })),
    defineTask({ queue: 'err_queue', action: 'fail' }, () => {
      throw new TaskError('it fails');
    }),
    defineTask(
      { queue: 'err_queue', action: 'fail_recovered' },
      () => {
        throw new TaskError('it fails');
      },
      { handleError: (_task, _error, ctx) => ctx.recover({ recovered: { reason: 'recovered' } }) },
    ),
    defineTask({ queue: 'err_queue', action: 'never_land' }, () => {}),
    defineTask({ queue: 'err_queue', action: 'root' }, (task, ctx) => {
      const { sub } = task.input as { sub: string };
      ctx.add(remote('err_queue', sub, { x: 1 }));
      if (sub === 'fail_recovered') ctx.add(remote('err_queue', 'never_land', { x: 1 }));
    }),
    defineTask({ queue: 'hello_world', action: 'testing.hello_world' }, (task, ctx) => {
      const action = 'testing.goodbye_cruel_world';
      const name = username(task.input);
      const here = simple({ queue: 'hello_world', action, data: { username: name.repeat(2) } });
      const there = remote('hello_world', action, { username: name.repeat(3) });
      const all = simple({ queue: 'hello_world', action: 'testing.all_goodbyes_together' });
      ctx.add(sequential([parallel([here, there]), all]));
      return `hello ${name}!`;
    }),
    defineTask(
      { queue: 'hello_world', action: 'testing.goodbye_cruel_world' },
      (task) => `goodbye ${username(task.input)}!`,
    ),
    defineTask({ queue: 'hello_world', action: 'testing.all_goodbyes_together' }, () => {}),
    defineTask({ queue: 'start_queue', action: 'sync.start' }, (_task, ctx) => {
      const performer = { queue: 'performer_queue', action: 'sync.perform', data: { election: 17 } };
      ctx.add(
        synchronized([simple(performer), simple({ ...performer, receiver: PEER_URL })], {
          handler: 'meeting',
        }),
      );
    }),
    defineTask(
      { queue: 'performer_queue', action: 'sync.perform' },
      (task, ctx) => ({ seen: task.input as Json, node: ctx.node.url }),
      { reserve: port },
    ),
    defineContainer({
      name: 'meeting',
      async preExecute(_task, ctx) {
        const children = await ctx.children();
        const reserved = Object.fromEntries(children.map((child) => [child.id, child.reservationData]));
        for (const { id } of children) ctx.setInput(id, { election: 17, reservation_data: reserved });
      },
    }),
  ];
}

/** What the person at the director's side asked for, by recording. */
const ASKED: Readonly<Record<string, { tree: TreeNode; status: Task['status'] }>> = {
  'duplicates.pg.jsonl': { tree: remote('probe_queue', 'echo', {}), status: 'finished' },
  'error_direct_fail.jsonl': { tree: remote('err_queue', 'fail', { x: 1 }), status: 'error' },
  'error_tree_fail.jsonl': {
    tree: simple({ queue: 'err_queue', action: 'root', data: { sub: 'fail' } }),
    status: 'error',
  },
  'error_tree_fail_recovered.jsonl': {
    tree: simple({ queue: 'err_queue', action: 'root', data: { sub: 'fail_recovered' } }),
    status: 'finished',
  },
  'external.jsonl': { tree: remote('say_queue', 'hello_world', { username: 'bob' }), status: 'finished' },
  'helloworld.jsonl': { tree: remote('say_queue', 'hello_world', { username: 'bob' }), status: 'finished' },
  'sync2.pg.jsonl': {
    tree: simple({ queue: 'start_queue', action: 'sync.start', data: { username: 'bob' } }),
    status: 'finished',
  },
  'tasktree.pg.jsonl': {
    tree: remote('hello_world', 'testing.hello_world', { username: 'bob' }),
    status: 'finished',
  },
};

/** One side of a recording, played by an engine of ours. */
class Replay {
  readonly #node: TestNode;
  readonly #own: string;
  readonly #other: string;
  /** Our ids for those of the recording. */
  readonly #ids = new Map<string, string>();
  readonly #matched = new Set<string>();
  /** What was sent before, of other recordings. */
  readonly #after: number;

  private constructor(node: TestNode, own: string, after: number) {
    this.#node = node;
    this.#after = after;
    this.#own = own;
    this.#other = own === DIRECTOR ? EXECUTOR : DIRECTOR;
  }

  static async start(node: TestNode, own: string): Promise<Replay> {
    const { rows } = await node.database.knex.raw('select coalesce(max(seq), 0) as last from messages');
    return new Replay(node, own, Number(rows[0].last));
  }

  async play(exchanges: readonly Exchanged[]): Promise<void> {
    const seen = new Set<string>();
    for (const exchange of exchanges) {
      const body = exchange.body as Body;
      const queue = exchange.path.split('/')[3];
      if (queue === undefined || typeof body !== 'object' || body === null) continue;
      const { from, to } = exchange;
      if (to === this.#own && from === this.#other) await this.#receive(body, queue, 'original', 'kept');
      else if (to === this.#own && from !== this.#own)
        await this.#receive(body, queue, 'stranger', 'rejected');
      else if (from === this.#own && to === this.#own) await this.#decide(body);
      else if (from === this.#own && to === this.#other && !isByHand(exchange)) {
        const key = JSON.stringify([queue, body.action, body.data, body.task_id]);
        const executing = (body.data as { status?: string } | null)?.status === 'executing';
        if (!seen.has(key) && !executing) await this.#awaitSent(body, queue);
        seen.add(key);
      }
    }
    await this.#expectNothingElse(exchanges);
  }

  async #receive(body: Body, queue: string, peerId: string, outcome: 'kept' | 'rejected'): Promise<void> {
    const bytes = Buffer.from(JSON.stringify(this.#translated(body)));
    const [receipt] = await this.#node.engine.receive([parseMessage(parseBody(bytes), queue, peerId)]);
    expect(receipt!.outcome === 'rejected', JSON.stringify({ body, receipt })).to.equal(
      outcome === 'rejected',
    );
  }

  async #decide(body: Body): Promise<void> {
    if (body.action !== 'frestq.finish_external_task') return;
    const waiting = await until('an external task', async () =>
      (await this.#node.tasks()).find(({ type, status }) => type === 'external' && status === 'executing'),
    );
    await this.#node.engine.finishExternal(waiting.id, body.data);
  }

  /** Our message for a recorded one: the same but for ids. A task that it starts gets its recorded id's place. */
  async #awaitSent(recorded: Body, queue: string): Promise<void> {
    const found = await until(`${queue} ${recorded.action} ${JSON.stringify(recorded.data)}`, async () =>
      (await this.#sent()).find((mine) => {
        if (this.#matched.has(mine.messageId) || mine.queue !== queue) return false;
        const known = this.#ids.get(recorded.task_id) ?? (mine.body.task_id as string);
        const ids = new Map([...this.#ids, [recorded.task_id, known]]);
        return same(mine.body, this.#translated(recorded, ids));
      }),
    );
    this.#matched.add(found.messageId);
    if (!this.#ids.has(recorded.task_id)) this.#ids.set(recorded.task_id, found.body.task_id as string);
    expect(Object.keys(found.body).sort()).to.deep.equal(Object.keys(recorded).sort());
  }

  async #expectNothingElse(exchanges: readonly Exchanged[]): Promise<void> {
    const recorded = exchanges
      .filter(({ from, to }) => from === this.#own && to === this.#other)
      .map(({ body }) => this.#translated(body as Body));
    for (const { body } of await this.#sent())
      expect(
        recorded.some((each) => same(body, each)),
        `we sent ${JSON.stringify(body)}`,
      ).to.equal(true);
  }

  async #sent() {
    const { rows } = await this.#node.database.knex.raw(
      `select id, queue_name, action, task_id, sender_url, input_data from messages
       where not is_received and peer_id = 'original' and seq > ? order by seq`,
      [this.#after],
    );
    const nothing = { infoText: null, pingbackDate: null, expirationDate: null, asyncData: null };
    return (rows as Record<string, string>[]).map((row) => {
      const [messageId, queue, action] = [row.id!, row.queue_name!, row.action!];
      const [taskId, senderUrl, data] = [row.task_id!, row.sender_url!, row.input_data as Json];
      const message = { messageId, queue, action, taskId, senderUrl, data, ...nothing };
      return { messageId, queue, body: wireBody(message) };
    });
  }

  #translated(body: Body, ids: ReadonlyMap<string, string> = this.#ids): Body {
    let text = JSON.stringify(body).replaceAll(this.#own, this.#node.url).replaceAll(this.#other, PEER_URL);
    for (const [recorded, mine] of ids) text = text.replaceAll(recorded, mine);
    return JSON.parse(text) as Body;
  }

  /** Our id of a director's child is in the start's data before a message names it. */
  know(recorded: string, mine: string): void {
    this.#ids.set(recorded, mine);
  }
}

/** But for message ids, and what is ours alone. */
function same(mine: Record<string, Json>, recorded: Record<string, Json>): boolean {
  const normal = (value: Json): unknown =>
    value === null || typeof value !== 'object' || Array.isArray(value)
      ? value
      : Object.keys(value)
          .filter((key) => key !== 'message_id' && !OURS.has(key))
          .sort()
          .map((key) => [key, normal(value[key]!)]);
  return JSON.stringify(normal(mine)) === JSON.stringify(normal(recorded));
}

/** Sent by the one who recorded, not by the node. */
function isByHand({ headers }: Exchange): boolean {
  return !(headers['User-Agent'] ?? '').startsWith('python-requests');
}

describe('recorded exchanges with one side played by a node (D20, D62)', () => {
  const federation = new TestFederation();
  let capture = '';
  let director: TestNode;
  let executor: TestNode;
  before(async function () {
    this.timeout(20_000);
    const options = {
      definitions: definitions(() => capture === 'external.jsonl'),
      engine: {
        peers: {
          idByUrl: (url: string) => (url === PEER_URL ? 'original' : undefined),
          dialect: () => 'frestq' as const,
        },
      },
    };
    [director, executor] = [
      await federation.add('director', options),
      await federation.add('executor', options),
    ];
  });
  after(() => federation.close());

  for (const name of captureNames().filter((each) => each !== PROBES)) {
    const exchanges = (capturedExchanges(name) as Exchanged[]).sort((one, other) => one.t - other.t);

    it(`given ${name}, when we are the executor, then we send what the original sent`, async () => {
      capture = name;
      await (await Replay.start(executor, EXECUTOR)).play(exchanges);
    });

    it(`given ${name}, when we are the director, then we send what the original sent, and the tree ends`, async () => {
      capture = name;
      const { tree, status } = ASKED[name]!;
      const replay = await Replay.start(director, DIRECTOR);
      const id = await director.engine.create(tree);
      if (name === 'sync2.pg.jsonl') {
        const own = exchanges.find(
          ({ to, body }) => to === DIRECTOR && (body as Body).action === 'frestq.synchronize_task',
        )!;
        const child = await until('our own performer', async () =>
          (await director.tasks()).find(({ action, isLocal }) => action === 'sync.perform' && isLocal),
        );
        replay.know((own.body as Body).task_id, child.id);
      }
      await replay.play(exchanges);
      expect((await director.engine.ended(id)).status).to.equal(status);
    });
  }
});
