import { expect } from 'chai';
import { external, sequential } from '../../lib/engine/tree.ts';
import { ConclaveError } from '../../lib/errors.ts';
import type { NodeCertificate } from '../../lib/node/certificates.ts';
import { electionWorkflows } from '../../lib/node/elections.ts';
import type { RunningNode } from '../../lib/node/node.ts';
import type { ElectionApi } from '../../lib/node/public-api.ts';
import {
  type Answer,
  call,
  type NodeFolder,
  NodeFolders,
  newCaller,
  trust,
} from '../support/node-folders.ts';

/** Workflows of which a test knows what they were asked, and says what they answer. */
const asked: unknown[][] = [];
let shareIsRight = true;
const elections: ElectionApi = {
  requestElection: async (body) => {
    asked.push(['election', body]);
    return 'task-1';
  },
  requestTally: async () => {
    throw new ConclaveError('invalid_request', {
      problems: ['votes_url: is missing', 'votes_hash: is missing'],
    });
  },
  downloadPrivateShare: async (id) => {
    if (id === '404') throw new ConclaveError('share_missing', { detail: 'there is none' });
    return 'c2hhcmU=';
  },
  checkPrivateShare: async () => shareIsRight,
  deletePrivateShare: async () => shareIsRight,
  restorePrivateShare: async () => shareIsRight,
};

describe('the public API (EO-1…EO-10)', function () {
  this.timeout(30_000);
  const folders = new NodeFolders();
  let folder: NodeFolder;
  let node: RunningNode;
  let manager: NodeCertificate;
  let operator: NodeCertificate;
  let authority: NodeCertificate;

  before(async () => {
    folder = await folders.make('A', { limits: { body_bytes: 1000 } });
    node = await folders.start(folder, { workflows: () => ({ definitions: [], elections }) });
    [manager, operator, authority] = [await newCaller('m'), await newCaller('o'), await newCaller('a')];
    await trust(node, { name: 'manager', ...manager }, ['client']);
    await trust(node, { name: 'operator', ...operator }, ['operator']);
    await trust(node, { name: 'authority', ...authority }, ['authority']);
  });
  after(() => folders.close());

  const post = (
    caller: NodeCertificate | NodeFolder | null,
    path: string,
    body = '{}',
    headers = {},
  ): Promise<Answer> => call(folder, caller, 'POST', `/public_api${path}`, body, headers);
  const code = ({ body }: Answer): unknown => JSON.parse(body).code;

  it('given a client, when it asks for an election, then it gets 202 with both ids', async () => {
    const answer = await post(manager, '/election', '{"id": 7}');
    expect(answer.status).to.equal(202);
    expect(JSON.parse(answer.body)).to.deep.equal({ queue_id: 'task-1', task_id: 'task-1' });
    expect(asked.at(-1)).to.deep.equal(['election', { id: 7 }]);
  });

  it('given a request with two faults, when it comes, then it is answered 400 with both', async () => {
    const answer = await post(manager, '/tally');
    expect([answer.status, code(answer)]).to.deep.equal([400, 'invalid_request']);
    expect(JSON.parse(answer.body).data.problems).to.have.length(2);
  });

  it('given no JSON, or too much of it, when it comes, then it is refused with the reason', async () => {
    const broken = await post(manager, '/election', '{"id":');
    expect([broken.status, JSON.parse(broken.body).message]).to.deep.equal([400, 'invalid json']);
    const large = await post(manager, '/election', JSON.stringify('x'.repeat(2000)));
    expect([large.status, code(large)]).to.deep.equal([413, 'body_too_large']);
  });

  it('given an authority without the role of a client, when it asks for an election, then it is refused', async () => {
    const answer = await post(authority, '/election');
    expect([answer.status, code(answer)]).to.deep.equal([403, 'wrong_role']);
    expect(answer.body).to.contain('client or operator');
  });

  it('given a stranger, with and without a certificate, when it asks anything, then it is refused, and told why', async () => {
    const stranger = await post(await newCaller('x'), '/election');
    expect([stranger.status, code(stranger)]).to.deep.equal([403, 'unknown_certificate']);
    const nobody = await call(folder, null, 'GET', '/public_api/check_state');
    expect([nobody.status, code(nobody)]).to.deep.equal([401, 'certificate_required']);
  });

  it("given the node's own certificate, when it is used, then it may do what clients and operators may, and send no task", async () => {
    expect((await post(folder, '/election')).status).to.equal(202);
    expect((await post(folder, '/download_private_share', '{"election_id": "1"}')).status).to.equal(200);
    const task = await call(folder, folder, 'POST', '/api/queues/q/', '{}');
    expect([task.status, code(task)]).to.deep.equal([403, 'wrong_role']);
  });

  it('given any peer, when it asks for the state, then 202 and nothing; and dequeue says ok (EO-3, EO-4)', async () => {
    const state = await call(folder, authority, 'GET', '/public_api/check_state');
    expect([state.status, state.body]).to.deep.equal([202, '']);
    const dequeued = await call(folder, manager, 'GET', '/public_api/dequeue');
    expect([dequeued.status, JSON.parse(dequeued.body)]).to.deep.equal([202, { status: 'ok' }]);
  });

  it('given the wrong method, when it is used, then 405 names the right one', async () => {
    const answer = await call(folder, manager, 'GET', '/public_api/election');
    expect([answer.status, code(answer), answer.headers.allow]).to.deep.equal([
      405,
      'method_not_allowed',
      'POST',
    ]);
  });

  it('given a callback to the test sinks, when it comes, then 202 (EO-5)', async () => {
    expect((await post(authority, '/receive_election')).status).to.equal(202);
    expect((await post(authority, '/receive_tally', '{"status":"finished"}')).status).to.equal(202);
  });

  it('given an operator, when it asks for the key share, then it gets base64, and no cache may keep it (EO-6)', async () => {
    const answer = await post(operator, '/download_private_share', '{"election_id": "1"}');
    expect([answer.status, answer.body]).to.deep.equal([200, 'c2hhcmU=']);
    expect(answer.headers['cache-control']).to.equal('no-store');
    const missing = await post(operator, '/download_private_share', '{"election_id": "404"}');
    expect(missing.status).to.equal(400);
    expect(missing.body).to.contain('missing file');
  });

  it('given a task that waits, when an operator asks why, then the answer says it; a client is refused; an unknown one is 404 (D18)', async () => {
    const id = await node.engine.create(sequential([external({ label: 'decide' })]));
    const path = `/public_api/tasks/${id}/why`;
    const answer = await call(folder, operator, 'GET', path);
    expect(answer.status).to.equal(200);
    const [decision] = await node.engine.store.childrenOf(id);
    const said = JSON.parse(answer.body);
    expect(said).to.include({ task_id: decision!.id, waiting_for: 'approval', next: null });
    expect(said.sentence).to.contain('waits for a decision of the operators of A: decide');
    expect(Object.keys(said)).to.have.members([
      'task_id',
      'waiting_for',
      'since',
      'tried',
      'next',
      'sentence',
    ]);
    const refused = await call(folder, manager, 'GET', path);
    expect([refused.status, code(refused)]).to.deep.equal([403, 'wrong_role']);
    const unknown = await call(folder, operator, 'GET', '/public_api/tasks/none/why');
    expect([unknown.status, code(unknown)]).to.deep.equal([404, 'task_not_found']);
  });

  it('given a client, when it asks for the key share, then it is refused: that is for operators', async () => {
    for (const action of ['download', 'check', 'delete', 'restore']) {
      const answer = await post(
        manager,
        `/${action}_private_share`,
        '{"election_id": "1", "private_key": "eA=="}',
      );
      expect([action, answer.status, code(answer)]).to.deep.equal([action, 403, 'wrong_role']);
    }
  });

  it('given a copy of the share, when it is right or wrong, then True or False; a delete with a wrong one is 409 (EO-7…EO-9)', async () => {
    const body = '{"election_id": "1", "private_key": "eA=="}';
    const answers = async () =>
      await Promise.all(
        ['check', 'delete', 'restore'].map((action) => post(operator, `/${action}_private_share`, body)),
      );
    shareIsRight = true;
    expect((await answers()).map(({ status, body: said }) => [status, said])).to.deep.equal(
      Array(3).fill([200, 'True']),
    );
    shareIsRight = false;
    const wrong = (await answers()).map(({ status, body: said }) => [status, said]);
    expect(wrong).to.deep.equal([
      [200, 'False'],
      [409, 'False'],
      [200, 'False'],
    ]);
    const missing = await post(operator, '/check_private_share', '{"election_id": "1"}');
    expect([missing.status, code(missing)]).to.deep.equal([400, 'invalid_request']);
    expect(missing.body).to.contain('private_key');
  });

  it("given a page of another site in an operator's browser, when it posts, then it is refused", async () => {
    const answer = await post(operator, '/election', '{}', { 'sec-fetch-site': 'cross-site' });
    expect([answer.status, code(answer)]).to.deep.equal([400, 'invalid_request']);
  });

  it('given a node without election workflows, when it is asked for an election, then 404', async () => {
    const other = await folders.make('B');
    await folders.start(other);
    const answer = await call(other, other, 'POST', '/public_api/election', '{}');
    expect(answer.status).to.equal(404);
  });

  it('given an API port, when managers use it, then it has the API and refuses messages; the federation port has no API', async () => {
    const apiUrl = new URL((await folders.make('ports')).url);
    const other = await folders.make('C', {
      listen: {
        federation: { host: '127.0.0.1', port: 0 },
        api: { host: '127.0.0.1', port: Number(apiUrl.port) },
        health: { port: 0 },
      },
    });
    const running = await folders.start(other, { workflows: () => ({ definitions: [], elections }) });
    await trust(running, { name: 'authority', ...authority }, ['authority', 'client']);
    const api = { url: apiUrl.href };
    const federation = { url: `https://127.0.0.1:${running.addresses.federation.port}` };
    expect((await call(api, authority, 'POST', '/public_api/election', '{}')).status).to.equal(202);
    expect((await call(api, authority, 'POST', '/api/queues/q/', '{}')).status).to.equal(403);
    expect((await call(federation, authority, 'POST', '/public_api/election', '{}')).status).to.equal(404);
  });

  it('given the real workflows, when an empty request comes, then every missing field is named', async () => {
    const other = await folders.make('D');
    await folders.start(other, { workflows: electionWorkflows });
    const answer = await call(other, other, 'POST', '/public_api/election', '{}');
    expect(answer.status).to.equal(400);
    expect(JSON.parse(answer.body).data.problems.join()).to.match(
      /id: .*title: .*callback_url: .*authorities: .*questions: /,
    );
  });
});
