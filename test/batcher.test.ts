import { expect } from 'chai';
import { Batcher } from '../lib/batcher.ts';

/** A batch function whose batches end when the test says so. */
function controlled() {
  const batches: { items: number[]; finish: () => void; fail: (reason: Error) => void }[] = [];
  const run = (items: number[]): Promise<number[]> =>
    new Promise((resolve, reject) => {
      batches.push({ items, finish: () => resolve(items.map((item) => item * 10)), fail: reject });
    });
  return { batches, run };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('Batcher', () => {
  it('given items added in one turn, when nothing is under way, then they form one batch and each gets its result', async () => {
    const { batches, run } = controlled();
    const batcher = new Batcher(run, { max: 10, parallel: 1 });
    const results = Promise.all([1, 2, 3].map((item) => batcher.add(item)));
    await turn();
    expect(batches.map(({ items }) => items)).to.deep.equal([[1, 2, 3]]);
    batches[0]!.finish();
    expect(await results).to.deep.equal([10, 20, 30]);
  });

  it('given a batch under way, when more items than max arrive, then they wait and go in batches of max', async () => {
    const { batches, run } = controlled();
    const batcher = new Batcher(run, { max: 2, parallel: 1 });
    const results = Promise.all([1, 2, 3, 4, 5].map((item) => batcher.add(item)));
    await turn();
    expect(batches.map(({ items }) => items)).to.deep.equal([[1, 2]]);
    expect(batcher.waiting).to.equal(3);
    for (let index = 0; index < 3; index += 1) {
      batches[index]!.finish();
      await turn();
    }
    expect(batches.map(({ items }) => items)).to.deep.equal([[1, 2], [3, 4], [5]]);
    expect(await results).to.deep.equal([10, 20, 30, 40, 50]);
  });

  it('given parallel 2, when three batches wait, then two run at a time', async () => {
    const { batches, run } = controlled();
    const batcher = new Batcher(run, { max: 1, parallel: 2 });
    const results = Promise.all([1, 2, 3].map((item) => batcher.add(item)));
    await turn();
    expect(batches).to.have.length(2);
    batches[1]!.finish();
    await turn();
    expect(batches).to.have.length(3);
    batches[0]!.finish();
    batches[2]!.finish();
    expect(await results).to.deep.equal([10, 20, 30]);
  });

  it('given a batch that fails, when the next one succeeds, then only the items of the first are rejected', async () => {
    const { batches, run } = controlled();
    const batcher = new Batcher(run, { max: 1, parallel: 1 });
    const settled = Promise.allSettled([batcher.add(1), batcher.add(2)]);
    await turn();
    batches[0]!.fail(new Error('no'));
    await turn();
    batches[1]!.finish();
    const [first, second] = await settled;
    expect(first).to.have.nested.property('reason.message', 'no');
    expect(second).to.deep.equal({ status: 'fulfilled', value: 20 });
  });

  it('given a function that returns too few results, when it runs, then its items are rejected', async () => {
    const batcher = new Batcher(async () => [], { max: 5, parallel: 1 });
    const [settled] = await Promise.allSettled([batcher.add(1)]);
    expect(settled).to.have.nested.property('reason.message', 'a batch of 1 items gave 0 results');
  });

  it('given work under way, when idle is awaited, then it resolves after the last batch and not before', async () => {
    const { batches, run } = controlled();
    const batcher = new Batcher(run, { max: 1, parallel: 1 });
    const results = [batcher.add(1), batcher.add(2)];
    let idle = false;
    const waited = batcher.idle().then(() => {
      idle = true;
    });
    await turn();
    batches[0]!.finish();
    await turn();
    expect(idle).to.equal(false);
    batches[1]!.finish();
    await waited;
    expect(await Promise.all(results)).to.deep.equal([10, 20]);
  });
});
