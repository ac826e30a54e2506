/** A failing schedule, made short: its faults are left out one by one, as long as the same promise is still broken. */
import { describeFault } from './faults.ts';
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

const SHOWN = 5;

/** What broke, which faults suffice, and how to see it again. */
export function describeFailure(
  { seed, scenario, violations, faults }: Result,
  needed: readonly number[],
): string {
  return [
    `seed ${seed}, scenario ${scenario}: ${violations[0]!.invariant}`,
    ...violations.slice(0, SHOWN).map(({ invariant, detail }) => `  ${invariant}: ${detail}`),
    needed.length === 0 ? '  no fault is needed' : '  these faults suffice:',
    ...needed.map((place) => `  ${place}. ${describeFault(faults[place]!)}`),
    `  again: npm run simulate -- --seeds ${seed} --scenario ${scenario} --faults ${needed.join(',') || '""'} --trace`,
  ].join('\n');
}
