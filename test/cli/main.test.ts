import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { VERSION } from '../../lib/version.ts';
import { command } from '../support/command.ts';

describe('the command line', () => {
  it('given no arguments, or --help, when it runs, then it says how it is used', async () => {
    const nothing = await command();
    expect([nothing.code, nothing.out.includes('Usage: conclave')]).to.deep.equal([0, true]);
    const help = await command('--help');
    expect(help.code).to.equal(0);
    for (const name of [
      'demo',
      'init',
      'start',
      'peers',
      'verify',
      'ballots',
      'why',
      '--finish',
      '--reset-tally',
    ]) {
      expect(help.out).to.contain(name);
    }
  });

  for (const name of ['demo', 'init', 'start', 'peers', 'verify', 'ballots', 'why']) {
    it(`given ${name} --help, when it runs, then it says how that is used`, async () => {
      const { code, out } = await command(name, '--help');
      expect([code, out.includes(`Usage: conclave ${name}`)]).to.deep.equal([0, true]);
    });
  }

  it('given --version, when it runs, then it says it', async () => {
    expect(await command('--version')).to.deep.include({ code: 0, out: `${VERSION}\n` });
  });

  const mistakes: readonly (readonly [string, readonly string[], RegExp])[] = [
    ['a command that is none', ['strat'], /no command strat: did you mean start\?/],
    ['an option that is none', ['start', '--grce', '3'], /unknown option '--grce'[\s\S]*--grace/],
    ['two commands at once', ['--tasks', '--messages'], /one command at a time: --tasks, --messages/],
    ['a flag of the original beside a subcommand', ['start', '--tasks'], /--tasks does not go with start/],
    ['filters without a list', ['--filters', 'a=b'], /--filters goes with --tasks or --messages/],
    ['a limit that is no number', ['--tasks', '-n', 'many'], /whole number/],
    ['a limit of nothing', ['--tasks', '-n', '0'], /--limit must be at least 1/],
    ['a log level that is none', ['--tasks', '-ll', 'loud'], /debug, info, error/],
    [
      'settings that do not exist',
      ['--tasks', '--settings', '/nowhere/x.json'],
      /no file \/nowhere\/x.json.*conclave init/,
    ],
    ['a threshold above the authorities', ['demo', '--threshold', '5'], /--threshold must be from 1 to 3/],
    [
      'a key type that is none',
      ['init', '/nowhere', '--name', 'x', '--key-type', 'dsa'],
      /--key-type must be ecdsa or rsa/,
    ],
    ['a path that is nothing', ['verify', '/nowhere'], /there is nothing at \/nowhere/],
  ];
  for (const [what, args, expected] of mistakes) {
    it(`given ${what}, when it runs, then exit code 2 and what is wrong`, async () => {
      const { code, notes } = await command(...args);
      expect(notes).to.match(expected);
      expect(code).to.equal(2);
    });
  }

  it('given --json and a mistake, when it runs, then the error is an object', async () => {
    const { code, out } = await command('--json', 'verify', '/nowhere');
    expect([code, JSON.parse(out).error.code]).to.deep.equal([2, 'usage']);
  });

  it('given a reader that has seen enough, when a command goes on writing, then it ends as if all had been read', async () => {
    const launcher = fileURLToPath(new URL('../../bin/conclave.js', import.meta.url));
    const line = `"${process.execPath}" "${launcher}" completion fish | true; echo "\${PIPESTATUS[0]}"`;
    const { stdout, stderr } = await promisify(execFile)('bash', ['-c', line]);
    expect([stdout, stderr]).to.deep.equal(['0\n', '']);
  });
});
