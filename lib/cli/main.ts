/**
 * The command line: reads arguments, runs one command, answers with an exit code. The original's flags are options of
 * the program itself (FQ-C1…C14, EO-52); what it never had are subcommands.
 */
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { suggestion } from '../suggestion.ts';
import { VERSION } from '../version.ts';
import { addApprovals } from './approvals.ts';
import { addBallots } from './ballots.ts';
import { addCompletion } from './completion.ts';
import { addConsole } from './console.ts';
import { addDemo } from './demo/command.ts';
import { addDoctor } from './doctor.ts';
import { addElections } from './elections.ts';
import { addEvidence } from './evidence.ts';
import { addInit } from './init.ts';
import { addLog } from './log.ts';
import { addMessages } from './messages.ts';
import { addOriginalFlags, givenFlags, runOriginalFlags, spelt } from './original-flags.ts';
import { EXIT, type ExitCode, report, UsageError } from './outcome.ts';
import { addPeers } from './peers.ts';
import { addPrune } from './prune.ts';
import { addStart } from './start.ts';
import { addTasks } from './tasks.ts';
import { processTerminal, type Terminal } from './terminal.ts';
import { addVerify } from './verify.ts';
import { addWhy } from './why.ts';

/**
 * @param args without the program's own name
 * @returns the exit code: 0, 1 (failure), 2 (usage)
 */
export async function main(
  args: readonly string[],
  terminal: Terminal = processTerminal(),
): Promise<ExitCode> {
  const outcome: { code: ExitCode } = { code: EXIT.ok };
  // The original's spelling, which no option parser knows (FQ-C12).
  const spelt = args.map((argument) => (argument === '-ll' ? '--log-level' : argument));
  const program = buildProgram(terminal, (code) => {
    outcome.code = code;
  });
  try {
    await program.parseAsync(spelt, { from: 'user' });
    return outcome.code;
  } catch (thrown) {
    // Commander has said what is wrong, or has shown the help that was asked for.
    if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? EXIT.ok : EXIT.usage;
    return report(thrown, terminal, spelt.includes('--json'));
  }
}

/** All commands. */
export function buildProgram(terminal: Terminal, ended: (code: ExitCode) => void): Command {
  const program = new Command('conclave')
    .description('Independent authorities run an election together: one node of them.')
    .version(VERSION)
    .exitOverride()
    .showHelpAfterError('(conclave --help says more)')
    .configureHelp({ showGlobalOptions: false, sortSubcommands: false })
    .configureOutput({
      writeOut: (text) => terminal.out(text.replace(/\n$/, '')),
      writeErr: (text) => terminal.note(text.replace(/\n$/, '')),
    })
    .allowExcessArguments()
    .option(
      '--settings <file>',
      'settings of the node (else CONCLAVE_SETTINGS, FRESTQ_SETTINGS, ./conclave.json)',
    )
    .option('--json', 'print JSON')
    .addOption(
      new Option('--log-level <level>', 'how much is logged; also -ll').choices(['debug', 'info', 'error']),
    );
  addOriginalFlags(program, whole);
  addDemo(program, terminal, whole, ended);
  addInit(program, terminal, whole);
  addStart(program, terminal, whole, ended);
  addPeers(program, terminal, ended);
  addApprovals(program, terminal);
  addElections(program, terminal, whole);
  addTasks(program, terminal, whole);
  addWhy(program, terminal);
  addMessages(program, terminal, whole);
  addConsole(program, terminal);
  addDoctor(program, terminal, ended);
  addVerify(program, terminal, ended);
  addLog(program, terminal, whole, ended);
  addEvidence(program, terminal, ended);
  addBallots(program, terminal, whole);
  addPrune(program, terminal, whole);
  addCompletion(program, terminal);
  program.action(async () => {
    const [unknown] = program.args;
    if (unknown !== undefined) {
      const names = program.commands.map((command) => command.name());
      throw new UsageError(`there is no command ${unknown}${suggestion(unknown, names)}`);
    }
    if (!(await runOriginalFlags(program.opts(), terminal))) terminal.out(program.helpInformation());
  });
  program.hook('preAction', (_program, command) => {
    // Commander gives the program what a command has under the same name.
    const own = new Set(command.options.map((option) => option.attributeName()));
    const [flag] = command === program ? [] : givenFlags(program.opts()).filter((name) => !own.has(name));
    if (flag !== undefined) throw new UsageError(`${spelt(flag)} does not go with ${command.name()}`);
  });
  return program;
}

/** A whole number of an option. */
export function whole(text: string): number {
  const value = Number(text);
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('It must be a whole number.');
  return value;
}
