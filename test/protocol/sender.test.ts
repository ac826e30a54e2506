import { expect } from 'chai';
import type { Receipt } from '../../lib/engine/model.ts';
import { ConclaveError } from '../../lib/errors.ts';
import { startOriginal } from './peer-servers.ts';
import { addMessages, outbox, setScene, startSending, urlOf } from './sending.ts';
import { serve } from './serving.ts';
import { eventually, makeIdentity } from './support.ts';

const own = makeIdentity('node');
const other = makeIdentity('other');

describe('the outbox sender', () => {
  const scene = setScene(own, other);

  describe('to a Conclave node', () => {
    it('given a peer of unknown dialect, when messages wait, then it is asked, and they go as one batch in order', async () => {
      const serving = await scene.conclavePeer();
      const peer = await scene.sending.addPeer('other', other, urlOf(serving));
      const ids = await addMessages(scene.store, peer, [
        { data: { n: 1 } },
        { data: 2 },
        { infoText: 'hello' },
      ]);
      await scene.sending.round();
      expect(serving.received.map(({ messageId }) => messageId)).to.deep.equal(ids);
      expect(serving.received.map(({ data, infoText }) => [data, infoText])).to.deep.equal([
        [{ n: 1 }, null],
        [2, null],
        [null, 'hello'],
      ]);
      expect(serving.batches).to.deep.equal([3]);
      expect(await outbox(scene.store)).to.satisfy((rows: Awaited<ReturnType<typeof outbox>>) =>
        rows.every(
          ({ state, output_status: status, attempts }) =>
            state === 'delivered' && status === 200 && attempts === 1,
        ),
      );
      expect(await scene.peerRow(peer.id)).to.deep.include({
        dialect: 'conclave',
        downSince: null,
        lastError: null,
      });
      expect((await scene.peerRow(peer.id)).lastContact).to.deep.equal(scene.sending.clock.now());
    });

    it('given results of all kinds, when a batch is answered, then each message has its own fate', async () => {
      const serving = await scene.conclavePeer();
      const peer = await scene.sending.addPeer('other', other, urlOf(serving));
      const full = new ConclaveError('queue_full', { queue: 'q' }).toFailure();
      const unknown = new ConclaveError('unknown_action', { action: 'nope', queue: 'q' }).toFailure();
      serving.engine.receive = async (messages) =>
        messages.map(({ action }): Receipt => {
          if (action === 'full') return { outcome: 'rejected', failure: full };
          return action === 'nope' ? { outcome: 'rejected', failure: unknown } : { outcome: 'accepted' };
        });
      const ids = await addMessages(scene.store, peer, [
        { action: 'full' },
        { action: 'nope', taskId: 'task' },
        { action: 'nope', taskId: null },
        {},
      ]);
      await scene.sending.round();
      expect(await scene.states()).to.deep.equal(['pending', 'dead', 'dead', 'delivered']);
      const [waiting, dead] = await outbox(scene.store);
      expect(waiting).to.deep.include({ attempts: 1, output_status: 503 });
      expect(waiting!.next_attempt.getTime() - scene.sending.clock.now().getTime()).to.equal(500);
      expect(waiting!.error?.message).to.include('the queue q is full');
      expect(dead).to.deep.include({ output_status: 404 });
      expect(scene.sending.undeliverable.map(({ messageId, taskId }) => [messageId, taskId])).to.deep.equal([
        [ids[1], 'task'],
      ]);
      expect(scene.sending.undeliverable[0]?.failure).to.deep.include({
        code: 'peer_refused',
        message: 'the peer other refused the message: Action handler nope not found in the queue q',
      });
      expect((await scene.peerRow(peer.id)).downSince).to.equal(null);

      serving.engine.receive = async (messages) => messages.map((): Receipt => ({ outcome: 'accepted' }));
      scene.sending.clock.advance(500);
      await scene.sending.sender.settled();
      await eventually('the message is sent again', async () => (await scene.states())[0] === 'delivered');
    });

    it('given a task whose first message waits, when its second is due, then it waits behind the first', async () => {
      const serving = await scene.conclavePeer();
      const peer = await scene.sending.addPeer('other', other, urlOf(serving));
      let full = true;
      serving.engine.receive = async (messages) =>
        messages.map(
          (): Receipt =>
            full
              ? { outcome: 'rejected', failure: new ConclaveError('queue_full', { queue: 'q' }).toFailure() }
              : { outcome: 'accepted' },
        );
      const [first] = await addMessages(scene.store, peer, [{ taskId: 't' }]);
      await scene.sending.round();
      full = false;
      const [second, stranger] = await addMessages(scene.store, peer, [{ taskId: 't' }, { taskId: 'u' }]);
      await scene.sending.round();
      expect(await scene.states()).to.deep.equal(['pending', 'pending', 'delivered']);
      scene.sending.clock.advance(1000);
      await eventually('both are delivered', async () =>
        (await scene.states()).every((state) => state === 'delivered'),
      );
      expect(serving.received.map(({ messageId }) => messageId)).to.deep.equal([
        first,
        stranger,
        first,
        second,
      ]);
    });

    it('given a batch that is too large for the peer, when it is refused, then its messages go one by one, and only the one to blame is dead', async () => {
      const serving = scene.later(await serve(other, { limits: { maxBodyBytes: 2000 } }));
      serving.peers.add('us', own);
      const peer = await scene.sending.addPeer('other', other, urlOf(serving));
      const ids = await addMessages(
        scene.store,
        peer,
        [1000, 3000, 1000].map((size) => ({ data: 'x'.repeat(size) })),
      );
      await scene.sending.round();
      expect(await scene.states()).to.deep.equal(['delivered', 'dead', 'delivered']);
      expect(scene.sending.undeliverable.map(({ messageId }) => messageId)).to.deep.equal([ids[1]]);
      expect((await outbox(scene.store))[1]).to.deep.include({ output_status: 413 });
    });

    it('given a peer that answers with control characters, when they are written down, then they are none any more', async () => {
      const serving = await scene.conclavePeer();
      const peer = await scene.sending.addPeer('other', other, urlOf(serving));
      const failure = { code: 'wrong_peer', message: 'no \u001b[2J\u0007\u202ereally' };
      serving.engine.receive = async (messages) =>
        messages.map((): Receipt => ({ outcome: 'rejected', failure }));
      await addMessages(scene.store, peer, [{}]);
      await scene.sending.round();
      expect((await outbox(scene.store))[0]?.error?.message).to.equal(
        'the peer other refused the message: no  [2J  really',
      );
    });

    it('given more bytes than a request may have, when they are sent, then in several requests, in order', async () => {
      const serving = await scene.conclavePeer();
      const limited = scene.later(await startSending(scene.store, own, { batchBytes: 3000 }));
      const peer = await limited.addPeer('other', other, urlOf(serving));
      const ids = await addMessages(
        scene.store,
        peer,
        [1200, 1200, 1200, 9000, 10].map((size) => ({ data: 'x'.repeat(size) })),
      );
      await limited.round();
      expect(serving.batches).to.deep.equal([2, 1, 1, 1]);
      expect(serving.received.map(({ messageId }) => messageId)).to.deep.equal(ids);
    });

    it('given a node that became an original, when it does not know batches, then it is asked anew', async () => {
      const serving = await scene.conclavePeer();
      const peer = await scene.sending.addPeer('other', other, urlOf(serving));
      await addMessages(scene.store, peer, [{}]);
      await scene.sending.round();
      await serving.close();
      const original = scene.later(await startOriginal(other, () => undefined, serving.port));
      await addMessages(scene.store, peer, [{}]);
      await scene.sending.round();
      for (let turn = 0; turn < 5 && original.requests.length === 0; turn += 1) {
        scene.sending.clock.advance(1000);
        await scene.sending.round();
      }
      expect(await scene.states()).to.deep.equal(['delivered', 'delivered']);
      expect((await scene.peerRow(peer.id)).dialect).to.equal('frestq');
    });
  });

  describe('to an original', () => {
    it('given messages, when they are sent, then one a request, a few at a time, those of one task in order', async () => {
      const original = scene.later(
        await startOriginal(other, async () => void (await new Promise((resolve) => setTimeout(resolve, 2)))),
      );
      const peer = await scene.sending.addPeer('original', other, original.url);
      await addMessages(scene.store, peer, [
        { taskId: 't', data: { username: 'bob' }, queue: 'say_queue', action: 'hello' },
      ]);
      await addMessages(
        scene.store,
        peer,
        Array.from({ length: 40 }, (_, n) => ({ taskId: `t${n % 8}`, data: n })),
      );
      await scene.sending.round();
      expect(new Set(await scene.states())).to.deep.equal(new Set(['delivered']));
      expect((await scene.peerRow(peer.id)).dialect).to.equal('frestq');
      const [hello] = original.requests;
      expect(hello).to.deep.include({ method: 'POST', path: '/api/queues/say_queue/' });
      expect(Object.keys(hello!.body)).to.deep.equal([
        'message_id',
        'action',
        'sender_url',
        'data',
        'task_id',
      ]);
      expect(original.requests).to.have.length(41);
      expect(original.mostAtATime).to.be.within(2, 4);
      for (const [task, requests] of Map.groupBy(original.requests.slice(1), ({ body }) => body.task_id)) {
        const numbers = requests.map(({ body }) => body.data as number);
        expect(numbers, String(task)).to.deep.equal([...numbers].sort((a, b) => a - b));
      }
    });

    it('given actions of Conclave, when the peer is an original, then they are not sent, and it is logged once', async () => {
      const original = scene.later(await startOriginal(other, () => undefined));
      const peer = await scene.sending.addPeer('original', other, original.url);
      await addMessages(scene.store, peer, [
        { action: 'conclave.cancel_task' },
        { action: 'conclave.cancel_task' },
        {},
      ]);
      await scene.sending.round();
      expect(original.requests).to.have.length(1);
      const [dropped] = await outbox(scene.store);
      expect(dropped).to.deep.include({ state: 'delivered', output_status: null });
      expect(dropped!.error?.code).to.equal('not_supported');
      expect(scene.sending.lines.filter(({ event }) => event === 'action_not_supported')).to.have.length(1);
    });

    it('given 503 with Retry-After, when it is sent, then nothing more is sent before that time', async () => {
      let refuse = true;
      const original = scene.later(
        await startOriginal(other, () =>
          refuse ? { status: 503, headers: { 'retry-after': '7' } } : undefined,
        ),
      );
      const peer = await scene.sending.addPeer('original', other, original.url);
      await addMessages(scene.store, peer, [{ taskId: 't' }, { taskId: 't' }]);
      await scene.sending.round();
      const before = original.requests.length;
      expect(await scene.peerRow(peer.id)).to.deep.include({ downSince: scene.sending.clock.now() });
      refuse = false;
      scene.sending.clock.advance(6999);
      await scene.sending.round();
      expect(original.requests).to.have.length(before);
      scene.sending.clock.advance(1);
      await eventually('both are delivered', async () =>
        (await scene.states()).every((state) => state === 'delivered'),
      );
      expect((await scene.peerRow(peer.id)).downSince).to.equal(null);
    });

    it('given 404, 400 and 403, when they are sent, then the messages are dead and their tasks hear why', async () => {
      const original = scene.later(
        await startOriginal(other, ({ body }) => ({
          status: body.data as number,
          body: '{"message": "Action handler x not found in the queue q"}',
        })),
      );
      const peer = await scene.sending.addPeer('original', other, original.url);
      await addMessages(
        scene.store,
        peer,
        [404, 400, 403].map((data) => ({ data })),
      );
      await scene.sending.round();
      expect(await scene.states()).to.deep.equal(['dead', 'dead', 'dead']);
      expect(new Set(scene.sending.undeliverable.map(({ failure }) => failure.message))).to.deep.equal(
        new Set(['the peer original refused the message: Action handler x not found in the queue q']),
      );
    });

    it('given 500 again and again, when it was sent five times, then it counts as delivered, in doubt, even across an outage', async () => {
      let original = await startOriginal(other, () => ({ status: 500 }));
      const peer = await scene.sending.addPeer('original', other, original.url);
      await addMessages(scene.store, peer, [{}]);
      await scene.sending.round();
      await original.close();
      scene.sending.clock.advance(1000);
      await scene.sending.round();
      expect((await outbox(scene.store))[0]?.error).to.deep.include({ code: 'peer_error' });
      original = scene.later(await startOriginal(other, () => ({ status: 500 }), original.port));
      for (let turn = 0; turn < 12 && (await scene.states())[0] === 'pending'; turn += 1) {
        scene.sending.clock.advance(60_000);
        await scene.sending.round();
      }
      expect(original.requests).to.have.length(4);
      expect((await outbox(scene.store))[0]).to.deep.include({ state: 'delivered', output_status: 500 });
    });
  });
});
