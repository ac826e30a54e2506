import { once } from 'node:events';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { defineTask } from '../../lib/engine/definitions.ts';
import { simple } from '../../lib/engine/tree.ts';
import type { Awaited } from '../../lib/engine/why.ts';
import { loadIdentity } from '../../lib/node/identity.ts';
import type { RunningNode } from '../../lib/node/node.ts';
import { FederationClient } from '../../lib/protocol/client.ts';
import { OutboxSender } from '../../lib/protocol/sender.ts';
import { createOutboxStore } from '../../lib/store/outbox.ts';
import { command } from '../support/command.ts';
import { Gateway } from '../support/gateway.ts';
import { call, type NodeFolder, NodeFolders, newCaller, trust } from '../support/node-folders.ts';
import { until } from '../support/nodes.ts';
import { createTestDatabase, type TestDatabase } from '../support/postgresql.ts';
import { sentence } from '../support/sentences.ts';

const SLOW_NODE = fileURLToPath(new URL('./slow-node.ts', import.meta.url));
const queue = 'work_queue';

describe('why a task waits, between nodes (D18)', function () {
  this.timeout(60_000);
  const folders = new NodeFolders();
  let gate = Promise.withResolvers<void>();
  const definitions = [
    defineTask({ queue, action: 'gated' }, async () => gate.promise),
    defineTask({ queue, action: 'read' }, () => {}),
  ];
  const queues = { [queue]: { max_threads: 1, max_waiting: 1 } };
  let [a, b]: NodeFolder[] = [];
  let [alice, bob]: RunningNode[] = [];
  let bobsId: string;

  before(async () => {
    [a, b] = [await folders.make('A', { queues }), await folders.make('B', { queues })];
    [alice, bob] = [await folders.start(a, { definitions }), await folders.start(b, { definitions })];
    bobsId = await trust(alice, b);
    await trust(bob, a);
  });
  beforeEach(() => {
    gate = Promise.withResolvers();
  });
  afterEach(() => gate.resolve());
  after(() => folders.close());

  const ask = (receiver: { url: string }, action = 'gated', more = {}): Promise<string> =>
    alice!.engine.create(simple({ receiver: receiver.url, queue, action, ...more }));
  const said = async (node: RunningNode, id: string, text: string): Promise<Awaited> => {
    let last = '';
    return await until(text, async () => {
      const why = await node.engine.why(id).catch(() => null);
      if (why === null) return undefined;
      last = why.sentence;
      return sentence(text).test(last) && why.waitingFor;
    }).catch(() => {
      throw new Error(`expected: ${text}\nsaid:     ${last}`);
    });
  };

  it('given a queue of a peer that is full, then the sender says so and when it tries again, and the peer what holds the slot', async () => {
    const running = await ask(b!);
    await said(
      bob!,
      running,
      'its handler runs in the worker …, since DATE; its lease holds until DATE unless it is renewed',
    );
    const waiting = await ask(b!);
    const holds = `waits for a slot of the queue work_queue, since DATE: its only slot is held by gated (${running.slice(0, 8)}, executing since DATE)`;
    expect(await said(bob!, waiting, holds)).to.equal('slot');
    const refused = await ask(b!);
    const full =
      'its message to B was tried … (the peer B reported an error: the queue work_queue is full; send the message again later); again at DATE';
    expect(await said(alice!, refused, full)).to.equal('delivery');
    gate.resolve();
    await Promise.all([running, waiting, refused].map((id) => alice!.engine.ended(id)));
  });

  it('given a peer that refuses a task for good, then the dead letter says what it answered, and what helps', async () => {
    const id = await ask(b!, 'unheard');
    await alice!.engine.ended(id);
    await said(
      alice!,
      id,
      'ended with an error at DATE: unheard (…) could not be told to B, and was given up at DATE: B answered 404: Action handler unheard not found in the queue work_queue; the operator of B has to install what executes unheard of the queue work_queue, then try the whole tree again',
    );
  });

  it('given a peer that was removed, then the dead letter says so, and what helps', async () => {
    const gone = await folders.make('Gone');
    const peerId = await trust(alice!, gone);
    const id = await ask(gone);
    expect(
      await said(
        alice!,
        id,
        'Gone does not answer since DATE (…connection refused…); the next attempt is at DATE',
      ),
    ).to.equal('peer');
    await alice!.peers.remove(peerId);
    await alice!.engine.ended(id);
    await said(
      alice!,
      id,
      'ended with an error at DATE: gated (…) could not be told to a peer that was removed here (…), and was given up at DATE: no peer has the URL …; add the peer again (conclave peers add FILE), then try the whole tree again',
    );
  });

  it('given a peer that does not know us, or is not who it should be, then that is said', async () => {
    const strange = await folders.make('Strange');
    await folders.start(strange);
    await trust(alice!, strange);
    const id = await ask(strange);
    await said(
      alice!,
      id,
      'Strange answers, and does not let this node in, since DATE (…the certificate with fingerprint … is not one of a peer of this node; its operator can add it with: conclave peers add FILE); the next attempt is at DATE',
    );
    const other = await folders.make('Other');
    await folders.start(other);
    await trust(alice!, { ...other, ...(await newCaller('Other')) });
    const text =
      'Other cannot be recognised: another certificate answers there, since DATE (…); the next attempt is at DATE';
    expect(await said(alice!, await ask(other), text)).to.equal('peer');
  });

  it('given a peer that is frozen, then it does not answer, since when, and when it is tried next', async () => {
    const folder = await folders.make('Sender');
    const node = await folders.start(folder);
    await node.sender.stop();
    const identity = await newCaller('Frozen');
    const frozen = createServer({ cert: identity.certificate, key: identity.privateKey }, () => {});
    await once(frozen.listen(0, '127.0.0.1'), 'listening');
    const url = `https://127.0.0.1:${(frozen.address() as AddressInfo).port}/api/queues`;
    await trust(node, { name: 'Frozen', url, certificate: identity.certificate });
    const id = await node.engine.create(simple({ receiver: url, queue, action: 'gated' }));
    await said(
      node,
      id,
      'its message to Frozen is about to be sent, as soon as Frozen has said what it is, since DATE',
    );
    const client = new FederationClient({ identity: await loadIdentity(node.settings) });
    const impatient = new OutboxSender({
      store: createOutboxStore(node.database.knex),
      peers: node.peers,
      client,
      log: node.log,
      undeliverable: (items) => node.engine.undeliverable(items),
      limits: { requestMilliseconds: 200 },
    });
    await impatient.start();
    await said(
      node,
      id,
      'Frozen does not answer since DATE (the peer Frozen reported an error: …took too long…); the next attempt is at DATE',
    );
    await impatient.stop();
    await client.close();
    frozen.close();
    frozen.closeAllConnections();
  });

  it('given a worker that is killed, then the lease that was not renewed is said, with its worker', async () => {
    const folder = await folders.make('Killed', { lease: 1 });
    const process = await folders.spawn(folder, [SLOW_NODE, 'wait']);
    const conclave = (...args: string[]) => command('--settings', folder.settings, '--json', ...args);
    const id = await until('the task is executed', async () => {
      const [task] = JSON.parse(
        (await conclave('--tasks', '--filters', 'action=slow', 'status=executing')).out,
      );
      return task?.id as string | undefined;
    });
    const exit = once(process, 'exit');
    process.kill('SIGKILL');
    await exit;
    const lapsed = sentence(
      'the lease of its worker … was not renewed, and lapsed at DATE; another worker takes it over within seconds, if one runs',
    );
    const why = await until('the lease has lapsed', async () => {
      const found = JSON.parse((await conclave('why', id)).out);
      return lapsed.test(found.sentence) && found;
    });
    expect(why).to.include({ waiting_for: 'worker', task_id: id });
  });

  it('given a database that cannot be reached, then the API says so with 503, and the command with exit code 1', async () => {
    const database: TestDatabase = await createTestDatabase();
    const gateway = await Gateway.to(database.address);
    const folder = await folders.make('Cut', { database: { url: gateway.url } });
    const node = await folders.start(folder, { definitions });
    const id = await node.engine.create(simple({ queue, action: 'gated' }));
    const path = `/public_api/tasks/${id}/why`;
    const asked = async () => await call(folder, folder, 'GET', path);
    expect((await asked()).status).to.equal(200);
    await gateway.cut();
    const answer = await asked();
    expect([answer.status, JSON.parse(answer.body).code]).to.deep.equal([503, 'database_unavailable']);
    const { code, notes } = await command('--settings', folder.settings, 'why', id);
    expect(code).to.equal(1);
    expect(notes).to.match(/the database at 127\.0\.0\.1:\d+ cannot be reached \(.*ECONNREFUSED/);
    await gateway.mend();
    await until('the API answers again', async () => (await asked()).status === 200);
    gate.resolve();
    await node.engine.ended(id);
    await node.stop(0);
    await gateway.cut();
    await database.drop();
  });

  it('given a peer that stops while it has a task, then both are said; given bulk data of a peer that is away, then which, of whom, how often', async () => {
    const reference = await alice!.services.share(await folders.write('list', 'many ciphertexts'), [bobsId]);
    const running = await ask(b!);
    await said(bob!, running, 'its handler runs in …');
    const reading = await ask(b!, 'read', { asyncData: { list: reference } });
    await said(bob!, reading, 'waits for a slot …');
    await said(alice!, reading, 'B has it since DATE, and has not reported yet');
    await alice!.stop(0);
    gate.resolve();
    await said(
      bob!,
      reading,
      'the bulk data list (16 bytes) could not be fetched from A, tried … (…ECONNREFUSED…); it is tried again at DATE',
    );
    await said(
      bob!,
      running,
      'has finished at DATE; A is still to be told: A does not answer since DATE (…); the next attempt is at DATE',
    );
    await bob!.stop(0);
    alice = await folders.start(a!, { definitions });
    const beside = await ask(b!);
    await said(
      alice,
      beside,
      'B does not answer since DATE (…connection refused…); the next attempt is at DATE',
    );
    await said(
      alice,
      reading,
      'B has it since DATE, and has not reported yet; but B does not answer since DATE (…); the next attempt is at DATE',
    );
  });
});
