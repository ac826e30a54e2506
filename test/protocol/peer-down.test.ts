import { expect } from 'chai';
import { addMessages, outbox, setScene, urlOf } from './sending.ts';
import { serve } from './serving.ts';
import { eventually, makeIdentity } from './support.ts';

const own = makeIdentity('node');
const other = makeIdentity('other');

describe('the outbox sender and a peer that is down', () => {
  const scene = setScene(own, other);

  describe('when a peer is down', () => {
    it('given a port that nobody listens on, when time passes, then one message is tried at growing intervals, and the row says why', async () => {
      const serving = await scene.conclavePeer();
      const peer = await scene.sending.addPeer('other', other, urlOf(serving));
      await addMessages(scene.store, peer, [{}]);
      await scene.sending.round();
      await serving.close();
      const down = scene.sending.clock.now();
      await addMessages(
        scene.store,
        peer,
        Array.from({ length: 5 }, () => ({})),
      );
      await scene.sending.round();
      const row = await scene.peerRow(peer.id);
      expect(row.downSince).to.deep.equal(down);
      expect(row.lastError).to.match(/connection/);
      const delays: number[] = [];
      for (let turn = 0; turn < 9; turn += 1) {
        const { nextAttempt, downSince } = await scene.peerRow(peer.id);
        expect(downSince).to.deep.equal(down);
        delays.push(nextAttempt!.getTime() - scene.sending.clock.now().getTime());
        scene.sending.clock.advance(delays.at(-1)! - 1);
        await scene.sending.round();
        expect((await scene.peerRow(peer.id)).nextAttempt).to.deep.equal(nextAttempt);
        scene.sending.clock.advance(1);
        await eventually(
          'it is tried',
          async () => (await scene.peerRow(peer.id)).nextAttempt! > nextAttempt!,
        );
        await scene.sending.round();
      }
      expect(delays).to.deep.equal([500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
      const attempts = (await outbox(scene.store)).slice(1).map((message) => message.attempts);
      expect(attempts).to.deep.equal([10, 1, 1, 1, 1]);
      expect((await scene.peerRow(peer.id)).lastError).to.match(/connection refused/);

      const again = scene.later(await serve(other));
      again.peers.add('us', own);
      await scene.sending.peers.change(peer.id, { url: urlOf(again) });
      await scene.sending.round();
      await eventually('all are delivered', async () =>
        (await scene.states()).every((state) => state === 'delivered'),
      );
      expect(await scene.peerRow(peer.id)).to.deep.include({
        downSince: null,
        nextAttempt: null,
        lastError: null,
      });
      expect(again.received).to.have.length(5);
    });

    it('given a peer that is down, when it calls us, then it is tried at once', async () => {
      const serving = await scene.conclavePeer();
      const { port } = serving;
      const peer = await scene.sending.addPeer('other', other, urlOf(serving));
      await scene.sending.peers.setDialect(peer.id, 'conclave');
      await serving.close();
      await addMessages(scene.store, peer, [{}]);
      for (let turn = 0; turn < 8; turn += 1) {
        await scene.sending.round();
        scene.sending.clock.advance(30_000);
      }
      await scene.sending.round();
      const back = scene.later(await serve(other, {}, port));
      back.peers.add('us', own);
      await scene.sending.round();
      expect(await scene.states()).to.deep.equal(['pending']);
      scene.sending.sender.contacted(await scene.peerRow(peer.id), 'conclave');
      await eventually('it is delivered', async () => (await scene.states())[0] === 'delivered');
      expect((await scene.peerRow(peer.id)).lastContact).to.deep.equal(scene.sending.clock.now());
    });

    it('given nothing to send, when a peer that was down is back, then a question shows it', async () => {
      const serving = await scene.conclavePeer();
      const { port } = serving;
      const peer = await scene.sending.addPeer('other', other, urlOf(serving));
      await scene.sending.peers.setDialect(peer.id, 'conclave');
      await serving.close();
      await addMessages(scene.store, peer, [{}]);
      await scene.sending.round();
      expect((await scene.peerRow(peer.id)).downSince).not.to.equal(null);
      await scene.store.db.raw(`update messages set state = 'withdrawn'`);
      const back = scene.later(await serve(other, {}, port));
      back.peers.add('us', own);
      scene.sending.clock.advance(1000);
      await eventually('it is up', async () => (await scene.peerRow(peer.id)).downSince === null);
      expect(back.received).to.deep.equal([]);
    });

    it('given a server with another certificate than the pinned one, when we would send, then nothing is sent, and the row says so', async () => {
      const impostor = scene.later(await serve(makeIdentity('other')));
      impostor.peers.add('us', own);
      const peer = await scene.sending.addPeer('other', other, urlOf(impostor));
      await addMessages(scene.store, peer, [{}]);
      await scene.sending.round();
      expect(impostor.contacts).to.deep.equal([]);
      expect((await scene.peerRow(peer.id)).lastError).to.include(
        'did not present the certificate pinned for the peer other',
      );
      expect(await scene.states()).to.deep.equal(['pending']);
    });

    it('given a peer that has not added us yet, when we send, then the messages wait, and go when it has', async () => {
      const serving = scene.later(await serve(other));
      const peer = await scene.sending.addPeer('other', other, urlOf(serving));
      await addMessages(scene.store, peer, [{}]);
      await scene.sending.round();
      expect(await scene.states()).to.deep.equal(['pending']);
      expect((await scene.peerRow(peer.id)).lastError).to.include('is not one of a peer of this node');
      serving.peers.add('us', own);
      scene.sending.clock.advance(60_000);
      await eventually('it is delivered', async () => (await scene.states())[0] === 'delivered');
    });
  });

  describe('giving up', () => {
    it('given a deadline, when it passes while the peer is down, then the task hears since when and why', async () => {
      const serving = await scene.conclavePeer();
      const peer = await scene.sending.addPeer('other', other, urlOf(serving));
      await serving.close();
      const deadline = new Date(scene.sending.clock.now().getTime() + 5000);
      const [id] = await addMessages(scene.store, peer, [{ deadline, taskId: 't' }, { deadline: null }]);
      await scene.sending.peers.setDialect(peer.id, 'conclave');
      await scene.sending.round();
      scene.sending.clock.advance(4999);
      await scene.sending.round();
      expect(scene.sending.undeliverable).to.deep.equal([]);
      scene.sending.clock.advance(1);
      await scene.sending.round();
      expect(scene.sending.undeliverable.map(({ messageId }) => messageId)).to.deep.equal([id]);
      expect(scene.sending.undeliverable[0]?.failure.message).to.match(
        /^the peer other could not be reached until 2030-.*: .*connection refused/,
      );
      expect(await scene.states()).to.deep.equal(['dead', 'pending']);
    });

    it('given a peer that was removed, when messages to it wait, then they are dead', async () => {
      const peer = await scene.sending.addPeer('other', other, 'https://127.0.0.1:9/api/queues');
      await addMessages(scene.store, peer, [{ taskId: 't' }, { taskId: null }]);
      await scene.sending.peers.remove(peer.id);
      await scene.sending.round();
      expect(await scene.states()).to.deep.equal(['dead', 'dead']);
      expect(scene.sending.undeliverable.map(({ failure }) => failure.code)).to.deep.equal(['unknown_peer']);
    });
  });
});
