import { expect } from 'chai';
import { blankTask, external, parallel, sequential } from '../../lib/engine/tree.ts';
import { prune } from '../../lib/store/retention.ts';
import { sessionOf } from '../../lib/store/session.ts';
import {
  ancestors,
  findMessage,
  findTask,
  listMessages,
  listTasks,
  subtree,
} from '../../lib/store/task-queries.ts';
import { insertTasks } from '../../lib/store/tasks.ts';
import { TestFederation, type TestNode } from '../support/nodes.ts';

describe('store: reads of tasks and messages, and what is forgotten', () => {
  let federation: TestFederation;
  let node: TestNode;
  const days = (count: number) => new Date(Date.UTC(2030, 0, 1) - count * 24 * 3600 * 1000);
  const add = (id: string, changes: object = {}) =>
    insertTasks(sessionOf(node.database.knex), [{ ...blankTask(id, days(0)), ...changes }]);
  const message = (id: string, changes: Record<string, unknown> = {}) => {
    const row = {
      id,
      peer_id: 'b',
      is_received: true,
      sender_url: '',
      receiver_url: '',
      queue_name: 'q',
      action: 'act',
      state: 'processed',
      settled_date: days(0),
      ...changes,
    };
    return node.database.knex('messages').insert(row);
  };
  const codeOf = async (promise: Promise<unknown>) =>
    ((await promise.catch((thrown) => thrown)) as { code?: string }).code;

  beforeEach(async () => {
    federation = new TestFederation();
    node = await federation.add('a', { definitions: [], engine: { works: false } });
  });
  afterEach(() => federation.close());

  it('a task is found by the beginning of its id; an ambiguous one lists the candidates (1A.7, FQ-C13)', async () => {
    const { knex } = node.database;
    for (const id of ['abc-1', 'abc-2', 'abc', 'xyz-1']) await add(id);
    expect((await findTask(knex, 'x')).id).to.equal('xyz-1');
    expect((await findTask(knex, 'abc')).id).to.equal('abc');
    const thrown = await findTask(knex, 'ab').catch((error) => error);
    expect(thrown).to.deep.include({ code: 'ambiguous_id' });
    expect(thrown.data.candidates).to.deep.equal(['abc', 'abc-1', 'abc-2']);
    for (const none of ['nothing', '', '%', 'a%', 'a\u0000', '_'])
      expect(await codeOf(findTask(knex, none)), JSON.stringify(none)).to.equal('task_not_found');
  });

  it('tasks are listed newest first, by filters of a list and no other (FQ-C2, FQ-C4, 1A.7 unrestricted getattr)', async () => {
    const { knex } = node.database;
    await add('old', { createdDate: days(2), status: 'executing', type: 'external' });
    await add('new', { createdDate: days(1), status: 'executing', type: 'external', isReceived: true });
    await add('done', { createdDate: days(3), status: 'finished' });
    const ids = async (filters: Record<string, string>, limit = 20) =>
      (await listTasks(knex, { filters, limit })).map(({ id }) => id);
    expect(await ids({})).to.deep.equal(['new', 'old', 'done']);
    expect(await ids({}, 1)).to.deep.equal(['new']);
    expect(await ids({ task_type: 'external', status: 'executing' })).to.deep.equal(['new', 'old']);
    expect(await ids({ is_received: 'true' })).to.deep.equal(['new']);
    for (const filters of [
      { metadata: 'x' },
      { 'id = id or id': 'x' },
      { constructor: 'x' },
      { __proto__x: 'x' },
      { is_received: 'perhaps' },
      { status: 'a\u0000' },
    ] as unknown as Record<string, string>[])
      expect(await codeOf(ids(filters)), JSON.stringify(filters)).to.equal('usage');
    for (const limit of [0, -1, 1.5, 10_001]) expect(await codeOf(ids({}, limit))).to.equal('usage');
  });

  it('messages are listed and found likewise (FQ-C3)', async () => {
    const { knex } = node.database;
    await message('m-1', { created_date: days(2), output_status: 404 });
    await message('m-2', { created_date: days(1), output_status: 200 });
    expect((await listMessages(knex)).map(({ id }) => id)).to.deep.equal(['m-2', 'm-1']);
    expect(
      (await listMessages(knex, { filters: { output_status: '404' } })).map(({ id }) => id),
    ).to.deep.equal(['m-1']);
    expect(await findMessage(knex, 'm-2')).to.include({ id: 'm-2', outputStatus: 200, peerId: 'b' });
    expect(await codeOf(findMessage(knex, 'm-'))).to.equal('ambiguous_id');
    expect(await codeOf(findMessage(knex, 'z'))).to.equal('not_found');
    expect(await codeOf(listMessages(knex, { filters: { output_status: 'x' } }))).to.equal('usage');
  });

  it('a tree comes in its order, and what is above a task with the root first (FQ-C5)', async () => {
    const { engine, database } = node;
    const label = (name: string) => external({ label: name });
    const root = await engine.create(
      sequential([parallel([label('1.1'), label('1.2')], { label: '1' }), label('2')], { label: 'root' }),
    );
    const labels = (tasks: { label: string | null }[]) => tasks.map((task) => task.label);
    const tree = await subtree(database.knex, root);
    expect(labels(tree)).to.deep.equal(['root', '1', '1.1', '1.2', '2']);
    expect(labels(await ancestors(database.knex, tree[3]!.id))).to.deep.equal(['root', '1']);
    expect(await ancestors(database.knex, root)).to.deep.equal([]);
    expect(await subtree(database.knex, 'nothing')).to.deep.equal([]);
  });

  it('only old, wholly ended trees without undelivered messages are forgotten; messages stay a week longer', async () => {
    const { knex } = node.database;
    const ended = { status: 'finished', createdDate: days(41), modifiedDate: days(40) } as const;
    await add('gone', ended);
    await add('gone-child', { ...ended, rootId: 'gone', parentId: 'gone' });
    await add('recent', { ...ended, modifiedDate: days(1) });
    await add('half', { ...ended, status: 'error' });
    await add('half-child', { ...ended, status: 'executing', rootId: 'half', parentId: 'half' });
    await add('untold', ended);
    await add('running', { ...ended, status: 'executing' });
    await message('late', { task_id: 'untold', is_received: false, state: 'pending', settled_date: null });
    await message('old', { task_id: 'gone', settled_date: days(60) });
    await message('kept-for-repetition', { task_id: 'gone', settled_date: days(40) });
    await message('kept-with-its-task', { task_id: 'half', settled_date: days(60) });
    const options = { treesEndedBefore: days(30), messagesSettledBefore: days(50), batch: 1 };
    expect(await prune(knex, options)).to.deep.equal({ trees: 1, tasks: 2, messages: 1 });
    const left = async (table: string) => (await knex(table).select('id').orderBy('id')).map(({ id }) => id);
    expect(await left('tasks')).to.deep.equal(['half', 'half-child', 'recent', 'running', 'untold']);
    expect(await left('messages')).to.deep.equal(['kept-for-repetition', 'kept-with-its-task', 'late']);
    const hasty = prune(knex, { treesEndedBefore: days(30), messagesSettledBefore: days(30) });
    expect(await hasty.catch((thrown) => thrown)).to.be.instanceOf(RangeError);
  });
});
