import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';

const bench = resolve(import.meta.dirname, '../../bench/mix-net.ts');
const run = (...args: string[]) => promisify(execFile)(process.execPath, [bench, ...args]);

describe('npm run bench:mixnet', () => {
  it('given a small session and --json, when run, then it prints one object of the documented form', async function () {
    this.timeout(60_000);
    const { stdout } = await run('--n', '10', '--group', 'p256', '--workers', '2', '--json');
    const results = JSON.parse(stdout) as Record<string, unknown> & { steps: Record<string, unknown> };
    expect(Object.keys(results)).to.deep.equal([
      'n',
      'group',
      'workers',
      'steps',
      'ecdh_us',
      'peak_rss_bytes',
    ]);
    expect([results.n, results.group, results.workers]).to.deep.equal([10, 'p256', 2]);
    expect(Object.keys(results.steps)).to.deep.equal(['shuffle', 'prove', 'decrypt', 'verify']);
    for (const cost of Object.values(results.steps)) {
      const { cpu_us, wall_us } = cost as { cpu_us: number; wall_us: number };
      expect(Math.min(cpu_us, wall_us)).to.be.greaterThan(0);
    }
    expect(results.ecdh_us).to.be.greaterThan(0);
    expect(results.peak_rss_bytes).to.be.greaterThan(2 ** 20);
  });

  it('given two numbers of workers, when run, then one process measures both and says what the second gains', async function () {
    this.timeout(60_000);
    const { stdout } = await run('--n', '10', '--workers', '1,2', '--json');
    const { runs, speedups } = JSON.parse(stdout) as {
      runs: { workers: number; steps: Record<string, { wall_us: number; serial?: number }> }[];
      speedups: { workers: number; over: number; steps: Record<string, number> }[];
    };
    expect(runs.map(({ workers }) => workers)).to.deep.equal([1, 2]);
    const [one, two] = runs.map(({ steps }) => steps);
    expect(speedups.map(({ workers, over }) => [workers, over])).to.deep.equal([[2, 1]]);
    for (const step of ['shuffle', 'prove', 'decrypt', 'verify']) {
      expect(speedups[0]!.steps[step]).to.be.closeTo(one![step]!.wall_us / two![step]!.wall_us, 1e-9);
      expect(one![step]).not.to.have.property('serial');
      expect(two![step]!.serial ?? 0).to.be.within(0, 1);
    }
  });

  it('given options that make no sense, when run, then it says how it is used', async () => {
    const outcome = await run('--n', 'many').catch((error: { stderr: string }) => error);
    expect(outcome.stderr).to.match(/usage: npm run bench:mixnet/);
  });
});
