import { appendFile } from 'node:fs/promises';
import { expect } from 'chai';
import type { Task } from '../../lib/engine/model.ts';
import { deepest } from '../../tasks/election/callbacks.ts';
import { question, TestAuthorities } from '../support/elections.ts';
import { until } from '../support/nodes.ts';

const HASH = /ni:\/\/\/sha-256;[\w=-]+/;

describe('a director that hides that authorities have published different results (D32)', function () {
  this.timeout(60_000);
  const test = new TestAuthorities();

  before(() => test.start(3));
  after(() => test.close());

  it('given an authority with another archive, when the director is told what it expects to hear, then the authorities find out when they ask each other', async () => {
    await test.create({ id: 1, questions: [question('President?', ['Alice', 'Bob'])] });
    const lines = await test.ballots(1, [[[0]], [[1]]]);
    test.interceptors.set('auth3', async (operation, run, { path }) => {
      const made = await run();
      // A vote that is none: its own archive is another one, as if it had been shown another result.
      if (operation === 'exportPlaintexts') await appendFile(path, '"1"\n');
      return made;
    });
    let expected: string | undefined;
    let hidden = false;
    test.federation.copies = (from, to, { data }) => {
      const hash = HASH.exec(JSON.stringify(data))?.[0];
      if (to !== 'auth1' || hash === undefined || expected !== undefined) return 1;
      if (from === 'auth3') return 0;
      expected = hash;
      setImmediate(() => void test.federation.deliver('auth3', 'auth1'));
      return 1;
    };
    test.federation.alter = (from, to, message) => {
      const text = JSON.stringify(message.data);
      if (from !== 'auth3' || to !== 'auth1' || !text.includes('tally_url')) return message;
      hidden = true;
      return { ...message, data: JSON.parse(text.replace(HASH, expected!)) };
    };
    const root: Task = await test.tally(1, lines);
    expect(hidden, 'the director was deceived').to.equal(true);
    expect(deepest(root.error!).code).to.equal('disagreement');
    expect(deepest(root.error!).message).to.match(/auth\d and auth\d have different hashes of the tally/);
    const asked = await until('what auth2 and auth3 said to each other', async () => {
      const tasks = await Promise.all(test.authorities.slice(1).map(({ node }) => node.tasks()));
      const found = tasks.flat().filter(({ action, error }) => action === 'compare_hashes' && error !== null);
      return found.length > 0 && found;
    });
    expect(asked.map(({ error }) => deepest(error!).code)).to.include('disagreement');
  });
});
