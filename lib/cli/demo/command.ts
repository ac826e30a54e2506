/** `conclave demo`: its options, its account of what happened, and its end. */
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { GlobalOptions } from '../node-access.ts';
import { EXIT, type ExitCode, UsageError } from '../outcome.ts';
import { printResults } from '../results-text.ts';
import { signalled } from '../start.ts';
import type { Terminal } from '../terminal.ts';
import { Account } from './account.ts';
import { Demo, type DemoReport } from './demo.ts';

interface DemoCommandOptions extends GlobalOptions {
  authorities: number;
  threshold: number;
  ballots: number;
  questions: number;
  manual?: boolean;
  keep?: boolean;
  folder?: string;
}

const MOST_AUTHORITIES = 9;
const MOST_BALLOTS = 100_000;
const MOST_QUESTIONS = 15;

export function addDemo(
  program: Command,
  terminal: Terminal,
  whole: (text: string) => number,
  ended: (code: ExitCode) => void,
): void {
  program
    .command('demo')
    .description('authorities on this machine run an election, from its creation to the verified result')
    .option('--authorities <n>', 'how many', whole, 3)
    .option('--threshold <t>', 'how many of them must agree to decrypt', whole, 2)
    .option('--ballots <number>', 'how many voters', whole, 100)
    .option('--questions <number>', 'how many questions', whole, 2)
    .option('--manual', 'you approve the requests, in another terminal')
    .option('--keep', 'leave the nodes running until Ctrl-C')
    .option('--folder <folder>', 'where everything goes; must not exist (default: ./conclave-demo…)')
    .action(async (_: unknown, command: Command) => {
      const options = command.optsWithGlobals<DemoCommandOptions>();
      checkNumbers(options);
      const folder = await freshFolder(options.folder);
      ended(await runDemo({ ...options, folder }, terminal));
    });
}

function checkNumbers({ authorities, threshold, ballots, questions }: DemoCommandOptions): void {
  const refuse = (option: string, from: number, to: number): never => {
    throw new UsageError(`--${option} must be from ${from} to ${to}`);
  };
  if (authorities < 2 || authorities > MOST_AUTHORITIES) refuse('authorities', 2, MOST_AUTHORITIES);
  if (threshold < 1 || threshold > authorities) refuse('threshold', 1, authorities);
  if (ballots < 1 || ballots > MOST_BALLOTS) refuse('ballots', 1, MOST_BALLOTS);
  if (questions < 1 || questions > MOST_QUESTIONS) refuse('questions', 1, MOST_QUESTIONS);
}

async function freshFolder(given: string | undefined): Promise<string> {
  const exists = async (folder: string): Promise<boolean> => (await stat(folder).catch(() => null)) !== null;
  if (given !== undefined) {
    if (await exists(given)) throw new UsageError(`--folder: ${given} exists already`);
    return resolve(given);
  }
  for (let number = 1; ; number += 1) {
    const folder = resolve(number === 1 ? 'conclave-demo' : `conclave-demo-${number}`);
    if (!(await exists(folder))) return folder;
  }
}

async function runDemo(
  options: DemoCommandOptions & { folder: string },
  terminal: Terminal,
): Promise<ExitCode> {
  const json = options.json === true;
  const account = new Account(terminal, json);
  const interrupted = new AbortController();
  const stop = signalled();
  void stop.requested.then(() => interrupted.abort(new Error('interrupted')));
  const demo = new Demo(
    { ...options, manual: options.manual === true },
    account,
    terminal,
    interrupted.signal,
  );
  try {
    const report = await demo.run();
    account.end();
    if (!json) tell(report, options, terminal);
    if (options.keep) {
      account.line('The nodes go on running. Stop them with Ctrl-C.');
      await stop.requested;
    }
    await demo.stop();
    if (json) terminal.out(JSON.stringify(report, null, 2));
    return EXIT.ok;
  } catch (thrown) {
    account.end();
    await demo.stop();
    if (!interrupted.signal.aborted) throw thrown;
    terminal.note('Interrupted; the nodes were stopped.');
    return EXIT.failure;
  }
}

function tell(
  { results, tally, nodes, seconds }: DemoReport,
  { folder, keep }: DemoCommandOptions,
  terminal: Terminal,
): void {
  terminal.out('');
  printResults(results, terminal);
  terminal.out('');
  terminal.out(`The published tally:  ${tally.path}`);
  terminal.out(`  unpacked:           ${tally.folder}`);
  terminal.out(`  SHA-256:            ${tally.sha256}`);
  terminal.out('');
  terminal.out('Look yourself:');
  terminal.out(`  npx conclave verify ${tally.path}`);
  const [first] = nodes;
  terminal.out(`  npx conclave --settings ${first!.settings} --tasks`);
  terminal.out(`  npx conclave --settings ${first!.settings} --messages`);
  terminal.out(`  npx conclave peers list --settings ${first!.settings}`);
  if (!keep) terminal.out(`  npx conclave start --settings ${first!.settings}     (the nodes were stopped)`);
  terminal.out(`  rm -r ${folder}     (when you have seen enough)`);
  const times = Object.entries(seconds).map(([step, time]) => `${step} ${time.toFixed(1)}`);
  terminal.out('');
  terminal.out(`Seconds: ${times.join(', ')}`);
}
