/** The simulation as part of the suite: fresh seeds, the seeds that found something, and whether it would find anything. */
import { randomInt } from 'node:crypto';
import { expect } from 'chai';
import { loadMutant, MUTATIONS, type Mutation, REVERSIONS } from './mutations.ts';
import { REGRESSIONS } from './regressions.ts';
import { SCENARIOS } from './scenarios.ts';
import { describeFailure, shorten } from './shortening.ts';
import { outsidePromises, type Result, type Scenario, simulate } from './simulation.ts';

const FRESH_SEEDS = process.env.CI === 'true' ? 20_000 : 1500;
/** How many seeds a mutant may live. */
const BOUND = 1000;
const AT_A_TIME = 25;

function scenarioNamed(name: string): Scenario {
  const found = SCENARIOS.find((scenario) => scenario.name === name);
  if (found === undefined) throw new Error(`there is no scenario ${name}`);
  return found;
}

async function firstFailure(
  run: typeof simulate,
  scenarios: readonly Scenario[],
  from: number,
  count: number,
): Promise<Result | undefined> {
  for (let seed = from; seed < from + count; seed += AT_A_TIME) {
    const failed = await outsidePromises(() => {
      for (let next = seed; next < Math.min(seed + AT_A_TIME, from + count); next += 1) {
        const result = run(scenarios[next % scenarios.length]!, next);
        if (result.violations.length > 0) return result;
      }
      return undefined;
    });
    if (failed !== undefined) return failed;
  }
  return undefined;
}

describe('simulation (D60)', () => {
  it(`given ${FRESH_SEEDS} fresh seeds, when their schedules run, then every promise holds`, async function () {
    this.timeout(FRESH_SEEDS * 20 + 60_000);
    const failed = await firstFailure(simulate, SCENARIOS, randomInt(2 ** 40), FRESH_SEEDS);
    if (failed === undefined) return;
    const needed = await outsidePromises(() => shorten(scenarioNamed(failed.scenario), failed));
    expect.fail(describeFailure(failed, needed));
  });

  it('given a seed, when its schedule runs again, then the same is committed at the same times', async () => {
    const run = () =>
      outsidePromises(() =>
        SCENARIOS.map((scenario, index) => {
          const { fingerprint, events, milliseconds } = simulate(scenario, 1000 + index);
          return { fingerprint, events, milliseconds };
        }),
      );
    const once = await run();
    expect(await run()).to.deep.equal(once);
    expect(new Set(once.map(({ fingerprint }) => fingerprint)).size).to.equal(SCENARIOS.length);
  });

  describe('seeds that found a defect', () => {
    for (const { scenario, seed, found, reversion } of REGRESSIONS) {
      it(`${scenario} ${seed}: ${found}`, async function () {
        this.timeout(20_000);
        const result = await outsidePromises(() => simulate(scenarioNamed(scenario), seed));
        expect(result.violations).to.deep.equal([]);
        const mutation = REVERSIONS.find(({ name }) => name === reversion)!;
        const { simulate: run } = await loadMutant(mutation);
        const reverted = await outsidePromises(() => run(scenarioNamed(scenario), seed));
        expect(reverted.violations, 'with the defect put back').to.not.deep.equal([]);
      });
    }
  });

  describe('guards, taken out one by one', () => {
    for (const mutation of MUTATIONS) {
      it(`given no ${mutation.name}, when seeds run, then it is missed within ${BOUND} of them`, async function () {
        this.timeout(60_000);
        expect(await survival(mutation), 'seeds survived').to.be.below(BOUND);
      });
    }
  });
});

/** After how many seeds the mutant is found out. */
async function survival(mutation: Mutation): Promise<number> {
  const { simulate: run } = await loadMutant(mutation);
  const scenarios = mutation.scenarios.map(scenarioNamed);
  const failed = await firstFailure(run, scenarios, 1, BOUND);
  return failed?.seed ?? Number.POSITIVE_INFINITY;
}
