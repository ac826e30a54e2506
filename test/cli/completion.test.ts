import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { command } from '../support/command.ts';

const run = promisify(execFile);

describe('conclave completion', () => {
  /** What bash itself offers behind a line. */
  async function offered(...words: string[]): Promise<string[]> {
    const { out } = await command('completion', 'bash');
    const line = ['conclave', ...words].map((word) => `'${word}'`).join(' ');
    const script = `${out}\nCOMP_WORDS=(${line}); COMP_CWORD=${words.length}; _conclave; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout } = await run('bash', ['-c', script]);
    return stdout.split('\n').filter((word) => word !== '');
  }

  it('given the beginning of a command, when bash is asked, then it completes it', async () => {
    expect(await offered('appr')).to.have.members(['approvals', 'approve']);
    expect(await offered('--tre')).to.deep.equal(['--tree']);
  });

  it('given a command, when bash is asked, then it offers its subcommands and options', async () => {
    expect(await offered('peers', 'ex')).to.deep.equal(['export']);
    expect(await offered('approve', '12ab', '--h')).to.have.members(['--hash', '--help']);
  });

  it('given another shell, when a script is asked for, then there is one, or it says for which there is', async () => {
    expect((await command('completion', 'zsh')).out).to.contain('bashcompinit');
    expect((await command('completion', 'fish')).out).to.match(/complete -c conclave .* -a approve -d '/);
    const { code, notes } = await command('completion', 'csh');
    expect([code, notes]).to.satisfy(([c, n]: [number, string]) => c === 2 && n.includes('bash, zsh, fish'));
  });
});
