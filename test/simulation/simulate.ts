/**
 * `npm run simulate -- --seeds FROM..TO [--scenario NAME] [--faults 0,3,…] [--trace] [--json]`: runs schedules, and
 * prints those that break a promise, shortened. See docs/simulation.md.
 */
import { parseArgs } from 'node:util';
import { SCENARIOS } from './scenarios.ts';
import { describeFailure, shorten } from './shortening.ts';
import { outsidePromises, type Result, type Scenario, simulate } from './simulation.ts';

interface Failed {
  result: Result;
  /** Places of the faults that suffice. */
  needed: readonly number[];
}

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1..1000' },
    scenario: { type: 'string' },
    faults: { type: 'string' },
    trace: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    most: { type: 'string', default: '5' },
  },
});

const range = /^(\d+)(?:\.\.(\d+))?$/.exec(values.seeds);
if (range === null) stop(`--seeds must be a number or FROM..TO, not ${values.seeds}`);
const from = Number(range[1]);
const to = Number(range[2] ?? range[1]);
const chosen = SCENARIOS.filter(({ name }) => values.scenario === undefined || name === values.scenario);
if (chosen.length === 0) {
  const names = SCENARIOS.map(({ name }) => name).join(', ');
  stop(`there is no scenario ${values.scenario}; there are: ${names}`);
}
const only = values.faults?.split(',').filter(Boolean).map(Number);

const failed: Failed[] = [];
const started = process.hrtime.bigint();
const totals = { schedules: 0, events: 0, milliseconds: 0 };
for (let seed = from; seed <= to && failed.length < Number(values.most); seed += 50)
  await outsidePromises(() => {
    for (let next = seed; next <= Math.min(seed + 49, to); next += 1) runSeed(next);
  });
const seconds = Number(process.hrtime.bigint() - started) / 1e9;
report();
process.exitCode = failed.length === 0 ? 0 : 1;

/** Every seed has one scenario: they take turns. */
function runSeed(seed: number): void {
  if (failed.length >= Number(values.most)) return;
  const scenario = chosen[seed % chosen.length]!;
  const result = simulate(scenario, seed, {
    ...(only === undefined ? {} : { only }),
    ...(values.trace ? { trace: (line: string) => process.stdout.write(`${line}\n`) } : {}),
  });
  totals.schedules += 1;
  totals.events += result.events;
  totals.milliseconds += result.milliseconds;
  if (result.violations.length > 0) note(scenario, result);
}

function note(scenario: Scenario, result: Result): void {
  const needed = only ?? shorten(scenario, result);
  failed.push({ result, needed });
  if (values.json) return;
  process.stdout.write(`${describeFailure(result, needed)}\n`);
}

function report(): void {
  const perSecond = Math.round(totals.schedules / seconds);
  const figures = { ...totals, seconds, perSecond, failed: failed.length };
  if (values.json) {
    const failures = failed.map(({ result, needed }) => ({
      seed: result.seed,
      scenario: result.scenario,
      violations: result.violations,
      faults: needed.map((place) => ({ place, ...result.faults[place] })),
    }));
    process.stdout.write(`${JSON.stringify({ ...figures, failures })}\n`);
    return;
  }
  process.stdout.write(
    `${totals.schedules} schedules in ${seconds.toFixed(1)} s (${perSecond} a second, ${totals.events} events, ` +
      `${Math.round(totals.milliseconds / 1000)} s of virtual time): ${failed.length} failed\n`,
  );
}

function stop(reason: string): never {
  process.stderr.write(`${reason}\n`);
  process.exit(2);
}
