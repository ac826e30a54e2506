/** Leaves out the faults of a failing schedule one by one, as long as the same promise is still broken. */
import { type Result, type Scenario, simulate } from './simulation.ts';

/** @returns the places of the faults that suffice */
export function shorten(scenario: Scenario, result: Result): number[] {
  const { invariant } = result.violations[0]!;
  let needed = result.faults.map((_, place) => place);
  for (let shorter = true; shorter; ) {
    shorter = false;
    for (const place of needed) {
      const fewer = needed.filter((other) => other !== place);
      const { violations } = simulate(scenario, result.seed, { only: fewer });
      if (violations[0]?.invariant !== invariant) continue;
      needed = fewer;
      shorter = true;
    }
  }
  return needed;
}
