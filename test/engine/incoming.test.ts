import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { defineMessage, defineTask } from '../../lib/engine/definitions.ts';
import type { IncomingMessage, Receipt } from '../../lib/engine/model.ts';
import { external, simple } from '../../lib/engine/tree.ts';
import type { Json } from '../../lib/json.ts';
import { TestFederation, type TestNode, until } from '../support/nodes.ts';

describe('engine: messages of peers (FQ-P*, FQ-I*, D21, D22)', () => {
  const queue = 'work';
  let federation: TestFederation;
  let a: TestNode;
  let b: TestNode;
  let ran: Json[];
  let leave: PromiseWithResolvers<void>;
  const definitions = [
    defineTask({ queue, action: 'note' }, (task) => {
      ran.push(task.input as Json);
      return 'noted';
    }),
    defineTask({ queue, action: 'other' }, () => {}),
    defineMessage<Json>({ queue, action: 'raw' }, (raw) => void ran.push(raw as unknown as Json)),
    defineTask({ queue, action: 'own', localOnly: true }, () => {}),
    defineTask({ queue, action: 'gated' }, async () => leave.promise),
    defineTask({ queue: 'narrow', action: 'gated' }, async () => leave.promise),
  ];

  before(async () => {
    federation = new TestFederation();
    const queues = { narrow: { maxThreads: 1, maxWaiting: 1 } };
    a = await federation.add('a', { definitions, queues });
    b = await federation.add('b', { definitions });
    leave = Promise.withResolvers();
  });
  after(async () => {
    leave.resolve();
    await federation.close();
  });
  beforeEach(() => {
    ran = [];
    leave = Promise.withResolvers();
    federation.copies = () => 1;
  });
  afterEach(() => leave.resolve());

  const message = (fields: Partial<IncomingMessage> = {}): IncomingMessage => ({
    peerId: 'b',
    messageId: randomUUID(),
    senderUrl: b.url,
    queue,
    action: 'note',
    taskId: randomUUID(),
    data: null,
    infoText: null,
    pingbackDate: null,
    expirationDate: null,
    asyncData: null,
    ...fields,
  });
  const internal = (
    action: string,
    taskId: string | null,
    data: Json,
    fields: Partial<IncomingMessage> = {},
  ) => message({ queue: 'internal.frestq', action, taskId, data, ...fields });
  const receive = async (one: IncomingMessage): Promise<Receipt> => (await a.engine.receive([one]))[0]!;
  const codeOf = (receipt: Receipt) =>
    receipt.outcome === 'rejected' ? receipt.failure.code : receipt.outcome;
  const task = async (id: string) => (await a.engine.store.task(id))!;
  const recorded = async (messageId: string) =>
    (
      await a.database.knex.raw(
        'select output_status as status, action, input_data as data, info_text as info from messages where id = ? and is_received',
        [messageId],
      )
    ).rows;
  /** A task of a's that b executes, held there. */
  const sent = async (action = 'gated'): Promise<string> => {
    const id = await a.engine.create(simple({ receiver: b.url, queue, action }));
    await until('b has it', () => b.engine.store.task(id));
    return id;
  };

  describe('new tasks', () => {
    it('are recorded with their message and executed under the sender’s id, seen as sequential (FQ-P7, FQ-P9, FQ-T1)', async () => {
      const given = message({ data: { x: 1 }, infoText: 'for the operator' });
      expect(await receive(given)).to.deep.equal({ outcome: 'accepted' });
      expect(await a.engine.ended(given.taskId!)).to.include({
        status: 'finished',
        output: 'noted',
        type: 'sequential',
        peerId: 'b',
        infoText: 'for the operator',
      });
      expect(ran).to.deep.equal([{ x: 1 }]);
      // 1A.7: `info` lost between sender and receiver; `output_status` overwrites `output_data`.
      expect(await recorded(given.messageId)).to.deep.equal([
        { status: 200, action: 'note', data: { x: 1 }, info: 'for the operator' },
      ]);
    });

    it('without an id get one, and nobody is told of their end', async () => {
      const given = message({ taskId: null, data: 'unnamed' });
      expect(await receive(given)).to.deep.equal({ outcome: 'accepted' });
      await until('it ran', () => ran.includes('unnamed'));
      expect(await receive(given)).to.deep.equal({ outcome: 'duplicate' });
      const { rows } = await a.database.knex.raw(
        `select m.id from tasks t join messages m on m.task_id = t.id where t.input_data::text = '"unnamed"'`,
      );
      expect(rows).to.deep.equal([]);
    });

    it('of an unknown queue or action are refused with the original’s text, and recorded (FQ-P4, FQ-P9)', async () => {
      for (const [fields, code] of [
        [{ queue: 'nowhere' }, 'unknown_queue'],
        [{ action: 'nothing' }, 'unknown_action'],
        [{ action: 'own' }, 'local_only'],
        [{ queue: 'internal.frestq', action: 'frestq.virtual_empty_task' }, 'unknown_action'],
        [{ queue: 'internal.frestq', action: 'constructor' }, 'unknown_action'],
      ] as const) {
        const given = message(fields);
        const receipt = await receive(given);
        expect(codeOf(receipt)).to.equal(code);
        expect(await a.engine.store.task(given.taskId!)).to.equal(undefined);
        expect((await recorded(given.messageId))[0].status).to.equal(code === 'local_only' ? 403 : 404);
        if (receipt.outcome === 'rejected' && code === 'unknown_queue')
          expect(receipt.failure.message).to.equal('Action handler note not found in the queue nowhere');
      }
    });

    it('for a full queue are refused for now, exactly as many as do not fit, and accepted when sent again (503)', async () => {
      const given = [1, 2, 3].map(() => message({ queue: 'narrow', action: 'gated' }));
      expect((await a.engine.receive([given[0]!]))[0]!.outcome).to.equal('accepted');
      await until('it runs', async () => (await task(given[0]!.taskId!)).status === 'executing');
      const receipts = await a.engine.receive([given[1]!, given[2]!]);
      expect(receipts.map(codeOf)).to.deep.equal(['accepted', 'queue_full']);
      expect(await recorded(given[2]!.messageId)).to.deep.equal([]);
      leave.resolve();
      await a.engine.ended(given[1]!.taskId!);
      expect(await receive(given[2]!)).to.deep.equal({ outcome: 'accepted' });
      await a.engine.ended(given[2]!.taskId!);
    });
  });

  it('raw messages are handled once each, whatever task they name, and nothing is sent back (FQ-A1)', async () => {
    const named = await sent();
    const answers = federation.delivered.length;
    const given = message({ action: 'raw', taskId: named, data: { x: 1 }, infoText: 'note' });
    expect((await receive(given)).outcome).to.equal('accepted');
    expect((await receive(given)).outcome).to.equal('duplicate');
    await until('it ran', () => ran.length > 0);
    expect(ran).to.deep.equal([
      {
        messageId: given.messageId,
        taskId: named,
        peerId: 'b',
        senderUrl: b.url,
        info: 'note',
        data: { x: 1 },
      },
    ]);
    await until('it ended', () => a.engine.busy === 0);
    expect(federation.delivered.length).to.equal(answers);
    expect((await task(named)).input).to.equal(null);
  });

  describe('repetition', () => {
    it('a message that comes again runs nothing again (1A.7 duplicate message_id, no replay protection)', async () => {
      const given = message({ data: 'once' });
      const receipts = await a.engine.receive([given, given]);
      expect(receipts.map(({ outcome }) => outcome)).to.deep.equal(['accepted', 'duplicate']);
      await a.engine.ended(given.taskId!);
      expect(await receive(given)).to.deep.equal({ outcome: 'duplicate' });
      expect(ran).to.deep.equal(['once']);
    });

    it('twenty deliveries at once run it once', async () => {
      const given = message({ data: 'once' });
      const receipts = await Promise.all(Array.from({ length: 20 }, () => receive(given)));
      expect(receipts.filter(({ outcome }) => outcome === 'accepted')).to.have.length(1);
      await a.engine.ended(given.taskId!);
      expect(ran).to.deep.equal(['once']);
    });

    it('the same message id of another peer is another message', async () => {
      const given = message({ data: 1 });
      await receive(given);
      const other = { ...given, peerId: 'c', taskId: randomUUID(), data: 2 };
      expect((await receive(other)).outcome).to.equal('accepted');
      await a.engine.ended(other.taskId);
      await a.engine.ended(given.taskId!);
      expect(ran).to.have.members([1, 2]);
    });

    it('one bad message of a batch takes no other with it', async () => {
      const good = message({ data: 'good' });
      // The database cannot store this id.
      const bad = message({ taskId: 'x\u0000y' });
      const [first, second] = await Promise.allSettled([a.engine.receive([good]), a.engine.receive([bad])]);
      expect(first.status).to.equal('fulfilled');
      expect(second.status).to.equal('rejected');
      expect((await a.engine.ended(good.taskId!)).status).to.equal('finished');
    });
  });

  describe('hijacking (1A.7 task hijack)', () => {
    it('a message that names a task of another peer, or of this node, is refused and runs nothing', async () => {
      const given = message({ data: 'mine' });
      await receive(given);
      await a.engine.ended(given.taskId!);
      const local = await a.engine.create(external({ label: 'local' }));
      const toPeer = await sent();
      for (const taskId of [given.taskId, local, toPeer])
        expect(codeOf(await receive(message({ peerId: 'c', taskId, data: 'stolen' })))).to.equal(
          'task_exists',
        );
      for (const taskId of [local, toPeer])
        expect(codeOf(await receive(message({ taskId, data: 'stolen' })))).to.equal('task_exists');
      expect(ran).to.deep.equal(['mine']);
      await a.engine.cancel(local, 'the test is over');
    });

    it('nor does its own peer run a task again or change what it is', async () => {
      const given = message({ data: 'first' });
      await receive(given);
      await a.engine.ended(given.taskId!);
      const again = message({ taskId: given.taskId, data: 'second' });
      expect((await receive(again)).outcome).to.equal('ignored');
      const changed = message({ taskId: given.taskId, action: 'other' });
      expect(codeOf(await receive(changed))).to.equal('task_exists');
      expect(ran).to.deep.equal(['first']);
      expect((await task(given.taskId!)).input).to.equal('first');
    });
  });

  describe('frestq.update_task (FQ-I1)', () => {
    it('is believed from the receiver of the task only', async () => {
      const id = await sent();
      const update = { status: 'finished', output_data: 'forged' };
      expect(codeOf(await receive(internal('frestq.update_task', id, update, { peerId: 'c' })))).to.equal(
        'wrong_peer',
      );
      const received = message({ action: 'gated' });
      await receive(received);
      // From the sender of a task that we execute.
      expect(codeOf(await receive(internal('frestq.update_task', received.taskId, update)))).to.equal(
        'wrong_peer',
      );
      expect((await task(id)).status).to.be.oneOf(['sent', 'executing']);
      expect((await task(received.taskId!)).output).to.equal(null);
    });

    it('of an unknown task is refused, not dereferenced (1A.7)', async () => {
      const receipt = await receive(internal('frestq.update_task', 'no-such-task', { status: 'finished' }));
      expect(codeOf(receipt)).to.equal('task_not_found');
    });

    it('never changes a task that has ended, late or out of order (1A.7 late executing)', async () => {
      const id = await sent();
      const update = (status: string, output: Json) =>
        receive(internal('frestq.update_task', id, { status, output_data: output }));
      expect((await update('executing', null)).outcome).to.equal('accepted');
      expect((await update('finished', 'result')).outcome).to.equal('accepted');
      for (const status of ['executing', 'finished', 'error', 'created'])
        expect((await update(status, 'late')).outcome).to.equal('ignored');
      expect(await task(id)).to.include({ status: 'finished', output: 'result', error: null });
    });

    it('of a peer that tells no reason keeps its output data as the reason', async () => {
      const id = await sent();
      await receive(
        internal('frestq.update_task', id, { status: 'error', output_data: { why: 'original' } }),
      );
      expect((await task(id)).error).to.deep.include({
        code: 'peer_error',
        data: { output_data: { why: 'original' } },
      });
    });

    it('with a status that says nothing has no effect', async () => {
      const id = await sent();
      const receipt = await receive(
        internal('frestq.update_task', id, { status: 'reserved', output_data: null }),
      );
      expect(receipt.outcome).to.equal('ignored');
    });
  });

  it('frestq.finish_external_task of a peer is refused (FQ-I5)', async () => {
    const id = await a.engine.create(external({ label: 'ours' }));
    expect(
      codeOf(await receive(internal('frestq.finish_external_task', id, { status: 'accepted' }))),
    ).to.equal('local_only');
    expect((await task(id)).status).to.equal('executing');
    await a.engine.cancel(id, 'the test is over');
  });

  it('malformed data is refused naming the field, and without a task id there is nothing to say', async () => {
    const id = await sent();
    const invitation = {
      action: 'note',
      queue_name: queue,
      input_data: 1,
      pingback_date: null,
      expiration_date: null,
    };
    const cases: [string, Json, string][] = [
      ['frestq.update_task', { output_data: 1 }, 'data.status'],
      ['frestq.update_task', { status: 7 }, 'data.status'],
      ['frestq.update_task', 'text', 'data'],
      ['frestq.synchronize_task', { ...invitation, action: 7 }, 'data.action'],
      ['frestq.synchronize_task', without(invitation, 'queue_name'), 'data.queue_name'],
      ['frestq.synchronize_task', without(invitation, 'input_data'), 'data.input_data'],
      ['frestq.synchronize_task', without(invitation, 'pingback_date'), 'data.pingback_date'],
      ['frestq.synchronize_task', without(invitation, 'expiration_date'), 'data.expiration_date'],
      ['frestq.synchronize_task', { ...invitation, epoch: -1 }, 'data.epoch'],
      ['frestq.synchronize_task', { ...invitation, epoch: 2 ** 31 }, 'data.epoch'],
      ['frestq.synchronize_task', { ...invitation, priority: 'a\u0000' }, 'data.priority'],
      ['frestq.confirm_task_reservation', { reservation_data: 1 }, 'data.reservation_expiration_seconds'],
      [
        'frestq.confirm_task_reservation',
        { reservation_expiration_seconds: -1 },
        'data.reservation_expiration_seconds',
      ],
      ['frestq.execute_synchronized', {}, 'data.input_data'],
      ['conclave.cancel_reservation', {}, 'data.epoch'],
      ['conclave.reservation_cancelled', { epoch: 'x' }, 'data.epoch'],
      ['conclave.cancel_task', { reason: 7 }, 'data.reason'],
    ];
    for (const [action, data, field] of cases) {
      const receipt = await receive(internal(action, id, data));
      expect(receipt, `${action} ${JSON.stringify(data)}`).to.deep.nested.include({
        outcome: 'rejected',
        'failure.code': 'invalid_field',
        'failure.data': { field },
      });
    }
    const unnamed = await receive(internal('frestq.update_task', null, { status: 'finished' }));
    expect(unnamed).to.deep.nested.include({ 'failure.data': { field: 'task_id' } });
  });

  it('an invitation carries the dates of its task (FQ-I2)', async () => {
    const id = randomUUID();
    leave.resolve();
    const receipt = await receive(
      internal('frestq.synchronize_task', id, {
        task_id: id,
        action: 'gated',
        queue_name: queue,
        input_data: null,
        pingback_date: null,
        expiration_date: '2099-01-02T03:04:05.678000',
      }),
    );
    expect(receipt).to.deep.equal({ outcome: 'accepted' });
    expect((await task(id)).expirationDate).to.deep.equal(new Date('2099-01-02T03:04:05.678Z'));
    const unknown = internal('frestq.synchronize_task', randomUUID(), {
      action: 'nothing',
      queue_name: queue,
      input_data: null,
      pingback_date: null,
      expiration_date: null,
    });
    expect(codeOf(await receive(unknown))).to.equal('unknown_action');
  });

  it('conclave.cancel_task ends a task of its peer, and of no other; one that never came is no error (D17)', async () => {
    const given = message({ action: 'gated' });
    await receive(given);
    const cancel = (peerId: string, taskId: string) =>
      receive(internal('conclave.cancel_task', taskId, { reason: 'not needed' }, { peerId }));
    expect(codeOf(await cancel('c', given.taskId!))).to.equal('wrong_peer');
    expect((await cancel('b', 'never-came')).outcome).to.equal('ignored');
    expect((await cancel('b', given.taskId!)).outcome).to.equal('accepted');
    expect((await task(given.taskId!)).error).to.include({
      code: 'cancelled',
      message: 'cancelled: not needed',
    });
  });

  it('conclave.query_task is answered with the state, ended or not', async () => {
    const given = message({ action: 'gated' });
    await receive(given);
    const answers = () =>
      federation.delivered.filter(({ to, message: { taskId } }) => to === 'b' && taskId === given.taskId);
    await receive(internal('conclave.query_task', given.taskId, {}));
    await until('it is answered', () => answers().length === 1);
    expect(answers()[0]!.message.data).to.deep.include({ status: 'executing' });
    leave.resolve();
    await a.engine.ended(given.taskId!);
    await until('b is told', () => answers().length === 2);
    await receive(internal('conclave.query_task', given.taskId, {}));
    await until('it is answered again', () => answers().length === 3);
    expect(answers()[2]!.message.data).to.deep.include({ status: 'finished' });
  });
});

function without(data: { [key: string]: Json }, key: string): Json {
  return Object.fromEntries(Object.entries(data).filter(([name]) => name !== key));
}
