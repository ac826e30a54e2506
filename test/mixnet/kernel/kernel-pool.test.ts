import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { expect } from 'chai';
import { KernelPool } from '../../../lib/mixnet/kernel/kernel-pool.ts';

/** Runs the scenario in a worker and waits until that worker has ended by itself. */
async function run(scenario: string): Promise<Record<string, unknown>> {
  const worker = new Worker(new URL('./pool-coordinator.ts', import.meta.url), { workerData: { scenario } });
  const messages: Record<string, unknown>[] = [];
  worker.on('message', (message) => messages.push(message as Record<string, unknown>));
  const [code] = await once(worker, 'exit');
  expect(code, 'the coordinating thread ends without an error').to.equal(0);
  return messages[0]!;
}

describe('kernel pool', () => {
  it('given 1, 2 and 3 threads, has the results of one, and ends when it is closed', async () => {
    const outcomes = (await run('compare:1,2,3')) as unknown as Record<string, unknown>[];
    expect(outcomes).to.have.length(3);
    for (const outcome of outcomes) {
      expect(Object.entries(outcome).filter(([, same]) => same !== true)).to.deep.equal([]);
      expect(outcome).to.have.property('power', true);
    }
  });

  it('given two threads and a group modulo a prime, has the results of one', async () => {
    const outcome = await run('compareModp:2');
    expect(Object.entries(outcome).filter(([, same]) => same !== true)).to.deep.equal([]);
    expect(outcome).to.have.property('power', true);
  });

  for (const way of ['exit', 'throw']) {
    it(`given helpers that end in a job (${way}), fails the job and refuses the next`, async () => {
      const outcome = await run(`fail:${way}`);
      expect(outcome.error).to.contain('a kernel thread has ended');
      expect(outcome.again).to.contain('closed');
    });
  }

  it('given helpers that do not start, fails at once', async () => {
    expect((await run('fail:at-start')).error).to.contain('a kernel thread has ended');
  });

  it('given helpers that hang, fails after the time given', async () => {
    expect((await run('fail:hang')).error).to.contain('does not answer');
  });

  it('given a unit that throws, fails the job and does the next', async () => {
    const outcome = await run('throw');
    expect(outcome.error).to.not.equal('');
    expect(outcome.again).to.equal('');
  });

  it('given the main thread, refuses to be made', () => {
    expect(() => new KernelPool({ threads: 2 })).to.throw('worker thread');
  });
});
