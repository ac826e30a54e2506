import { Worker } from 'node:worker_threads';
import { expect } from 'chai';

/** Runs the body of a worker's module with `LazyPool`, `P256Kernel` and `BASE` at hand; returns what it posts. */
function inWorker(body: string): Promise<unknown> {
  const at = (path: string): string => new URL(`../../../lib/mixnet/kernel/${path}`, import.meta.url).href;
  const source = `
    import { parentPort } from 'node:worker_threads';
    import { randomBytes } from 'node:crypto';
    import { LazyPool } from ${JSON.stringify(at('lazy-pool.ts'))};
    import { P256Kernel } from ${JSON.stringify(at('p256-kernel.ts'))};
    const BASE = Buffer.from(${JSON.stringify(BASE)}, 'hex');
    ${body}`;
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  const thread = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`));
  thread.once('message', resolve);
  thread.once('error', reject);
  return promise.finally(() => thread.terminate());
}

const BASE =
  '6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296' +
  '4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5';

describe('A pool that starts with the first large job', () => {
  it('given small and large jobs, when run, then threads start for the large one, and results are the same', async () => {
    const found = await inWorker(`
      const pool = new LazyPool(2);
      const [alone, shared] = [new P256Kernel(), new P256Kernel(pool)];
      const scalars = new Uint8Array(randomBytes(32 * 6000));
      const small = shared.fixedBase(BASE, scalars.subarray(0, 320));
      const before = pool.started;
      const large = shared.fixedBase(BASE, scalars);
      const expected = alone.fixedBase(BASE, scalars);
      const same = Buffer.compare(large, expected) === 0 && Buffer.compare(small, expected.subarray(0, 640)) === 0;
      parentPort.postMessage({ before, after: pool.started, same });
      pool.close();`);
    expect(found).to.deep.equal({ before: false, after: true, same: true });
  });

  it('given a pool whose helper ends, when the next job comes, then it starts anew', async () => {
    const helper = new URL('./failing-helper.ts', import.meta.url).href;
    const found = (await inWorker(`
      const pool = new LazyPool(2, new URL(${JSON.stringify(helper)}));
      const kernel = new P256Kernel(pool);
      const scalars = new Uint8Array(randomBytes(32 * 6000));
      const outcomes = [];
      for (let i = 0; i < 2; i++) {
        try { kernel.fixedBase(BASE, scalars); outcomes.push('done'); }
        catch (error) { outcomes.push(error.message); }
      }
      parentPort.postMessage({ outcomes, started: pool.started });`)) as {
      outcomes: string[];
      started: boolean;
    };
    expect(found.outcomes).to.have.length(2);
    for (const outcome of found.outcomes) expect(outcome).to.match(/^a kernel thread has ended/);
    expect(found.started).to.equal(false);
  });
});
