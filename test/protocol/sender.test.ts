import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import type { Receipt } from '../../lib/engine/model.ts';
import { ConclaveError } from '../../lib/errors.ts';
import { settleRetried, takeMessages } from '../../lib/store/outbox.ts';
import { startOriginal } from './peerServers.ts';
import { addMessages, outbox, type Sending, startSending } from './sending.ts';
import { type Serving, serve } from './serving.ts';
import { eventually, makeIdentity, openTestStore, TestClock, type TestStore } from './support.ts';

const own = makeIdentity('node');
const other = makeIdentity('other');

describe('the outbox sender', () => {
  let store: TestStore;
  let sending: Sending;
  const cleanUp: (() => Promise<unknown>)[] = [];

  before(async () => {
    store = await openTestStore();
  });
  after(() => store.close());
  beforeEach(async () => {
    await store.db.raw('delete from peers; delete from messages');
    sending = await startSending(store, own);
    cleanUp.push(() => sending.close());
  });
  afterEach(async () => {
    for (const clean of cleanUp.splice(0).reverse()) await clean();
  });

  const later = <Closable extends { close(): Promise<unknown> }>(closable: Closable): Closable => {
    cleanUp.push(() => closable.close());
    return closable;
  };
  const urlOf = ({ port }: { port: number }) => `https://127.0.0.1:${port}/api/queues`;
  const states = async () => (await outbox(store)).map(({ state }) => state);
  const peerRow = async (id: string) => {
    await sending.peers.refresh();
    return sending.peers.byId(id)!;
  };

  async function conclavePeer(): Promise<Serving> {
    const serving = later(await serve(other));
    serving.peers.add('us', own);
    return serving;
  }

  describe('to a Conclave node', () => {
    it('given a peer of unknown dialect, when messages wait, then it is asked, and they go as one batch in order', async () => {
      const serving = await conclavePeer();
      const peer = await sending.addPeer('other', other, urlOf(serving));
      const ids = await addMessages(store, peer, [{ data: { n: 1 } }, { data: 2 }, { infoText: 'hello' }]);
      await sending.round();
      expect(serving.received.map(({ messageId }) => messageId)).to.deep.equal(ids);
      expect(serving.received.map(({ data, infoText }) => [data, infoText])).to.deep.equal([
        [{ n: 1 }, null],
        [2, null],
        [null, 'hello'],
      ]);
      expect(serving.batches).to.deep.equal([3]);
      expect(await outbox(store)).to.satisfy((rows: Awaited<ReturnType<typeof outbox>>) =>
        rows.every(
          ({ state, output_status: status, attempts }) =>
            state === 'delivered' && status === 200 && attempts === 1,
        ),
      );
      expect(await peerRow(peer.id)).to.deep.include({
        dialect: 'conclave',
        downSince: null,
        lastError: null,
      });
      expect((await peerRow(peer.id)).lastContact).to.deep.equal(sending.clock.now());
    });

    it('given results of all kinds, when a batch is answered, then each message has its own fate', async () => {
      const serving = await conclavePeer();
      const peer = await sending.addPeer('other', other, urlOf(serving));
      const full = new ConclaveError('queue_full', { queue: 'q' }).toFailure();
      const unknown = new ConclaveError('unknown_action', { action: 'nope', queue: 'q' }).toFailure();
      serving.engine.receive = async (messages) =>
        messages.map(({ action }): Receipt => {
          if (action === 'full') return { outcome: 'rejected', failure: full };
          return action === 'nope' ? { outcome: 'rejected', failure: unknown } : { outcome: 'accepted' };
        });
      const ids = await addMessages(store, peer, [
        { action: 'full' },
        { action: 'nope', taskId: 'task' },
        { action: 'nope', taskId: null },
        {},
      ]);
      await sending.round();
      expect(await states()).to.deep.equal(['pending', 'dead', 'dead', 'delivered']);
      const [waiting, dead] = await outbox(store);
      expect(waiting).to.deep.include({ attempts: 1, output_status: 503 });
      expect(waiting!.next_attempt.getTime() - sending.clock.now().getTime()).to.equal(500);
      expect(waiting!.error?.message).to.include('the queue q is full');
      expect(dead).to.deep.include({ output_status: 404 });
      expect(sending.undeliverable.map(({ messageId, taskId }) => [messageId, taskId])).to.deep.equal([
        [ids[1], 'task'],
      ]);
      expect(sending.undeliverable[0]?.failure).to.deep.include({
        code: 'peer_refused',
        message: 'the peer other refused the message: Action handler nope not found in the queue q',
      });
      expect((await peerRow(peer.id)).downSince).to.equal(null);

      serving.engine.receive = async (messages) => messages.map((): Receipt => ({ outcome: 'accepted' }));
      sending.clock.advance(500);
      await sending.sender.settled();
      await eventually('the message is sent again', async () => (await states())[0] === 'delivered');
    });

    it('given a task whose first message waits, when its second is due, then it waits behind the first', async () => {
      const serving = await conclavePeer();
      const peer = await sending.addPeer('other', other, urlOf(serving));
      let full = true;
      serving.engine.receive = async (messages) =>
        messages.map(
          (): Receipt =>
            full
              ? { outcome: 'rejected', failure: new ConclaveError('queue_full', { queue: 'q' }).toFailure() }
              : { outcome: 'accepted' },
        );
      const [first] = await addMessages(store, peer, [{ taskId: 't' }]);
      await sending.round();
      full = false;
      const [second, stranger] = await addMessages(store, peer, [{ taskId: 't' }, { taskId: 'u' }]);
      await sending.round();
      expect(await states()).to.deep.equal(['pending', 'pending', 'delivered']);
      sending.clock.advance(1000);
      await eventually('both are delivered', async () =>
        (await states()).every((state) => state === 'delivered'),
      );
      expect(serving.received.map(({ messageId }) => messageId)).to.deep.equal([
        first,
        stranger,
        first,
        second,
      ]);
    });

    it('given a batch that is too large for the peer, when it is refused, then its messages go one by one, and only the one to blame is dead', async () => {
      const serving = later(await serve(other, { limits: { maxBodyBytes: 2000 } }));
      serving.peers.add('us', own);
      const peer = await sending.addPeer('other', other, urlOf(serving));
      const ids = await addMessages(
        store,
        peer,
        [1000, 3000, 1000].map((size) => ({ data: 'x'.repeat(size) })),
      );
      await sending.round();
      expect(await states()).to.deep.equal(['delivered', 'dead', 'delivered']);
      expect(sending.undeliverable.map(({ messageId }) => messageId)).to.deep.equal([ids[1]]);
      expect((await outbox(store))[1]).to.deep.include({ output_status: 413 });
    });

    it('given a peer that answers with control characters, when they are written down, then they are none any more', async () => {
      const serving = await conclavePeer();
      const peer = await sending.addPeer('other', other, urlOf(serving));
      const failure = { code: 'wrong_peer', message: 'no \u001b[2J\u0007\u202ereally' };
      serving.engine.receive = async (messages) =>
        messages.map((): Receipt => ({ outcome: 'rejected', failure }));
      await addMessages(store, peer, [{}]);
      await sending.round();
      expect((await outbox(store))[0]?.error?.message).to.equal(
        'the peer other refused the message: no  [2J  really',
      );
    });

    it('given more bytes than a request may have, when they are sent, then in several requests, in order', async () => {
      const serving = await conclavePeer();
      const limited = later(await startSending(store, own, { batchBytes: 3000 }));
      const peer = await limited.addPeer('other', other, urlOf(serving));
      const ids = await addMessages(
        store,
        peer,
        [1200, 1200, 1200, 9000, 10].map((size) => ({ data: 'x'.repeat(size) })),
      );
      await limited.round();
      expect(serving.batches).to.deep.equal([2, 1, 1, 1]);
      expect(serving.received.map(({ messageId }) => messageId)).to.deep.equal(ids);
    });

    it('given a node that became an original, when it does not know batches, then it is asked anew', async () => {
      const serving = await conclavePeer();
      const peer = await sending.addPeer('other', other, urlOf(serving));
      await addMessages(store, peer, [{}]);
      await sending.round();
      await serving.close();
      const original = later(await startOriginal(other, () => undefined, serving.port));
      await addMessages(store, peer, [{}]);
      await sending.round();
      for (let turn = 0; turn < 5 && original.requests.length === 0; turn += 1) {
        sending.clock.advance(1000);
        await sending.round();
      }
      expect(await states()).to.deep.equal(['delivered', 'delivered']);
      expect((await peerRow(peer.id)).dialect).to.equal('frestq');
    });
  });

  describe('to an original', () => {
    it('given messages, when they are sent, then one a request, a few at a time, those of one task in order', async () => {
      const original = later(
        await startOriginal(other, async () => void (await new Promise((resolve) => setTimeout(resolve, 2)))),
      );
      const peer = await sending.addPeer('original', other, original.url);
      await addMessages(store, peer, [
        { taskId: 't', data: { username: 'bob' }, queue: 'say_queue', action: 'hello' },
      ]);
      await addMessages(
        store,
        peer,
        Array.from({ length: 40 }, (_, n) => ({ taskId: `t${n % 8}`, data: n })),
      );
      await sending.round();
      expect(new Set(await states())).to.deep.equal(new Set(['delivered']));
      expect((await peerRow(peer.id)).dialect).to.equal('frestq');
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
      const original = later(await startOriginal(other, () => undefined));
      const peer = await sending.addPeer('original', other, original.url);
      await addMessages(store, peer, [
        { action: 'conclave.cancel_task' },
        { action: 'conclave.cancel_task' },
        {},
      ]);
      await sending.round();
      expect(original.requests).to.have.length(1);
      const [dropped] = await outbox(store);
      expect(dropped).to.deep.include({ state: 'delivered', output_status: null });
      expect(dropped!.error?.code).to.equal('not_supported');
      expect(sending.lines.filter(({ event }) => event === 'action_not_supported')).to.have.length(1);
    });

    it('given 503 with Retry-After, when it is sent, then nothing more is sent before that time', async () => {
      let refuse = true;
      const original = later(
        await startOriginal(other, () =>
          refuse ? { status: 503, headers: { 'retry-after': '7' } } : undefined,
        ),
      );
      const peer = await sending.addPeer('original', other, original.url);
      await addMessages(store, peer, [{ taskId: 't' }, { taskId: 't' }]);
      await sending.round();
      const before = original.requests.length;
      expect(await peerRow(peer.id)).to.deep.include({ downSince: sending.clock.now() });
      refuse = false;
      sending.clock.advance(6999);
      await sending.round();
      expect(original.requests).to.have.length(before);
      sending.clock.advance(1);
      await eventually('both are delivered', async () =>
        (await states()).every((state) => state === 'delivered'),
      );
      expect((await peerRow(peer.id)).downSince).to.equal(null);
    });

    it('given 404, 400 and 403, when they are sent, then the messages are dead and their tasks hear why', async () => {
      const original = later(
        await startOriginal(other, ({ body }) => ({
          status: body.data as number,
          body: '{"message": "Action handler x not found in the queue q"}',
        })),
      );
      const peer = await sending.addPeer('original', other, original.url);
      await addMessages(
        store,
        peer,
        [404, 400, 403].map((data) => ({ data })),
      );
      await sending.round();
      expect(await states()).to.deep.equal(['dead', 'dead', 'dead']);
      expect(new Set(sending.undeliverable.map(({ failure }) => failure.message))).to.deep.equal(
        new Set(['the peer original refused the message: Action handler x not found in the queue q']),
      );
    });

    it('given 500 again and again, when it was sent five times, then it counts as delivered, in doubt, even across an outage', async () => {
      let original = await startOriginal(other, () => ({ status: 500 }));
      const peer = await sending.addPeer('original', other, original.url);
      await addMessages(store, peer, [{}]);
      await sending.round();
      await original.close();
      sending.clock.advance(1000);
      await sending.round();
      expect((await outbox(store))[0]?.error).to.deep.include({ code: 'peer_error' });
      original = later(await startOriginal(other, () => ({ status: 500 }), original.port));
      for (let turn = 0; turn < 12 && (await states())[0] === 'pending'; turn += 1) {
        sending.clock.advance(60_000);
        await sending.round();
      }
      expect(original.requests).to.have.length(4);
      expect((await outbox(store))[0]).to.deep.include({ state: 'delivered', output_status: 500 });
    });
  });

  describe('when a peer is down', () => {
    it('given a port that nobody listens on, when time passes, then one message is tried at growing intervals, and the row says why', async () => {
      const serving = await conclavePeer();
      const peer = await sending.addPeer('other', other, urlOf(serving));
      await addMessages(store, peer, [{}]);
      await sending.round();
      await serving.close();
      const down = sending.clock.now();
      await addMessages(
        store,
        peer,
        Array.from({ length: 5 }, () => ({})),
      );
      await sending.round();
      const row = await peerRow(peer.id);
      expect(row.downSince).to.deep.equal(down);
      expect(row.lastError).to.match(/connection/);
      const delays: number[] = [];
      for (let turn = 0; turn < 9; turn += 1) {
        const { nextAttempt, downSince } = await peerRow(peer.id);
        expect(downSince).to.deep.equal(down);
        delays.push(nextAttempt!.getTime() - sending.clock.now().getTime());
        sending.clock.advance(delays.at(-1)! - 1);
        await sending.round();
        expect((await peerRow(peer.id)).nextAttempt).to.deep.equal(nextAttempt);
        sending.clock.advance(1);
        await eventually('it is tried', async () => (await peerRow(peer.id)).nextAttempt! > nextAttempt!);
        await sending.round();
      }
      expect(delays).to.deep.equal([500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
      const attempts = (await outbox(store)).slice(1).map((message) => message.attempts);
      expect(attempts).to.deep.equal([10, 1, 1, 1, 1]);
      expect((await peerRow(peer.id)).lastError).to.match(/connection refused/);

      const again = later(await serve(other));
      again.peers.add('us', own);
      await sending.peers.change(peer.id, { url: urlOf(again) });
      await sending.round();
      await eventually('all are delivered', async () =>
        (await states()).every((state) => state === 'delivered'),
      );
      expect(await peerRow(peer.id)).to.deep.include({ downSince: null, nextAttempt: null, lastError: null });
      expect(again.received).to.have.length(5);
    });

    it('given a peer that is down, when it calls us, then it is tried at once', async () => {
      const serving = await conclavePeer();
      const { port } = serving;
      const peer = await sending.addPeer('other', other, urlOf(serving));
      await sending.peers.setDialect(peer.id, 'conclave');
      await serving.close();
      await addMessages(store, peer, [{}]);
      for (let turn = 0; turn < 8; turn += 1) {
        await sending.round();
        sending.clock.advance(30_000);
      }
      await sending.round();
      const back = later(await serve(other, {}, port));
      back.peers.add('us', own);
      await sending.round();
      expect(await states()).to.deep.equal(['pending']);
      sending.sender.contacted(await peerRow(peer.id), 'conclave');
      await eventually('it is delivered', async () => (await states())[0] === 'delivered');
      expect((await peerRow(peer.id)).lastContact).to.deep.equal(sending.clock.now());
    });

    it('given nothing to send, when a peer that was down is back, then a question shows it', async () => {
      const serving = await conclavePeer();
      const { port } = serving;
      const peer = await sending.addPeer('other', other, urlOf(serving));
      await sending.peers.setDialect(peer.id, 'conclave');
      await serving.close();
      await addMessages(store, peer, [{}]);
      await sending.round();
      expect((await peerRow(peer.id)).downSince).not.to.equal(null);
      await store.db.raw(`update messages set state = 'withdrawn'`);
      const back = later(await serve(other, {}, port));
      back.peers.add('us', own);
      sending.clock.advance(1000);
      await eventually('it is up', async () => (await peerRow(peer.id)).downSince === null);
      expect(back.received).to.deep.equal([]);
    });

    it('given a server with another certificate than the pinned one, when we would send, then nothing is sent, and the row says so', async () => {
      const impostor = later(await serve(makeIdentity('other')));
      impostor.peers.add('us', own);
      const peer = await sending.addPeer('other', other, urlOf(impostor));
      await addMessages(store, peer, [{}]);
      await sending.round();
      expect(impostor.contacts).to.deep.equal([]);
      expect((await peerRow(peer.id)).lastError).to.include(
        'did not present the certificate pinned for the peer other',
      );
      expect(await states()).to.deep.equal(['pending']);
    });

    it('given a peer that has not added us yet, when we send, then the messages wait, and go when it has', async () => {
      const serving = later(await serve(other));
      const peer = await sending.addPeer('other', other, urlOf(serving));
      await addMessages(store, peer, [{}]);
      await sending.round();
      expect(await states()).to.deep.equal(['pending']);
      expect((await peerRow(peer.id)).lastError).to.include('is not one of a peer of this node');
      serving.peers.add('us', own);
      sending.clock.advance(60_000);
      await eventually('it is delivered', async () => (await states())[0] === 'delivered');
    });
  });

  describe('giving up', () => {
    it('given a deadline, when it passes while the peer is down, then the task hears since when and why', async () => {
      const serving = await conclavePeer();
      const peer = await sending.addPeer('other', other, urlOf(serving));
      await serving.close();
      const deadline = new Date(sending.clock.now().getTime() + 5000);
      const [id] = await addMessages(store, peer, [{ deadline, taskId: 't' }, { deadline: null }]);
      await sending.peers.setDialect(peer.id, 'conclave');
      await sending.round();
      sending.clock.advance(4999);
      await sending.round();
      expect(sending.undeliverable).to.deep.equal([]);
      sending.clock.advance(1);
      await sending.round();
      expect(sending.undeliverable.map(({ messageId }) => messageId)).to.deep.equal([id]);
      expect(sending.undeliverable[0]?.failure.message).to.match(
        /^the peer other could not be reached until 2030-.*: .*connection refused/,
      );
      expect(await states()).to.deep.equal(['dead', 'pending']);
    });

    it('given a peer that was removed, when messages to it wait, then they are dead', async () => {
      const peer = await sending.addPeer('other', other, 'https://127.0.0.1:9/api/queues');
      await addMessages(store, peer, [{ taskId: 't' }, { taskId: null }]);
      await sending.peers.remove(peer.id);
      await sending.round();
      expect(await states()).to.deep.equal(['dead', 'dead']);
      expect(sending.undeliverable.map(({ failure }) => failure.code)).to.deep.equal(['unknown_peer']);
    });
  });

  describe('with others on the same database', () => {
    it('given two senders, when much is to be sent, then every message is sent once', async () => {
      const serving = await conclavePeer();
      const second = later(await startSending(store, own, { batchMessages: 7 }));
      const peer = await sending.addPeer('other', other, urlOf(serving));
      await sending.peers.setDialect(peer.id, 'conclave');
      await second.peers.refresh();
      const ids = await addMessages(
        store,
        peer,
        Array.from({ length: 200 }, () => ({})),
      );
      await Promise.all([sending.round(), second.round()]);
      await eventually('all are delivered', async () =>
        (await states()).every((state) => state === 'delivered'),
      );
      expect(serving.received.map(({ messageId }) => messageId).sort()).to.deep.equal(ids.sort());
    });

    it('given a sender that died with messages in its hands, when its lease is over, then another delivers them', async () => {
      const serving = await conclavePeer();
      const peer = await sending.addPeer('other', other, urlOf(serving));
      await sending.peers.setDialect(peer.id, 'conclave');
      await addMessages(store, peer, [{}, {}]);
      const now = sending.clock.now();
      const leaseUntil = new Date(now.getTime() + 10_000);
      const taken = await takeMessages(store.db, { peerId: peer.id, limit: 10, now, leaseUntil });
      expect(taken).to.have.length(2);
      await sending.round();
      expect(serving.received).to.deep.equal([]);
      sending.clock.advance(10_000);
      await sending.round();
      expect(await states()).to.deep.equal(['delivered', 'delivered']);
    });

    it('given a sender that lost its lease, when it settles, then it changes nothing', async () => {
      const peer = await sending.addPeer('other', other, 'https://127.0.0.1:9/api/queues');
      await addMessages(store, peer, [{}]);
      const now = new Date(0);
      const take = (at: Date) =>
        takeMessages(store.db, {
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
      await settleRetried(store.db, [{ ...stale!, ...retry }]);
      expect((await outbox(store))[0]).to.deep.include({
        next_attempt: new Date(20),
        error: null,
        attempts: fresh!.attempts,
      });
    });

    it('given a request that takes long, when half its lease is over, then the lease is extended', async () => {
      const gate = Promise.withResolvers<void>();
      const original = later(await startOriginal(other, () => gate.promise as Promise<undefined>));
      const peer = await sending.addPeer('original', other, original.url);
      await addMessages(store, peer, [{}]);
      await sending.sender.look();
      await eventually('it is sent', () => original.requests.length === 1);
      const [before] = await outbox(store);
      sending.clock.advance(5000);
      await eventually(
        'it is extended',
        async () => (await outbox(store))[0]!.next_attempt > before!.next_attempt,
      );
      gate.resolve();
      await eventually('it is delivered', async () => (await states())[0] === 'delivered');
    });
  });

  it('given a process that is killed in the middle of a delivery, when the next one starts, then the message is delivered', async () => {
    const serving = await conclavePeer();
    const peer = await sending.addPeer('other', other, urlOf(serving));
    await sending.peers.setDialect(peer.id, 'conclave');
    const [id] = await addMessages(store, peer, [{}]);
    const never = Promise.withResolvers<Receipt[]>();
    serving.engine.receive = () => never.promise;
    const settings = JSON.stringify({ address: store.address, identity: own, leaseMilliseconds: 400 });
    const script = fileURLToPath(new URL('./senderProcess.ts', import.meta.url));
    const start = () => spawn(process.execPath, [script, settings], { stdio: ['ignore', 'pipe', 'inherit'] });
    const first = start();
    await eventually('the first sends', () => serving.received.length === 1);
    first.kill('SIGKILL');
    await once(first, 'exit');
    serving.engine.receive = async (messages) => messages.map((): Receipt => ({ outcome: 'duplicate' }));
    never.resolve([{ outcome: 'accepted' }]);
    expect(await states()).to.deep.equal(['pending']);
    const second = start();
    await eventually('the second delivers', async () => (await states())[0] === 'delivered');
    second.kill('SIGKILL');
    await once(second, 'exit');
    expect(serving.received.map(({ messageId }) => messageId)).to.deep.equal([id, id]);
    expect((await outbox(store))[0]).to.deep.include({ attempts: 2, output_status: 200 });
  });

  it('given a request under way, when the sender stops, then it waits for the answer and puts the rest back', async () => {
    const gate = Promise.withResolvers<void>();
    const original = later(await startOriginal(other, () => gate.promise as Promise<undefined>));
    const peer = await sending.addPeer('original', other, original.url);
    await addMessages(store, peer, [{ taskId: 't' }, { taskId: 't' }]);
    await sending.sender.look();
    await eventually('it is sent', () => original.requests.length === 1);
    const stopped = sending.sender.stop();
    gate.resolve();
    await stopped;
    expect(await states()).to.deep.equal(['delivered', 'pending']);
    const clock = new TestClock();
    const [rest] = await takeMessages(store.db, {
      peerId: peer.id,
      limit: 9,
      now: clock.now(),
      leaseUntil: clock.now(),
    });
    expect(rest?.attempts).to.equal(2);
  });

  it('given a peer that rotates, when both its certificates are pinned, then messages go before and after, and not to the old one once it is removed', async () => {
    const next = makeIdentity('other');
    const first = await conclavePeer();
    const { port } = first;
    const peer = await sending.addPeer('other', other, urlOf(first));
    await addMessages(store, peer, [{}]);
    await sending.round();
    await sending.peers.addCertificate(peer.id, next.certificate);
    await addMessages(store, peer, [{}]);
    await sending.round();
    await first.close();
    const second = await serve(next, {}, port);
    second.peers.add('us', own);
    await addMessages(store, peer, [{}]);
    for (let turn = 0; turn < 5; turn += 1) {
      await sending.round();
      sending.clock.advance(2000);
    }
    await sending.round();
    expect(await states()).to.deep.equal(['delivered', 'delivered', 'delivered']);
    expect(second.received).to.have.length(1);
    await sending.peers.removeCertificate(peer.id, other.fingerprint);
    await second.close();
    const old = later(await serve(other, {}, port));
    old.peers.add('us', own);
    await addMessages(store, peer, [{}]);
    await sending.round();
    expect(old.contacts).to.deep.equal([]);
    expect((await states()).at(-1)).to.equal('pending');
  });
});
