import { expect } from 'chai';
import { z } from 'zod';
import type { HandlerContext } from '../../lib/engine/context.ts';
import { defineContainer, defineTask, TaskError } from '../../lib/engine/definitions.ts';
import { external, parallel, sequential, simple, synchronized } from '../../lib/engine/tree.ts';
import type { Json } from '../../lib/json.ts';
import { TestFederation, until } from '../support/nodes.ts';

describe('engine: flow of task trees', () => {
  const ran: string[] = [];
  const queue = 'say_queue';
  const note = (name: string) => void ran.push(name);
  const goOn = (ctx: HandlerContext) => {
    ctx.recover();
    ctx.add(
      simple({ queue, action: 'echo', data: 'instead' }),
      simple({ queue, action: 'echo', data: 'then' }),
    );
  };
  const definitions = (node: string) => [
    defineTask({ queue, action: 'hello', input: z.object({ username: z.string() }) }, (task) => {
      note(`${node}:hello ${task.input.username}`);
      return `hello ${task.input.username}!`;
    }),
    defineTask<Json>({ queue, action: 'echo' }, (task) => {
      note(`${node}:echo ${JSON.stringify(task.input)}`);
      return task.input;
    }),
    defineTask({ queue, action: 'grow' }, (_task, ctx) => {
      note(`${node}:grow`);
      ctx.add(
        parallel([
          simple({ queue, action: 'echo', data: 'left', label: 'left' }),
          simple({ queue, action: 'echo', data: 'right', receiver: 'https://a.test:5000/api/queues' }),
        ]),
        simple({ queue, action: 'collect' }),
      );
      return 'grown';
    }),
    defineTask({ queue, action: 'collect' }, async (_task, ctx) => {
      const before = await ctx.previous();
      const outputs = (await ctx.childrenOf(before!.id)).map(({ output }) => output);
      ctx.setParentOutput({ collected: outputs });
    }),
    defineTask({ queue, action: 'fail' }, () => {
      note(`${node}:fail`);
      throw new TaskError('no luck', { reason: 'test' });
    }),
    defineTask(
      { queue, action: 'recover' },
      (_task, ctx) => {
        ctx.add(simple({ queue, action: 'fail' }), simple({ queue, action: 'echo', data: 'never' }));
      },
      {
        handleError: (_task, error, ctx) => {
          note(`${node}:recovered ${error.message}`);
          ctx.recover({ recovered: error.data as Json });
        },
      },
    ),
    defineTask({ queue, action: 'flaky', retry: { attempts: 3, initialDelay: 5 } }, (task) => {
      note(`${node}:flaky ${task.attempt}`);
      if (task.attempt < 2) throw new Error('not yet');
      return task.attempt;
    }),
    defineTask(
      { queue, action: 'go_on' },
      (_task, ctx) =>
        ctx.add(simple({ queue, action: 'fail' }), simple({ queue, action: 'echo', data: 'never' })),
      { handleError: (_task, _error, ctx) => goOn(ctx) },
    ),
    defineTask<number>({ queue, action: 'step' }, (task, ctx) => {
      if (task.input > 0) ctx.addToParent(simple({ queue, action: 'step', data: task.input - 1 }));
    }),
    defineTask({ queue, action: 'look' }, async (_task, ctx) => {
      const labels = (await ctx.siblings()).map(({ label }) => label);
      const last = await ctx.sibling('last');
      return [labels, (await ctx.previous())!.label, (await ctx.next())!.label, last!.order] as Json;
    }),
    defineContainer({ name: 'going on', handleError: (_task, _error, ctx) => goOn(ctx) }),
    defineContainer({
      name: 'tolerant',
      handleError: (_task, error, ctx) => ctx.recover({ tolerated: error.code }),
    }),
  ];
  let federation: TestFederation;

  before(async () => {
    federation = new TestFederation();
    await federation.add('a', { definitions: definitions('a') });
    await federation.add('b', { definitions: definitions('b') });
  });
  after(() => federation.close());
  beforeEach(() => {
    ran.length = 0;
  });

  const a = () => federation.nodes.get('a')!;
  const b = () => federation.nodes.get('b')!;
  const run = async (tree: Parameters<ReturnType<typeof a>['engine']['create']>[0]) =>
    a().engine.ended(await a().engine.create(tree));

  it('a simple task sent to a peer is executed there, with the same id, and its output comes back (FQ-T1, FQ-P7)', async () => {
    const task = await run(simple({ receiver: b().url, queue, action: 'hello', data: { username: 'bob' } }));
    expect(task).to.include({ status: 'finished', type: 'simple', output: 'hello bob!' });
    expect(await b().engine.store.task(task.id)).to.include({
      status: 'finished',
      type: 'sequential',
      isReceived: true,
      peerId: 'a',
    });
    expect(ran).to.deep.equal(['b:hello bob']);
  });

  it('the receiver grows a subtree that reaches back to the sender (FQ-T1)', async () => {
    const task = await run(simple({ receiver: b().url, queue, action: 'grow' }));
    expect(task.output).to.deep.equal({ collected: ['left', 'right'] });
    expect(ran).to.have.members(['b:grow', 'b:echo "left"', 'a:echo "right"']);
  });

  it('a sequence runs in order and stops at the first error, whose reason is known at the root (FQ-T2, FQ-T8)', async () => {
    const step = (data: string) => simple({ receiver: b().url, queue, action: 'echo', data });
    const good = await run(sequential([step('1'), step('2'), step('3')]));
    expect(good.status).to.equal('finished');
    expect(ran).to.deep.equal(['b:echo "1"', 'b:echo "2"', 'b:echo "3"']);

    const bad = await run(
      sequential([step('4'), simple({ receiver: b().url, queue, action: 'fail' }), step('5')]),
    );
    expect(bad.status).to.equal('error');
    expect(bad.error).to.deep.include({ message: 'no luck', data: { reason: 'test' }, node: 'b' });
    const children = await a().engine.store.childrenOf(bad.id);
    expect(children.map(({ status }) => status)).to.deep.equal(['finished', 'error', 'error']);
    expect(children[2]!.error!.code).to.equal('not_started');
    expect(ran).not.to.include('b:echo "5"');
  });

  it('a parallel task errs as soon as one child errs, while the others go on (FQ-T3)', async () => {
    const task = await run(
      parallel([
        external({ label: 'open' }),
        simple({ queue, action: 'fail' }),
        simple({ queue, action: 'echo', data: 'other' }),
      ]),
    );
    expect(task.error).to.include({ code: 'subtasks_failed' });
    expect(task.error!.message).to.contain('no luck');
    const [open] = await a().engine.store.childrenOf(task.id);
    expect(open!.status).to.equal('executing');
  });

  it('a parallel task that ends together with its children ends those that run, with the reason, here and at the peer (D17)', async () => {
    const task = await run(
      parallel(
        [
          external({ label: 'open' }),
          sequential([external({ label: 'deeper' })]),
          simple({ queue, action: 'fail' }),
        ],
        { endsTogether: true },
      ),
    );
    const children = await a().engine.store.childrenOf(task.id);
    expect(children.map(({ error }) => error!.code)).to.deep.equal(['cancelled', 'cancelled', 'task_failed']);
    expect(children[0]!.error!.message).to.contain('no luck');
    const [deeper] = await a().engine.store.childrenOf(children[1]!.id);
    expect(deeper!.error!.message).to.contain('no luck');
  });

  it('with a quorum, k of n suffice (D16)', async () => {
    const fail = simple({ queue, action: 'fail' });
    const echo = simple({ queue, action: 'echo', data: 1 });
    expect((await run(parallel([fail, echo, echo], { quorum: 2 }))).status).to.equal('finished');
    expect((await run(parallel([fail, fail, echo], { quorum: 2 }))).status).to.equal('error');
  });

  it('an error handler recovers: the task ends well and what had not started never does (FQ-T8, 1A.7 propagate=False)', async () => {
    const task = await run(
      sequential([
        simple({ receiver: b().url, queue, action: 'recover' }),
        simple({ queue, action: 'echo', data: 'next' }),
      ]),
    );
    expect(task.status).to.equal('finished');
    const [recovered] = await a().engine.store.childrenOf(task.id);
    expect(recovered!.output).to.deep.equal({ recovered: { reason: 'test' } });
    expect(ran).to.include('a:echo "next"').and.not.to.include('b:echo "never"');
  });

  it('a container recovers through its named handler', async () => {
    const task = await run(sequential([simple({ queue, action: 'fail' })], { handler: 'tolerant' }));
    expect(task).to.deep.include({ status: 'finished', output: { tolerated: 'task_failed' } });
  });

  it('a handler that throws is called again as its action says; then its output counts (D15)', async () => {
    const task = await run(simple({ queue, action: 'flaky' }));
    expect(task).to.include({ status: 'finished', output: 2 });
    expect(ran).to.deep.equal(['a:flaky 0', 'a:flaky 1', 'a:flaky 2']);
  });

  it('input that does not fit the schema fails the task, naming every problem', async () => {
    const task = await run(simple({ receiver: b().url, queue, action: 'hello', data: { user: 'bob' } }));
    expect(task.error).to.include({ code: 'invalid_input', node: 'b' });
    expect(task.error!.message).to.contain('username');
    expect(ran).to.deep.equal([]);
  });

  it('an external task waits until it is finished with data, once (FQ-T5)', async () => {
    const { engine } = a();
    const root = await engine.create(sequential([external({ label: 'approve', data: { shown: true } })]));
    const [waiting] = await engine.store.childrenOf(root);
    expect(waiting).to.include({ status: 'executing', label: 'approve' });
    await engine.finishExternal(waiting!.id, { status: 'accepted' });
    expect((await engine.ended(root)).status).to.equal('finished');
    expect((await engine.store.task(waiting!.id))!.output).to.deep.equal({ status: 'accepted' });
    const again = await engine.finishExternal(waiting!.id, { status: 'denied' }).catch((error) => error);
    expect(again).to.include({ code: 'task_ended' });
    const wrong = await engine.finishExternal(root, {}).catch((error) => error);
    expect(wrong).to.include({ code: 'not_external' });
  });

  it('an action that the peer does not know fails the task with the peer’s answer (FQ-P4)', async () => {
    const task = await run(simple({ receiver: b().url, queue, action: 'unheard' }));
    expect(task.error).to.include({ code: 'unknown_action' });
    expect(task.error!.message).to.equal('Action handler unheard not found in the queue say_queue');
  });

  it('a tree with an unknown receiver or action is refused before anything is stored', async () => {
    const before = (await a().tasks()).length;
    const receiver = 'https://nobody.test/api/queues';
    const unknown = await a()
      .engine.create(sequential([simple({ receiver, queue, action: 'echo' })]))
      .catch((error) => error);
    expect(unknown).to.include({ code: 'unknown_peer' });
    const undefinedAction = await a()
      .engine.create(simple({ queue, action: 'nope' }))
      .catch((error) => error);
    expect(undefinedAction).to.include({ code: 'invalid_tree' });
    expect((await a().tasks()).length).to.equal(before);
  });

  it('a handler finds its siblings, by label and by place (FQ-A8, 1A.7 get_sibling)', async () => {
    const echo = (label: string) => simple({ queue, action: 'echo', data: label, label });
    const look = simple({ queue, action: 'look', label: 'look' });
    const task = await run(sequential([echo('first'), look, echo('last')]));
    const looked = (await a().engine.store.childrenOf(task.id))[1]!;
    expect(looked.output).to.deep.equal([['first', 'last'], 'first', 'last', 2]);
  });

  it('a recovered task goes on with what its error handler added, and with nothing that had not started', async () => {
    const task = await run(simple({ queue, action: 'go_on' }));
    expect(task).to.include({ status: 'finished' });
    const children = await a().engine.store.childrenOf(task.id);
    expect(children.map(({ status }) => status)).to.deep.equal(['error', 'error', 'finished', 'finished']);
    expect(ran).to.deep.equal(['a:fail', 'a:echo "instead"', 'a:echo "then"']);
  });

  it('a parallel task that recovered goes on too, while earlier children still run', async () => {
    const open = external({ label: 'still open' });
    const task = await run(parallel([open, simple({ queue, action: 'fail' })], { handler: 'going on' }));
    expect(task.status).to.equal('finished');
    const [first] = await a().engine.store.childrenOf(task.id);
    await a().engine.finishExternal(first!.id, null);
    expect(ran).to.deep.equal(['a:fail', 'a:echo "instead"', 'a:echo "then"']);
  });

  it('a step adds the next steps of its sequence, and to a synchronized parent none without a word', async () => {
    const task = await run(sequential([simple({ queue, action: 'step', data: 2 })]));
    expect(task).to.include({ status: 'finished', children: 3, childrenFinished: 3 });
    const refused = await run(synchronized([simple({ queue, action: 'step', data: 1 })]));
    expect(refused.error!.message).to.contain('takes no further subtasks');
  });

  it('subtasks are added to a running task at its end (FQ-T7)', async () => {
    const { engine } = a();
    const root = await engine.create(sequential([external({ label: 'gate' })]));
    await engine.add(root, [simple({ queue, action: 'echo', data: 'added' })]);
    const [gate] = await engine.store.childrenOf(root);
    await engine.finishExternal(gate!.id, null);
    expect((await engine.ended(root)).status).to.equal('finished');
    expect(ran).to.deep.equal(['a:echo "added"']);
    const late = await engine.add(root, [external({ label: 'late' })]).catch((error) => error);
    expect(late).to.include({ code: 'task_ended' });
  });

  it('cancelling ends the whole tree, here and at the peer, and aborts what runs (D17)', async () => {
    const { engine } = a();
    const root = await engine.create(
      parallel([
        sequential([external({ label: 'first' }), simple({ queue, action: 'echo' })]),
        simple({ receiver: b().url, queue, action: 'grow', expirationDate: new Date(Date.now() + 60_000) }),
        external({ label: 'second' }),
      ]),
    );
    await until('the peer has the task', () => ran.includes('b:grow'));
    await engine.cancel(root, 'changed my mind');
    const task = await engine.ended(root);
    expect(task.error).to.include({ code: 'cancelled', message: 'cancelled: changed my mind' });
    for (const child of await engine.store.childrenOf(root))
      expect(child.status).to.be.oneOf(['error', 'finished']);
  });

  it('a task ends in an error at its expiration date, and the peer is told to stop (D17, 1A.7 expiration)', async () => {
    const expirationDate = new Date(Date.now() + 150);
    const task = await run(sequential([external({ label: 'nobody answers', expirationDate })]));
    expect(task.error).to.include({ code: 'expired' });
    expect(task.error!.message).to.contain(expirationDate.toISOString());
  });
});
