import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import type { Receipt } from '../../lib/engine/model.ts';
import { settleRetried, takeMessages } from '../../lib/store/outbox.ts';
import { startOriginal } from './peer-servers.ts';
import { addMessages, outbox, setScene, startSending, urlOf } from './sending.ts';
import { serve } from './serving.ts';
import { eventually, makeIdentity, TestClock } from './support.ts';

const own = makeIdentity('node');
const other = makeIdentity('other');

describe('the life of an outbox sender', () => {
  const scene = setScene(own, other);

  describe('with others on the same database', () => {
    it('given two senders, when much is to be sent, then every message is sent once', async () => {
      const serving = await scene.conclavePeer();
      const second = scene.later(await startSending(scene.store, own, { batchMessages: 7 }));
      const peer = await scene.sending.addPeer('other', other, urlOf(serving));
      await scene.sending.peers.setDialect(peer.id, 'conclave');
      await second.peers.refresh();
      const ids = await addMessages(
        scene.store,
        peer,
        Array.from({ length: 200 }, () => ({})),
      );
      await Promise.all([scene.sending.round(), second.round()]);
      await eventually('all are delivered', async () =>
        (await scene.states()).every((state) => state === 'delivered'),
      );
      expect(serving.received.map(({ messageId }) => messageId).sort()).to.deep.equal(ids.sort());
    });

    it('given a sender that died with messages in its hands, when its lease is over, then another delivers them', async () => {
      const serving = await scene.conclavePeer();
      const peer = await scene.sending.addPeer('other', other, urlOf(serving));
      await scene.sending.peers.setDialect(peer.id, 'conclave');
      await addMessages(scene.store, peer, [{}, {}]);
      const now = scene.sending.clock.now();
      const leaseUntil = new Date(now.getTime() + 10_000);
      const taken = await takeMessages(scene.store.db, { peerId: peer.id, limit: 10, now, leaseUntil });
      expect(taken).to.have.length(2);
      await scene.sending.round();
      expect(serving.received).to.deep.equal([]);
      scene.sending.clock.advance(10_000);
      await scene.sending.round();
      expect(await scene.states()).to.deep.equal(['delivered', 'delivered']);
    });

    it('given a sender that lost its lease, when it settles, then it changes nothing', async () => {
      const peer = await scene.sending.addPeer('other', other, 'https://127.0.0.1:9/api/queues');
      await addMessages(scene.store, peer, [{}]);
      const now = new Date(0);
      const take = (at: Date) =>
        takeMessages(scene.store.db, {
          peerId: peer.id,
          limit: 1,
          now: at,
          leaseUntil: new Date(at.getTime() + 10),
        });
      const [stale] = await take(now);
      const [fresh] = await take(new Date(10));
      const retry = {
        nextAttempt: new Date(99_999_999),
        status: null,
        error: { code: 'x', message: 'stale' },
      };
      await settleRetried(scene.store.db, [{ ...stale!, ...retry }]);
      expect((await outbox(scene.store))[0]).to.deep.include({
        next_attempt: new Date(20),
        error: null,
        attempts: fresh!.attempts,
      });
    });

    it('given a request that takes long, when half its lease is over, then the lease is extended', async () => {
      const gate = Promise.withResolvers<void>();
      const original = scene.later(await startOriginal(other, () => gate.promise as Promise<undefined>));
      const peer = await scene.sending.addPeer('original', other, original.url);
      await addMessages(scene.store, peer, [{}]);
      await scene.sending.sender.look();
      await eventually('it is sent', () => original.requests.length === 1);
      const [before] = await outbox(scene.store);
      scene.sending.clock.advance(5000);
      await eventually(
        'it is extended',
        async () => (await outbox(scene.store))[0]!.next_attempt > before!.next_attempt,
      );
      gate.resolve();
      await eventually('it is delivered', async () => (await scene.states())[0] === 'delivered');
    });
  });

  it('given a process that is killed in the middle of a delivery, when the next one starts, then the message is delivered', async () => {
    const serving = await scene.conclavePeer();
    const peer = await scene.sending.addPeer('other', other, urlOf(serving));
    await scene.sending.peers.setDialect(peer.id, 'conclave');
    const [id] = await addMessages(scene.store, peer, [{}]);
    const never = Promise.withResolvers<Receipt[]>();
    serving.engine.receive = () => never.promise;
    const settings = JSON.stringify({ address: scene.store.address, identity: own, leaseMilliseconds: 400 });
    const script = fileURLToPath(new URL('./sender-process.ts', import.meta.url));
    const start = () => spawn(process.execPath, [script, settings], { stdio: ['ignore', 'pipe', 'inherit'] });
    const first = start();
    await eventually('the first sends', () => serving.received.length === 1);
    first.kill('SIGKILL');
    await once(first, 'exit');
    serving.engine.receive = async (messages) => messages.map((): Receipt => ({ outcome: 'duplicate' }));
    never.resolve([{ outcome: 'accepted' }]);
    expect(await scene.states()).to.deep.equal(['pending']);
    const second = start();
    await eventually('the second delivers', async () => (await scene.states())[0] === 'delivered');
    second.kill('SIGKILL');
    await once(second, 'exit');
    expect(serving.received.map(({ messageId }) => messageId)).to.deep.equal([id, id]);
    expect((await outbox(scene.store))[0]).to.deep.include({ attempts: 2, output_status: 200 });
  });

  it('given a request under way, when the sender stops, then it waits for the answer and puts the rest back', async () => {
    const gate = Promise.withResolvers<void>();
    const original = scene.later(await startOriginal(other, () => gate.promise as Promise<undefined>));
    const peer = await scene.sending.addPeer('original', other, original.url);
    await addMessages(scene.store, peer, [{ taskId: 't' }, { taskId: 't' }]);
    await scene.sending.sender.look();
    await eventually('it is sent', () => original.requests.length === 1);
    const stopped = scene.sending.sender.stop();
    gate.resolve();
    await stopped;
    expect(await scene.states()).to.deep.equal(['delivered', 'pending']);
    const clock = new TestClock();
    const [rest] = await takeMessages(scene.store.db, {
      peerId: peer.id,
      limit: 9,
      now: clock.now(),
      leaseUntil: clock.now(),
    });
    expect(rest?.attempts).to.equal(2);
  });

  it('given a peer that rotates, when both its certificates are pinned, then messages go before and after, and not to the old one once it is removed', async () => {
    const next = makeIdentity('other');
    const first = await scene.conclavePeer();
    const { port } = first;
    const peer = await scene.sending.addPeer('other', other, urlOf(first));
    await addMessages(scene.store, peer, [{}]);
    await scene.sending.round();
    await scene.sending.peers.addCertificate(peer.id, next.certificate);
    await addMessages(scene.store, peer, [{}]);
    await scene.sending.round();
    await first.close();
    const second = await serve(next, {}, port);
    second.peers.add('us', own);
    await addMessages(scene.store, peer, [{}]);
    for (let turn = 0; turn < 5; turn += 1) {
      await scene.sending.round();
      scene.sending.clock.advance(2000);
    }
    await scene.sending.round();
    expect(await scene.states()).to.deep.equal(['delivered', 'delivered', 'delivered']);
    expect(second.received).to.have.length(1);
    await scene.sending.peers.removeCertificate(peer.id, other.fingerprint);
    await second.close();
    const old = scene.later(await serve(other, {}, port));
    old.peers.add('us', own);
    await addMessages(scene.store, peer, [{}]);
    await scene.sending.round();
    expect(old.contacts).to.deep.equal([]);
    expect((await scene.states()).at(-1)).to.equal('pending');
  });
});
