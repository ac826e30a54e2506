import { expect } from 'chai';
import { external } from '../../lib/engine/tree.ts';
import type { Log } from '../../lib/log.ts';
import { Retention } from '../../lib/node/retention.ts';
import { record } from '../../lib/store/audit.ts';
import { TestFederation, type TestNode, until } from '../support/nodes.ts';

const DAY = 24 * 3600 * 1000;

describe('node: what ended long ago is forgotten by itself', () => {
  let federation: TestFederation;
  let node: TestNode;
  let calls: { milliseconds: number; call: () => void; cancelled: boolean }[];
  let said: Record<string, unknown>[];
  let later: number;
  const clock = {
    now: () => new Date(Date.now() + later),
    after(milliseconds: number, call: () => void) {
      const made = { milliseconds, call, cancelled: false };
      calls.push(made);
      return () => {
        made.cancelled = true;
      };
    },
    soon: (call: () => void) => setImmediate(call),
  };
  const log = {
    info: (fields: Record<string, unknown>) => said.push(fields),
    warn: () => {},
  } as unknown as Log;
  const ended = async (): Promise<string> => {
    const id = await node.engine.create(external({ label: 'x' }));
    await node.engine.finishExternal(id, null);
    return id;
  };

  beforeEach(async () => {
    calls = [];
    said = [];
    later = 0;
    federation = new TestFederation();
    node = await federation.add('a', { definitions: [], engine: { works: false } });
  });
  afterEach(() => federation.close());

  it('given trees that end, when the days have passed, then they go and the audit trail stays', async () => {
    const { knex } = node.database;
    const id = await ended();
    const waiting = await node.engine.create(external({ label: 'y' }));
    await record(knex, { kind: 'start', version: '1' } as never);
    const entries = async () => (await knex('log_entries').select('id')).length;
    const before = await entries();
    const retention = new Retention({ db: knex, days: 30, log, clock });
    retention.start();
    calls[0]!.call();
    await until('it has looked', () => calls.length === 2);
    expect(await node.engine.store.task(id), 'not yet').to.include({ status: 'finished' });
    later = 31 * DAY;
    calls[1]!.call();
    await until('it has looked again', () => calls.length === 3);
    expect(await node.engine.store.task(id)).to.equal(undefined);
    expect(await node.engine.store.task(waiting)).to.include({ status: 'executing' });
    expect(await entries()).to.equal(before);
    expect(said).to.deep.equal([{ event: 'pruned', trees: 1, tasks: 1, messages: 0 }]);
    expect(calls.slice(1).map(({ milliseconds }) => milliseconds)).to.deep.equal([3_600_000, 3_600_000]);
    await retention.stop();
  });

  it('given two processes, when both forget at once, then each tree goes once', async () => {
    await Promise.all(Array.from({ length: 250 }, ended));
    later = 31 * DAY;
    const two = [1, 2].map(() => new Retention({ db: node.database.knex, days: 30, log, clock }));
    for (const each of two) each.start();
    for (const { call } of calls.splice(0)) call();
    await until('both have looked', () => calls.length === 2);
    expect(await node.database.knex('tasks').select('id')).to.have.length(0);
    await Promise.all(two.map((each) => each.stop()));
  });

  it('given that the node stops, then nothing more is planned', async () => {
    const retention = new Retention({ db: node.database.knex, days: 30, log, clock });
    retention.start();
    await retention.stop();
    expect(calls.map(({ cancelled }) => cancelled)).to.deep.equal([true]);
  });
});
