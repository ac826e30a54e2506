import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect } from 'chai';
import { isDeadWorker, workerName } from '../../lib/node/identity.ts';

describe("workers' names", () => {
  it('given this process, when it is asked whether it is dead, then it is not', () => {
    expect(isDeadWorker(workerName())).to.equal(false);
  });

  it('given a process of this machine that has ended, when it is asked for, then it is dead', async () => {
    const child = spawn(process.execPath, ['-e', '']);
    await once(child, 'exit');
    expect(isDeadWorker(workerName().replace(`:${process.pid}:`, `:${child.pid}:`))).to.equal(true);
  });

  it('given its process id in use by another process, when it is asked for, then it is dead', () => {
    expect(isDeadWorker(workerName().replace(/:\d+$/, ':1'))).to.equal(true);
  });

  it('given a process of another machine, or a name that says nothing, when it is asked for, then nobody knows', () => {
    expect(isDeadWorker('elsewhere:1:1')).to.equal(false);
    expect(isDeadWorker('a worker')).to.equal(false);
  });
});
