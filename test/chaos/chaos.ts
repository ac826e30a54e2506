/**
 * `npm run chaos -- --minutes M --seed S [--json] [--keep]`: three real nodes under random faults, with elections and a
 * stream of small trees; then everything is checked. Exit code 0 only if all invariants hold. See docs/chaos.md.
 */
import { parseArgs } from 'node:util';
import { experiment, type Summary } from './experiment.ts';

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    seed: { type: 'string' },
    pause: { type: 'string', default: '200' },
    json: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
  },
});
const seed = values.seed === undefined ? Math.floor(Math.random() * 1e9) : Number(values.seed);
const [minutes, treeMilliseconds] = [Number(values.minutes), Number(values.pause)];
if (!Number.isSafeInteger(seed) || seed < 0) stop(`--seed must be a whole number, not ${values.seed}`);
if (!(minutes > 0 && minutes <= 24 * 60)) stop(`--minutes must be a number, not ${values.minutes}`);
if (!(treeMilliseconds >= 10)) stop(`--pause must be 10 or more milliseconds, not ${values.pause}`);

const print = (line: string): void => void (values.json ? process.stderr : process.stdout).write(`${line}\n`);
print(`seed ${seed}, ${minutes} minutes of faults`);
const interrupted = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupted.abort());
const { signal } = interrupted;
const summary = await experiment({ seed, minutes, treeMilliseconds, print, keep: values.keep, signal });
if (values.json) process.stdout.write(`${JSON.stringify(summary, null, 2)}\n`);
else conclude(summary);
process.exitCode = summary.ok ? 0 : 1;
// Whoever is interrupted leaves loops behind that wait for what will not come.
if (interrupted.signal.aborted) process.exit();

function conclude({
  ok,
  faults,
  elections,
  trees,
  recovery,
  logs,
  violations,
  folder,
  seconds,
}: Summary): void {
  const inflicted = Object.entries(faults).map(([kind, times]) => `${kind} ${times}`);
  print('');
  print(`faults: ${inflicted.join(', ')}`);
  const count = (state: string): number => elections.filter((each) => each.state === state).length;
  print(`elections: ${count('tallied')} tallied, ${count('failed')} failed for a reason that was given`);
  print(`small trees: ${trees.asked} asked for; tasks in all: ${trees.tasks}`);
  const first = Object.values(recovery.firstProgress).map((each) => each ?? Number.POSITIVE_INFINITY);
  print(`first progress of every node after the last fault: ${Math.max(...first).toFixed(2)} s at most`);
  print(`everything at rest after ${recovery.rest?.toFixed(1) ?? '∞'} s; ${seconds} s in all`);
  for (const [name, { errors }] of Object.entries(logs))
    for (const [message, times] of Object.entries(errors))
      print(`log of ${name}, ${times} times: ${message}`);
  if (ok) {
    print('all invariants hold');
    return;
  }
  print('');
  for (const wrong of violations) print(`WRONG: ${wrong}`);
  print(`seed ${seed}; everything is in ${folder}`);
}

function stop(problem: string): never {
  process.stderr.write(`${problem}\n`);
  process.exit(2);
}
