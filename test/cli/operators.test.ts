/* What operators do on the command line: look at what waits, approve or deny it, follow trees, end them (D33, D50). */
import { expect } from 'chai';
import { electionWorkflows } from '../../lib/node/elections.ts';
import type { RunningNode } from '../../lib/node/node.ts';
import { command, type Ran } from '../support/command.ts';
import { question } from '../support/elections.ts';
import { call, type NodeFolder, NodeFolders } from '../support/node-folders.ts';
import { until } from '../support/nodes.ts';

describe('conclave for operators', function () {
  this.timeout(60_000);
  const folders = new NodeFolders();
  let folder: NodeFolder;
  let node: RunningNode;

  const run = (...args: string[]): Promise<Ran> => command('--settings', folder.settings, ...args);
  const json = async (...args: string[]) => JSON.parse((await run('--json', ...args)).out);

  before(async () => {
    folder = await folders.make('Auth1', { outgoing: { allowed: ['127.0.0.1'], allow_loopback: true } });
    node = await folders.start(folder, { workflows: electionWorkflows });
  });
  after(() => folders.close());

  /** Asks for an election of this authority alone, and waits until its operator is asked. */
  async function ask(id: number, title: string): Promise<{ task: string; approval: string; hash: string }> {
    const request = {
      id,
      title,
      description: 'of the board',
      start_date: '2026-12-06T18:17:14.457000',
      end_date: '2026-12-09T18:17:14.457000',
      callback_url: `${new URL(folder.url).origin}/public_api/receive_election`,
      authorities: [{ name: 'Auth1', orchestra_url: folder.url, ssl_cert: folder.certificate }],
      threshold: 1,
      questions: [question('President?', ['Alice', 'Bob'])],
    };
    const answer = await call(folder, folder, 'POST', '/public_api/election', JSON.stringify(request));
    expect(answer.status, answer.body).to.equal(202);
    const waiting = await until('an approval', async () =>
      ((await json('approvals')) as { id: string; election_id: string; hash: { hex: string } }[]).find(
        ({ election_id }) => election_id === String(id),
      ),
    );
    return { task: JSON.parse(answer.body).task_id, approval: waiting.id, hash: waiting.hash.hex };
  }

  it('given a request, when it is listed and approved with the hash that was shown, then the election is created, and its tree shown', async () => {
    const { task, approval, hash } = await ask(1, 'First');
    const listed = await run('approvals');
    expect(listed.out).to.contain('First').and.to.contain(approval.slice(0, 8));
    const tree = await run('tree', task, '--why');
    expect(tree.out, tree.notes).to.contain('approve_election');
    const wrong = await run('approve', approval.slice(0, 8), '--yes', '--hash', 'f'.repeat(64));
    expect([wrong.code, wrong.notes]).to.satisfy(
      ([code, notes]: [number, string]) => code === 1 && notes.includes(hash),
    );
    const approved = await run('approve', approval.slice(0, 8), '--yes', '--hash', hash, '--operator', 'Ana');
    expect(approved.code, approved.notes).to.equal(0);
    expect(approved.out).to.contain('President?').and.to.contain('Approved.');
    expect(approved.out.replaceAll(/\s/g, '')).to.contain(hash);
    const created = await until('the election', async () => {
      const shown = await run('election', '1');
      return shown.out.includes('created') && shown;
    });
    expect((await run('tree', task)).out).to.match(/publish_election.*finished/);
    expect(created.out)
      .to.match(/First \(1\): created/)
      .and.to.match(/question 1, President\?: key [0-9a-f]{64}/);
    expect((await run('elections')).out).to.contain('First');
    const { rows } = await node.database.knex.raw(
      `select entries from log_entries where entries like '%"kind":"approval"%'`,
    );
    expect(rows[0].entries).to.contain('"by":"Ana"').and.to.contain(hash);
  });

  it('given a request, when it is denied, then its reason is in the tree, and nothing waits any more', async () => {
    const { task, approval } = await ask(2, 'Second');
    const denied = await run('deny', approval, '--reason', 'the period is wrong');
    expect([denied.code, denied.out]).to.deep.equal([0, 'Denied. The one who asked is told the reason.\n']);
    expect((await run('tree', task, '--watch')).out).to.contain('the period is wrong');
    expect((await run('approvals')).out).to.not.contain('Second');
    const again = await run('approve', approval, '--yes', '--hash', '0'.repeat(64));
    expect(again.code).to.equal(1);
  });

  it('given a tree that waits, when it is cancelled, then it has ended with the reason; retried, it is asked again', async () => {
    const { task } = await ask(3, 'Third');
    const unasked = await run('cancel', task, '--reason', 'a mistake');
    expect([unasked.code, unasked.notes]).to.satisfy(
      ([code, notes]: [number, string]) => code === 1 && notes.includes('--yes'),
    );
    const cancelled = await run('cancel', task, '--reason', 'a mistake', '--yes');
    expect(cancelled.code, cancelled.notes).to.equal(0);
    expect((await run('tree', task)).out).to.contain('a mistake');
    const retried = await json('retry', task);
    expect(retried.again, JSON.stringify(retried)).to.be.a('string').and.not.equal(task);
  });

  it('given lists, when they are narrowed, then only those are shown; what does not exist is named', async () => {
    const failed = (await json('tasks', '--status', 'error')) as { status: string }[];
    expect(failed).to.not.be.empty;
    expect(failed.every(({ status }) => status === 'error')).to.equal(true);
    const why = await run('tasks', '--status', 'executing', '--why');
    expect(why.out, why.notes).to.contain('why');
    expect((await run('messages')).code).to.equal(0);
    for (const [args, text] of [
      [['tasks', '--status', 'done'], 'there is no status done'],
      [['messages', '--state', 'lost'], 'there is no state lost'],
      [['messages', '--peer', 'Nobody'], 'there is no peer Nobody'],
      [['approve', 'x', '--yes'], '--yes needs --hash'],
      [['deny', 'x', '--reason', ' '], '--reason takes'],
      [['aprove', 'x'], 'approve'],
    ] as const) {
      const { code, notes } = await run(...args);
      expect([code, notes], args.join(' ')).to.satisfy(
        ([c, n]: [number, string]) => c === 2 && n.includes(text),
      );
    }
    for (const args of [
      ['approve', 'ffffffff'],
      ['election', '77'],
      ['resend', '12345'],
    ]) {
      const { code, notes } = await run(...args);
      expect(code, `${args.join(' ')}: ${notes}`).to.equal(1);
    }
  });
});
