/* The demonstration while its nodes are killed: `kill -9`, a random node, at a random moment of creation and of tally. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { chmod, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { expect } from 'chai';
import { LAUNCHER } from '../support/node-folders.ts';

const SIZES = ['--authorities', '3', '--threshold', '2', '--ballots', '6', '--questions', '1'];

describe('conclave demo, while nodes are killed', function () {
  this.timeout(150_000);
  let folder: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'conclave-killed-test-'));
    // Where root runs the tests, the databases' account must reach them.
    await chmod(folder, 0o755);
  });
  after(() => rm(folder, { recursive: true, force: true }));

  it('given a node killed during creation and one during tally, then it ends with the same valid archive everywhere', async () => {
    const home = join(folder, 'demo');
    const child = spawn(process.execPath, [LAUNCHER, 'demo', '--folder', home, ...SIZES], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const said: string[] = [];
    const killed: string[] = [];
    // So many lines after the request the next kill comes: each line is a step of an authority.
    const plan = [
      { after: 'POST /public_api/election', lines: randomInt(1, 8) },
      { after: 'POST /public_api/tally', lines: randomInt(1, 6) },
    ];
    for await (const line of createInterface({ input: child.stdout! })) {
      said.push(line);
      const next = plan.find(({ after }) => said.some((earlier) => earlier.includes(after)));
      if (next === undefined) continue;
      next.lines -= 1;
      if (next.lines > 0) continue;
      plan.splice(plan.indexOf(next), 1);
      const name = `auth${randomInt(1, 4)}`;
      killed.push(`${name} after "${line.trim()}"`);
      process.kill(await nodeProcess(join(home, name)), 'SIGKILL');
    }
    const account = `killed ${killed.join(', ')}\n${said.join('\n')}`;
    expect(await exitCode(child), account).to.equal(0);
    expect(killed, account).to.have.length(2);
    const output = said.join('\n');
    expect(output).to.contain('all 3 authorities have published the same archive, bit for bit');
    for (const name of ['Auth1', 'Auth2', 'Auth3'])
      expect(output, account).to.match(new RegExp(`${name}: conclave verify says valid`));
  });
});

async function exitCode(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null) return child.exitCode;
  return new Promise((resolve) => child.once('exit', resolve));
}

/** The process that runs `conclave start` with the settings of a folder. */
async function nodeProcess(home: string): Promise<number> {
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const words = (await readFile(`/proc/${entry}/cmdline`, 'utf8').catch(() => '')).split('\0');
    if (words.includes('start') && words.some((word) => word.startsWith(`${home}/`))) return Number(entry);
  }
  throw new Error(`no node runs from ${home}`);
}
