/*
 * Longer fuzzing: `npm run fuzz -- --minutes M [--seed S] [--target NAME] [--path P]`. Takes the targets in turn with
 * fresh seeds, each round in a process of its own, so that a parser that hangs or eats memory is found too.
 */
import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import fc from 'fast-check';
import { fuzz } from './target.ts';
import { targets } from './targets.ts';

const ROUND_MILLISECONDS = 5000;
const HANGS_AFTER_MILLISECONDS = 90_000;
const HEAP_MEGABYTES = 512;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '1' },
    seed: { type: 'string' },
    target: { type: 'string' },
    path: { type: 'string' },
    round: { type: 'boolean', default: false },
  },
});
const chosen = targets.filter(({ name }) => values.target === undefined || name === values.target);
if (chosen.length === 0)
  throw new Error(`no target ${values.target}; there are: ${targets.map(({ name }) => name).join(', ')}`);

if (values.round) await round();
else if (values.path !== undefined) await again(values.path);
else process.exitCode = await rounds(Number(values.minutes));

async function round(): Promise<void> {
  const tried = await fuzz(chosen[0]!, {
    seed: Number(values.seed),
    runs: 1_000_000_000,
    milliseconds: ROUND_MILLISECONDS,
  });
  process.stdout.write(`${tried}\n`);
}

/** Repeats one input, which fails in the open. */
async function again(path: string): Promise<void> {
  const [target] = chosen;
  await fc.assert(
    fc.asyncProperty(target!.inputs, async (input) => {
      await Promise.resolve(target!.run(input)).catch((thrown: unknown) => {
        if (!target!.refuses(thrown)) throw thrown;
      });
    }),
    { seed: Number(values.seed), path, endOnFailure: true },
  );
}

async function rounds(minutes: number): Promise<number> {
  if (!(minutes > 0)) throw new Error('--minutes must be a positive number');
  const end = Date.now() + minutes * 60_000;
  let [tried, failed] = [0, 0];
  for (let turn = 0; Date.now() < end; turn += 1) {
    const target = chosen[turn % chosen.length]!;
    const seed = values.seed === undefined || turn > 0 ? randomInt(2 ** 31) : Number(values.seed);
    const { count, problem } = await inProcess(target.name, seed);
    tried += count;
    if (problem === undefined) continue;
    failed += 1;
    process.stdout.write(`FAILED ${target.name}, seed ${seed}:\n${problem}\n`);
  }
  process.stdout.write(`${tried} inputs, ${failed} failures\n`);
  return failed === 0 ? 0 : 1;
}

function inProcess(name: string, seed: number): Promise<{ count: number; problem?: string }> {
  const script = fileURLToPath(import.meta.url);
  const heap = `--max-old-space-size=${HEAP_MEGABYTES}`;
  const child = spawn(process.execPath, [heap, script, '--round', '--target', name, '--seed', String(seed)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const said = { out: '', err: '' };
  child.stdout.on('data', (piece) => (said.out += String(piece)));
  child.stderr.on('data', (piece) => (said.err += String(piece)));
  const hangs = setTimeout(() => child.kill('SIGKILL'), HANGS_AFTER_MILLISECONDS);
  return new Promise((resolve) => {
    child.once('close', (code, signal) => {
      clearTimeout(hangs);
      const ended = signal === 'SIGKILL' ? `it hung for ${HANGS_AFTER_MILLISECONDS} ms\n` : '';
      if (code === 0) resolve({ count: Number(said.out) });
      else resolve({ count: 0, problem: `${ended}${said.err.slice(0, 8000)}` });
    });
  });
}
