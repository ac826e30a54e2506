/*
 * A federation with an original, as recorded: a thousand random schedules of its faults and of the network's, in virtual
 * time. It never retries, repeats updates and sends them late and out of order, answers 500 to a message that it has seen,
 * and orders synchronized starts early and twice (`test/simulation/original.ts`).
 */
import { randomInt } from 'node:crypto';
import { expect } from 'chai';
import { SCENARIOS } from '../simulation/scenarios.ts';
import { outsidePromises, simulate } from '../simulation/simulation.ts';

const SCHEDULES = 1000;
const AT_A_TIME = 25;

describe('in one federation with an original (D20)', () => {
  it(`given ${SCHEDULES} schedules of its faults, when tasks of all types go both ways, then every promise holds`, async function () {
    this.timeout(60_000);
    const scenario = SCENARIOS.find(({ name }) => name === 'original')!;
    const first = randomInt(2 ** 40);
    for (let seed = first; seed < first + SCHEDULES; seed += AT_A_TIME) {
      const violations = await outsidePromises(() =>
        Array.from({ length: AT_A_TIME }, (_, index) => simulate(scenario, seed + index)).flatMap(
          (result, index) =>
            result.violations.map((violation) => `seed ${seed + index}: ${JSON.stringify(violation)}`),
        ),
      );
      expect(violations).to.deep.equal([]);
    }
  });
});
