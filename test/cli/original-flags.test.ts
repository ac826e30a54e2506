import { expect } from 'chai';
import { defineTask } from '../../lib/engine/definitions.ts';
import { external, parallel, sequential, simple } from '../../lib/engine/tree.ts';
import { electionWorkflows } from '../../lib/node/elections.ts';
import type { RunningNode } from '../../lib/node/node.ts';
import { command, commandWith } from '../support/command.ts';
import { type NodeFolder, NodeFolders, trust } from '../support/node-folders.ts';
import { until } from '../support/nodes.ts';

const INFO = '* Title: New Directive Board\n* Voting period: 2013-12-06 - 2013-12-09';
const CELL = '[^|]+';

describe("the original's commands (FQ-C1…C14)", function () {
  this.timeout(60_000);
  const folders = new NodeFolders();
  let folder: NodeFolder;
  let node: RunningNode;
  let root: string;
  let decision: string;
  const conclave = (...args: string[]) => command('--settings', folder.settings, ...args);

  before(async () => {
    folder = await folders.make('Auth1');
    const fails = defineTask({ queue: 'say_queue', action: 'fails' }, () => {
      throw new Error('no\u001b[31m luck\nat all');
    });
    node = await folders.start(folder, { workflows: electionWorkflows, definitions: [fails] });
    root = await node.engine.create(
      sequential([
        parallel([external({ label: 'approve_election', info: INFO, data: { id: 7 } })]),
        external({ label: 'later' }),
      ]),
    );
    decision = await until('the decision waits', async () => {
      const [row] = await node.database
        .knex('tasks')
        .where({ label: 'approve_election', status: 'executing' });
      return row?.id as string | undefined;
    });
  });
  after(() => folders.close());

  it('--tasks --filters: given a decision that waits, when it is listed, then the table is that of the tutorial', async () => {
    const { code, out } = await conclave('--tasks', '--filters', 'task_type=external', 'status=executing');
    expect(code).to.equal(0);
    const lines = out.trimEnd().split('\n');
    expect(lines).to.have.length(5);
    expect(lines[0]).to.match(/^\+-{10}\+(-+\+){6}$/);
    expect([lines[2], lines[4]]).to.deep.equal([lines[0], lines[0]]);
    expect(lines[1]).to.match(
      /^\| small id \| +sender_url +\| +action +\| +queue +\| task_type \| +status +\| +created_date +\|$/,
    );
    expect(lines[3]).to.match(
      new RegExp(
        `^\\| ${decision.slice(0, 8)} \\| ${CELL} \\| frestq.virtual_empty_task \\| internal.frestq \\|  external \\| executing \\| \\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d\\.\\d{6} \\|$`,
      ),
    );
  });

  it('FRESTQ_SETTINGS: given the settings in the environment, when they are not named, then they are used (FQ-C14)', async () => {
    const { code, out } = await commandWith(
      { FRESTQ_SETTINGS: folder.settings },
      '--tasks',
      '-n',
      '1',
      '--json',
    );
    expect(code).to.equal(0);
    expect(JSON.parse(out)).to.have.length(1);
  });

  it('--tree --with-parents: given a subtask, when its tree is shown, then it is drawn as in the tutorial', async () => {
    const short = (id: string) => id.slice(0, 8);
    const { out } = await conclave('--tree', short(decision), '--with-parents');
    const [top, middle] = await node.engine.store.childrenOf(root);
    expect(out.trimEnd().split('\n')).to.deep.equal([
      ` * frestq.virtual_empty_task.internal.frestq - sequential (${short(root)}, executing)`,
      ` |- frestq.virtual_empty_task.internal.frestq - parallel (${short(top!.id)}, executing)`,
      ` |  |- frestq.virtual_empty_task.internal.frestq - external (${short(decision)}, executing, root)`,
      ` |- frestq.virtual_empty_task.internal.frestq - external (${short(middle!.id)}, created)`,
    ]);
    const alone = await conclave('--tree', decision);
    expect(alone.out).to.equal(
      ` * frestq.virtual_empty_task.internal.frestq - external (${short(decision)}, executing, root)\n`,
    );
  });

  it('--tree --why: given a tree that waits, when it is shown, then each task that waits itself says for what; and --json carries it', async () => {
    const { out, code } = await conclave('--tree', root, '--why');
    expect(code).to.equal(0);
    const lines = out.trimEnd().split('\n');
    expect(lines).to.have.length(6);
    expect(lines[3]).to.match(
      /^ \| {2}\| {4}why: waits for a decision of the operators of Auth1: approve_election, since \d{4}-/,
    );
    expect(lines[5]).to.match(
      /^ \| {4}why: its turn has not come: frestq\.virtual_empty_task \([0-9a-f]{8}\) before it/,
    );
    const records = JSON.parse((await conclave('--tree', root, '--why', '--json')).out);
    expect(records.map(({ why }: { why: { task_id: string } }) => why.task_id)).to.deep.equal([
      decision,
      decision,
      decision,
      records[3].id,
    ]);
    expect(records[0].why).to.include({ waiting_for: 'approval', next: null });
    const { out: alone } = await conclave('why', root, '--json');
    expect(JSON.parse(alone)).to.deep.equal(records[0].why);
  });

  it('--tree --why: given a tree that has failed, when it is shown, then the task by which it did says so', async () => {
    const id = await node.engine.create(
      sequential([simple({ queue: 'say_queue', action: 'fails' }), external({ label: 'never' })]),
    );
    await node.engine.ended(id);
    const lines = (await conclave('--tree', id, '--why')).out.trimEnd().split('\n');
    expect(lines[2]).to.match(/^ \| {4}why: ended with an error at .*no luck/);
    expect(lines).to.have.length(4);
  });

  it('--why: given without a tree, then it is refused', async () => {
    const { code, notes } = await conclave('--tasks', '--why');
    expect(code).to.equal(2);
    expect(notes).to.contain('--why goes with --tree');
  });

  it('--tree: given an error with control characters, when it is shown, then it stays on its line and harmless', async () => {
    const id = await node.engine.create(simple({ queue: 'say_queue', action: 'fails' }));
    await node.engine.ended(id);
    const { out } = await conclave('--tree', id);
    expect(out.trimEnd().split('\n')).to.have.length(1);
    expect(out).to.contain('no luck at all at Auth1').and.not.to.contain('\u001b');
  });

  it('--tree: given a task for a peer that is down, when it is shown, then its line says who, and since when', async () => {
    const gone = await folders.make('Gone');
    await trust(node, gone);
    const id = await node.engine.create(simple({ receiver: gone.url, queue: 'q', action: 'a' }));
    const line = await until('the peer is known to be down', async () => {
      const { out } = await conclave('--tree', id);
      return out.includes('does not answer') && out;
    });
    expect(line).to.match(/: Gone does not answer since \d{4}-.*connection refused/);
    const why = await conclave('why', id);
    expect(why.out).to.match(/Gone does not answer since .*the next attempt is at/);
  });

  it('--show-external: given a decision, when it is shown, then label and text; and the command ends there', async () => {
    const { code, out, notes } = await conclave('--show-external', decision.slice(0, 8));
    expect(code).to.equal(0);
    expect(out).to.equal(
      `* frestq.virtual_empty_task.internal.frestq - external (${decision.slice(0, 8)}, executing)\n` +
        `label: approve_election\ninfo_text:\n${INFO}\n`,
    );
    expect(notes).to.contain('--finish');
  });

  it('--show-external: given a description longer than the info, when it is shown, then all of it is (D33)', async () => {
    const description = `* Title: ${'x'.repeat(5000)}\n* Request hash: abc`;
    const info = description.slice(0, 2000);
    const id = await node.engine.create(external({ label: 'approve_election', info, data: { description } }));
    expect((await conclave('--show-external', id)).out).to.contain(`info_text:\n${description}\n`);
    await node.engine.finishExternal(id, null);
  });

  it('--show-task: given a task, when it is shown, then JSON with the names of the original', async () => {
    const { out } = await conclave('--show-task', decision);
    expect(out).to.contain('\n    "task_type": "external"');
    expect(JSON.parse(out)).to.include({
      id: decision,
      queue_name: 'internal.frestq',
      label: 'approve_election',
    });
  });

  it('--messages: given messages, when they are listed, then without their whole data', async () => {
    await until('a message to the peer', async () => (await node.database.knex('messages')).length > 0);
    const { out } = await conclave('--messages', '--filters', 'queue=q');
    expect(out.split('\n')[1]).to.match(
      /^\| small id \| +sender_url +\| action \| queue \| +created_date +\| input_data \|/,
    );
    const [message] = await node.database.knex('messages');
    const shown = await conclave('--show-message', String(message.id).slice(0, 12));
    expect(JSON.parse(shown.out)).to.include({ id: message.id, action: 'a' });
  });

  it('--finish: given wrong data, ids and types, when it is called, then the errors of the original (FQ-C8)', async () => {
    const broken = await conclave('--finish', decision, '{"status":');
    expect([broken.code, broken.notes]).to.satisfy(
      ([code, notes]: [number, string]) => code === 1 && notes.includes('error loading the json finish data'),
    );
    const unknown = await conclave('--finish', 'ffffffff-none', '{}');
    expect(unknown.code).to.equal(1);
    expect(unknown.notes).to.contain('task ffffffff-none not found');
    const wrong = await conclave('--finish', root, '{}');
    expect(wrong.code).to.equal(1);
    expect(wrong.notes).to.contain(`task ${root} is not external`);
    expect((await conclave('--show-external', root)).notes).to.contain('is not external');
    expect((await conclave('--finish', decision)).code).to.equal(2);
  });

  it('--finish: given a decision at a running node, when it is made, then the node goes on at once; twice is refused', async () => {
    const { code, out } = await conclave('--finish', decision.slice(0, 8), '{"status": "accepted"}');
    expect([code, out]).to.deep.equal([0, `task ${decision.slice(0, 8)} is finished\n`]);
    const next = await until('the next step waits', async () => {
      const [row] = await node.database.knex('tasks').where({ label: 'later', status: 'executing' });
      return row?.id as string | undefined;
    });
    expect((await node.engine.store.task(decision))?.output).to.deep.equal({ status: 'accepted' });
    const again = await conclave('--finish', decision, '{}');
    expect(again.code).to.equal(1);
    expect(again.notes).to.contain('already ended');
    expect((await conclave('--finish', next, '"well"', '--json')).code).to.equal(0);
    expect((await node.engine.ended(root)).status).to.equal('finished');
  });

  it('given an id that begins several, when it is used, then it is refused with the candidates (FQ-C13)', async () => {
    const ids = ['aaaaaaaa-1', 'aaaaaaaa-2'];
    const [row] = await node.database.knex('tasks').where({ id: root });
    for (const id of ids) {
      const json = (value: unknown) => (value === null ? null : JSON.stringify(value));
      const { input_data, output_data, reservation_data, async_data, task_metadata, error, progress } = row;
      await node.database.knex('tasks').insert({
        ...row,
        id,
        root_id: id,
        input_data: json(input_data),
        output_data: json(output_data),
        reservation_data: json(reservation_data),
        async_data: json(async_data),
        task_metadata: json(task_metadata),
        error: json(error),
        progress: json(progress),
      });
    }
    const { code, notes } = await conclave('--show-task', 'aaaaaaaa');
    expect(code).to.equal(1);
    for (const id of ids) expect(notes).to.contain(id);
    expect((await conclave('--show-task', 'aaaaaaaa-1')).code).to.equal(0);
  });

  it('--filters: given a column that is none, when it is used, then it is refused with a suggestion', async () => {
    const { code, notes } = await conclave('--tasks', '--filters', 'staus=executing');
    expect([code, notes.includes('did you mean status?')]).to.deep.equal([2, true]);
    expect((await conclave('--tasks', '--filters', 'status')).code).to.equal(2);
    expect((await conclave('--tasks', '--filters', '__proto__=x')).code).to.equal(2);
    const injected = await conclave('--tasks', '--filters', "status='; drop table tasks; --", '--json');
    expect([injected.code, JSON.parse(injected.out)]).to.deep.equal([0, []]);
  });

  it('--show-activity and --createdb: given a node, when they are asked, then queues, workers, and where the database is', async () => {
    const activity = await conclave('--show-activity');
    expect(activity.out)
      .to.match(/\| +queue +\| max_threads \| executing \| waiting \|/)
      .and.to.contain('workers:');
    const created = await conclave('--createdb');
    expect(created.out).to.match(/using the database postgres:.*\nits tables are up to date/);
  });

  it('--reset-tally: given an election that is not here, when it is reset, then it says so', async () => {
    const { code, notes } = await conclave('--reset-tally', '12');
    expect([code, notes.trim()]).to.deep.equal([1, 'conclave: there is no election with id 12 here']);
  });
});
