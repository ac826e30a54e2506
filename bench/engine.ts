/*
 * What the engine does in a second, between real nodes on durable databases:
 *
 *     npm run bench:engine -- [--scenario NAME] [--seconds S] [--json] [--database URL] [--profiles FOLDER]
 *
 * Without --scenario all run, one after the other, each with nodes and databases of its own. With --json one object a
 * line: `{"scenario","tasks_per_second","p50_ms","p99_ms","cpu_us_per_task","baseline_commits_per_second","ratio", …}`.
 * `ratio` is that to `baseline`, the single-row durable commits a second of the first node's PostgreSQL through `pg`, taken
 * in the same run. --database: a PostgreSQL server by URL in place of embedded ones (each node gets a database of its own).
 * --profiles: where the nodes leave their CPU profiles.
 */
import { parseArgs } from 'node:util';
import { runScenario } from './engine/harness.ts';
import { describe, figuresOf } from './engine/measurement.ts';
import { SCENARIOS } from './engine/scenarios.ts';

function optionsOf(args: readonly string[]) {
  const { values } = parseArgs({
    args: [...args],
    options: {
      scenario: { type: 'string' },
      seconds: { type: 'string', default: '10' },
      json: { type: 'boolean', default: false },
      database: { type: 'string' },
      profiles: { type: 'string' },
    },
  });
  const seconds = Number(values.seconds);
  if (!(seconds > 0 && seconds <= 3600)) throw new Error('--seconds must be a number from 0 to 3600');
  const chosen = SCENARIOS.filter(({ name }) => values.scenario === undefined || name === values.scenario);
  if (chosen.length === 0) {
    const names = SCENARIOS.map(({ name }) => name).join(', ');
    throw new Error(`--scenario must be one of: ${names}`);
  }
  const { json, database = null, profiles = null } = values;
  return { chosen, json, seconds, database, profiles };
}

const { chosen, json, ...options } = optionsOf(process.argv.slice(2));
for (const scenario of chosen) {
  if (!json) process.stderr.write(`${scenario.name}: ${scenario.about}\n`);
  const figures = figuresOf(scenario.name, await runScenario(scenario, options));
  process.stdout.write(json ? `${JSON.stringify(figures)}\n` : describe(figures));
}
