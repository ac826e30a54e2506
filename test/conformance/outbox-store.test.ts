/** The contract of `lib/store/outbox.ts`: taking, settling, and the health of peers, for both stores (D21). */
import { expect } from 'chai';
import type { OutgoingMessage } from '../../lib/engine/model.ts';
import type { OutboxMessage } from '../../lib/store/outbox.ts';
import { STORES, type TestedStore } from './stores.ts';

const T0 = new Date('2030-01-01T00:00:00.000Z');
const at = (seconds: number): Date => new Date(T0.getTime() + seconds * 1000);
const error = { code: 'peer_error', message: 'away' };

for (const { name, open } of STORES) {
  describe(`outbox store: ${name}`, function () {
    this.timeout(20_000);
    let store: TestedStore;
    before(async () => {
      store = await open();
    });
    beforeEach(async () => {
      await store.empty();
      await store.addPeer('p');
      await store.addPeer('r');
    });
    after(() => store.close());

    const add = (...messages: (Partial<OutgoingMessage> & { messageId: string })[]): Promise<void> =>
      store.engine.transaction((transaction) =>
        transaction.recordOutgoing(
          messages.map((message) => ({
            peerId: 'p',
            queue: 'q',
            action: 'act',
            taskId: null,
            data: [1],
            infoText: null,
            pingbackDate: null,
            expirationDate: null,
            asyncData: null,
            deadline: null,
            ...message,
          })),
          T0,
        ),
      );
    const take = (seconds: number, limit = 10, peerId = 'p'): Promise<OutboxMessage[]> =>
      store.outbox.takeMessages({ peerId, limit, now: at(seconds), leaseUntil: at(seconds + 10) });
    const names = (messages: readonly { messageId: string }[]) => messages.map(({ messageId }) => messageId);

    it('given messages, when they are taken, then in order, of that peer, with what they carry', async () => {
      await add({ messageId: 'a' }, { messageId: 'b', peerId: 'r' }, { messageId: 'c', taskId: 't' });
      expect(await store.outbox.peersWithPendingMessages()).to.deep.equal(['p', 'r']);
      const taken = await take(1);
      expect(names(taken)).to.deep.equal(['a', 'c']);
      expect(taken[1]).to.include({ taskId: 't', attempts: 1, error: null, queue: 'q', action: 'act' });
      expect(taken[1]).to.include({
        senderUrl: 'https://here.test:5000/api/queues',
        receiverUrl: 'https://p.test:5000/api/queues',
      });
      expect(taken[1]!.data).to.deep.equal([1]);
    });

    it('given messages that were taken, when their lease is over, then they are due again, and not before', async () => {
      await add({ messageId: 'a' });
      const [first] = await take(1);
      expect(await take(5)).to.deep.equal([]);
      await store.outbox.extendLeases([first!], at(20));
      expect(await take(12)).to.deep.equal([]);
      expect((await take(21))[0]).to.include({ messageId: 'a', attempts: 2 });
    });

    it('given two messages of a task, when the first is on its way or waits, then the second waits too', async () => {
      await add({ messageId: 'a', taskId: 't' }, { messageId: 'other' });
      expect(names(await take(1, 1))).to.deep.equal(['a']);
      await add({ messageId: 'b', taskId: 't' });
      expect(names(await take(2))).to.deep.equal(['other']);
      const [again] = await take(12);
      expect(again?.messageId).to.equal('a');
    });

    it('given an attempt that failed, when it is settled under its number, then the row waits; under another, it does not', async () => {
      await add({ messageId: 'a' });
      const [{ sequence, attempts }] = (await take(1)) as [OutboxMessage];
      const retry = { sequence, nextAttempt: at(3), status: 503, error };
      await store.outbox.settleRetried([{ ...retry, attempts: attempts + 1 }]);
      expect(await take(4)).to.deep.equal([]);
      await store.outbox.settleRetried([{ ...retry, attempts }]);
      expect(await take(2)).to.deep.equal([]);
      const [again] = await take(4);
      expect(again?.error).to.deep.equal(error);
    });

    it('given messages that were delivered or refused, when they are settled, then they are over, once', async () => {
      await add({ messageId: 'a' }, { messageId: 'b' });
      const [a, b] = (await take(1)) as [OutboxMessage, OutboxMessage];
      const delivered = [{ sequence: a.sequence, status: 200, error: null }];
      expect(await store.outbox.settleDelivered(delivered, at(2))).to.equal(1);
      expect(await store.outbox.settleDelivered(delivered, at(2))).to.equal(0);
      await store.outbox.recordRefusals([{ sequence: b.sequence, status: 404, error }]);
      expect(await store.outbox.peersWithPendingMessages()).to.deep.equal(['p']);
      await store.outbox.settleDead([{ sequence: b.sequence, status: 404, error }], at(2));
      expect(await store.outbox.peersWithPendingMessages()).to.deep.equal([]);
      expect(await take(60)).to.deep.equal([]);
    });

    it('given deadlines, when they pass, then their messages are overdue', async () => {
      await add({ messageId: 'a', deadline: at(5) }, { messageId: 'b' });
      expect(await store.outbox.overdueMessages(at(4), 10)).to.deep.equal([]);
      expect(names(await store.outbox.overdueMessages(at(5), 10))).to.deep.equal(['a']);
      expect(names(await store.outbox.messagesToPeer('p', 10))).to.deep.equal(['a', 'b']);
    });

    it('given a peer that is down, when two want to probe it, then one may, until its time is over', async () => {
      expect(await store.outbox.claimPeerProbe('p', at(1), at(9)), 'up').to.equal(false);
      await store.outbox.markPeerDown('p', { since: at(1), nextAttempt: at(3), error: 'gone' });
      await store.outbox.markPeerDown('p', { since: at(2), nextAttempt: at(3), error: 'still gone' });
      expect(await store.peer('p')).to.deep.include({ downSince: at(1), lastError: 'still gone' });
      expect(await store.outbox.claimPeerProbe('p', at(2), at(9)), 'too early').to.equal(false);
      expect(await store.outbox.claimPeerProbe('p', at(3), at(9))).to.equal(true);
      expect(await store.outbox.claimPeerProbe('p', at(4), at(9)), 'taken').to.equal(false);
      await store.outbox.hastenPeerProbe('p', at(4));
      expect(await store.outbox.claimPeerProbe('p', at(4), at(9))).to.equal(true);
      await store.outbox.markPeerUp('p', at(5));
      await store.outbox.recordPeerContact('p', at(4));
      expect(await store.peer('p')).to.deep.include({
        downSince: null,
        nextAttempt: null,
        lastContact: at(5),
      });
    });
  });
}
