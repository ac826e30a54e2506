import { expect } from 'chai';
import { defineTask, TaskError } from '../../lib/engine/definitions.ts';
import {
  external,
  parallel,
  sequential,
  simple,
  synchronized,
  type TreeNode,
} from '../../lib/engine/tree.ts';
import type { Why } from '../../lib/engine/why.ts';
import { TestFederation, type TestNode, until } from '../support/nodes.ts';
import { sentence } from '../support/sentences.ts';

describe('engine: why a task waits, by real faults (D18)', () => {
  const queue = 'work';
  let federation: TestFederation;
  let gate: PromiseWithResolvers<void>;
  let reserves: (node: string) => void;

  const definitions = (name: string) => [
    defineTask({ queue, action: 'gated' }, async () => gate.promise, {
      reserve: () => {
        reserves(name);
        return null;
      },
    }),
    defineTask({ queue, action: 'repeatable', idempotent: true }, async () => gate.promise),
    defineTask({ queue: 'asking', action: 'asks' }, (_task, ctx) => {
      ctx.add(external({ label: 'approve_all' }), simple({ queue: 'after', action: 'afterwards' }));
    }),
    defineTask({ queue: 'after', action: 'afterwards' }, async (_task, ctx) => {
      ctx.progress({ step: 'counting', done: 1, total: 4 });
      await gate.promise;
    }),
  ];

  before(async () => {
    federation = new TestFederation();
    const queues = { [queue]: { maxThreads: 1 } };
    for (const name of ['a', 'b', 'hasty'])
      await federation.add(name, {
        definitions: definitions(name),
        queues,
        engine: { reservationTimeout: name === 'hasty' ? 0.2 : 30 },
      });
  });
  beforeEach(() => {
    gate = Promise.withResolvers();
    reserves = () => {};
    federation.copies = () => 1;
    federation.dialects.clear();
  });
  afterEach(() => gate.resolve());
  after(() => federation.close());

  const node = (name: string): TestNode => federation.nodes.get(name)!;
  const at = (name: string, action = 'gated', on = queue): TreeNode =>
    simple({ receiver: node(name).url, queue: on, action });
  const said = async (name: string, id: string, text: string): Promise<Why> => {
    let last = '';
    return await until(`"${text}"`, async () => {
      const why = await node(name).engine.why(id);
      last = why.sentence;
      return sentence(text).test(last) && why;
    }).catch(() => {
      throw new Error(`expected: ${text}\nsaid:     ${last}`);
    });
  };
  const hold = (action: string) => {
    federation.copies = (_from, _to, message) => (message.action === action ? 0 : 1);
  };
  const letThrough = async () => {
    federation.copies = () => 1;
    for (const from of federation.nodes.keys())
      for (const to of federation.nodes.keys()) await federation.deliver(from, to);
  };

  it('given reservations that expire because one is not answered, then how often is said', async () => {
    hold('frestq.synchronize_task');
    const id = await node('hasty').engine.create(synchronized([at('b'), at('hasty')]));
    const why = await said(
      'hasty',
      id,
      'waits for 2 of its 2 subtasks (round 3: 2 reservations expired), the first of them gated (…): its message to … is about to be sent, since DATE',
    );
    expect(why.waitingFor).to.equal('delivery');
    await node('hasty').engine.cancel(id, 'the test is over');
    await letThrough();
  });

  it('given a reservation that gave way to an older tree, then that is told apart, and who holds the slot', async () => {
    hold('frestq.synchronize_task');
    const older = await node('a').engine.create(synchronized([at('b')]));
    const younger = await node('b').engine.create(synchronized([at('b'), at('a')]));
    await until('the younger holds the slot', async () =>
      (await node('b').engine.store.childrenOf(younger)).some(({ status }) => status === 'reserved'),
    );
    federation.copies = (from, _to, { action }) =>
      from === 'b' && action === 'frestq.synchronize_task' ? 0 : 1;
    await federation.deliver('a', 'b');
    const why = await said(
      'b',
      younger,
      'waits for 2 of its 2 subtasks (round 2: 1 reservation gave way to an older task), the first of them gated (…): waits for a slot of the queue work, since DATE: its only slot is held by gated (…, executing since DATE)',
    );
    expect(why.waitingFor).to.equal('slot');
    gate.resolve();
    await letThrough();
    await Promise.all([node('a').engine.ended(older), node('b').engine.ended(younger)]);
  });

  it('given an invitation that a performer refuses, then the root says by whom it failed, and why', async () => {
    reserves = (name) => {
      if (name === 'b') throw new TaskError('no port is free');
    };
    const id = await node('a').engine.create(sequential([synchronized([at('a'), at('b')])]));
    await node('a').engine.ended(id);
    const why = await said(
      'a',
      id,
      'ended with an error because of its subtask synchronized task (…): ended with an error because of its subtask gated (…): ended with an error at DATE: no port is free',
    );
    expect((await node('a').engine.store.task(why.taskId))?.peerId).to.equal('b');
  });

  it('given operators of a peer who are asked, then the director says so, and of whom; afterwards, how far it is', async () => {
    const id = await node('a').engine.create(parallel([at('b', 'asks', 'asking')]));
    const why = await said(
      'a',
      id,
      'waits for its subtask asks (…): waits for a decision of the operators of …: approve_all, as … said at DATE',
    );
    expect(why.waitingFor).to.equal('approval');
    const asked = await said(
      'b',
      why.taskId,
      'waits for 2 of its 2 subtasks, the first of them approve_all (…): waits for a decision of the operators of b: approve_all, asked by a, since DATE',
    );
    await node('b').database.knex.raw(
      `insert into approval_decisions (task_id, operator, decision, approval_hash) values (?, 'ana', 'accept', '')`,
      [asked.taskId],
    );
    await said('b', asked.taskId, '…, since DATE; ana accepted at DATE, and another operator is awaited');
    await node('b').engine.finishExternal(asked.taskId, null);
    await said('a', why.taskId, '… executes it (approve_all: 1 of 1), last heard of at DATE');
    await said(
      'b',
      why.taskId,
      'waits for its subtask afterwards (…): its handler runs in the worker b (counting: 1 of 4), since DATE; its lease holds until DATE unless it is renewed',
    );
    gate.resolve();
    await node('a').engine.ended(id);
  });

  it('given an original that says nothing, then it cannot be asked; a task that may be repeated is sent again', async () => {
    await node('a').database.knex.raw(
      `insert into peers (id, name, certificates, roles, dialect) values ('b', 'Old', '[]', '{authority}', 'frestq')`,
    );
    federation.dialects.set('b', 'frestq');
    const pingbackDate = new Date(Date.now() + 60_000);
    const make = (action: string) =>
      node('a').engine.create(sequential([simple({ receiver: node('b').url, queue, action, pingbackDate })]));
    hold('frestq.update_task');
    const [once, again] = [await make('gated'), await make('repeatable')];
    await said(
      'a',
      once,
      'waits for its subtask gated (…): Old has it since DATE, and has not reported yet; it is an original, which cannot be asked how far it is, and the task is not sent again',
    );
    const why = await said(
      'a',
      again,
      'waits for its subtask repeatable (…): Old has it since DATE, and has not reported yet; it is an original, which cannot be asked: the task is sent to it again at DATE',
    );
    expect(why.next).to.deep.equal(pingbackDate);
    gate.resolve();
    await letThrough();
    await Promise.all([once, again].map((id) => node('a').engine.ended(id)));
  });
});
