import { expect } from 'chai';
import { experiment } from './experiment.ts';

/** How long faults go on; longer on demand. */
const MINUTES = Number(process.env.CHAOS_MINUTES ?? 0.15);
const SEED = Number(process.env.CHAOS_SEED ?? Date.now() % 1_000_000_000);

describe('chaos: real nodes, real databases, real faults', function () {
  this.timeout(MINUTES * 60_000 + 300_000);

  it(`given faults by seed ${SEED} for ${MINUTES} minutes, when they are over, then nothing is lost, nothing twice, nothing stuck`, async () => {
    const account: string[] = [];
    const summary = await experiment({
      seed: SEED,
      minutes: MINUTES,
      treeMilliseconds: 200,
      print: (line) => account.push(line),
      keep: false,
    });
    const told = `seed ${SEED}, everything is in ${summary.folder}\n${account.join('\n')}`;
    expect(summary.violations, told).to.deep.equal([]);
    expect(summary.trees.created, told).to.be.greaterThan(0);
    expect(summary.elections.length, told).to.be.greaterThan(0);
  });
});
