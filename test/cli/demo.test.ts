/* The demonstration as a real process, and everything that can be done with what it leaves: one run for all of it. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, cp, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import type { DemoReport } from '../../lib/cli/demo/demo.ts';
import { command, type Ran } from '../support/command.ts';
import { LAUNCHER } from '../support/node-folders.ts';
import { until } from '../support/nodes.ts';

const run = promisify(execFile);

describe('conclave demo, and verify', function () {
  this.timeout(120_000);
  let folder: string;
  let report: DemoReport;
  let output: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'conclave-demo-test-'));
    // Where root runs the tests, the databases' account must reach them.
    await chmod(folder, 0o755);
    const sizes = ['--authorities', '2', '--threshold', '2', '--ballots', '6', '--questions', '1'];
    const { stdout } = await run(process.execPath, [
      LAUNCHER,
      'demo',
      '--json',
      '--folder',
      join(folder, 'demo'),
      ...sizes,
    ]);
    output = stdout;
    report = JSON.parse(stdout);
  });
  after(() => rm(folder, { recursive: true, force: true }));

  it('given --json, when it has ended, then one object on standard output, whose paths exist', async () => {
    expect(output.trimStart()).to.match(/^\{/);
    expect(report.nodes.map(({ name }) => name)).to.deep.equal(['Auth1', 'Auth2']);
    const paths = [
      report.tally.path,
      report.tally.folder,
      ...report.nodes.flatMap(({ folder: at, settings }) => [at, settings]),
      ...report.sessions.flatMap(({ protInfo, proofs, ciphertexts }) => [protInfo, proofs, ciphertexts]),
    ];
    for (const path of paths) await stat(path);
    expect(Object.keys(report.seconds)).to.deep.equal(['start', 'create', 'ballots', 'tally', 'verify']);
  });

  it('given six voters, when it has ended, then six valid votes, and both archives the same', async () => {
    expect(report.sessions.map(({ valid, invalid }) => [valid, invalid])).to.deep.equal([[6, 0]]);
    const archives = report.nodes.map(({ folder: at }) => readFile(join(at, 'public/1/tally.tar.gz')));
    const [first, second] = await Promise.all(archives);
    expect(first!.equals(second!)).to.equal(true);
  });

  it('given the nodes that were stopped, when their tasks are asked for, then they are all there, and ended well', async () => {
    const { settings } = report.nodes[0]!;
    const { code, out } = await command(
      '--settings',
      settings,
      '--tasks',
      '--filters',
      'action=tally_election',
      '--json',
    );
    const [tally] = JSON.parse(out);
    expect([code, tally.status]).to.deep.equal([0, 'finished']);
  });

  it('given the archive, when it is verified, then every step is named, and the results are shown', async () => {
    const { code, out } = await command('verify', report.tally.path);
    expect(code).to.equal(0);
    expect(out).to.match(/ 1\. The archive is whole.* ok\n/);
    expect(out)
      .to.match(/Shuffle of party 1 \(§ \d+\) … ok/)
      .and.to.contain('Who should be president? (6 votes');
    expect(out).to.contain('VALID');
  });

  it('given the unpacked folder, when it is verified with --json, then the same results', async () => {
    const { code, out } = await command('verify', report.tally.folder, '--json');
    expect([code, JSON.parse(out).results]).to.deep.equal([0, report.results]);
  });

  it('given one proof directory, when it is verified with its protInfo.xml, then it is valid', async () => {
    const [{ proofs, protInfo }] = report.sessions as [DemoReport['sessions'][0]];
    const named = await command('verify', proofs, '--prot-info', protInfo);
    expect([named.code, named.out.includes('VALID: this proof directory')]).to.deep.equal([0, true]);
    expect((await command('verify', proofs)).code).to.equal(0);
  });

  it('given another hash than the announced, when the archive is verified, then it is invalid', async () => {
    const { code, out } = await command('verify', report.tally.path, '--hash', `${'A'.repeat(43)}=`);
    expect([code, out.includes('INVALID')]).to.deep.equal([1, true]);
  });

  const session = () => report.sessions[0]!.id;
  const changes: readonly (readonly [string, () => string, (text: string) => string])[] = [
    [
      'one vote more for a candidate',
      () => 'results_json',
      (text) => text.replace(/"total_count": (\d+)/, '"total_count": 9$1'),
    ],
    [
      'a plaintext exchanged',
      () => `${session()}/plaintexts_json`,
      (text) => text.split('\n').toSpliced(0, 1, 'null').join('\n'),
    ],
    [
      'a ballot left out',
      () => `${session()}/ciphertexts_json`,
      (text) => text.slice(text.indexOf('\n') + 1),
    ],
    [
      'another key',
      () => 'pubkeys_json',
      (text) => text.replace(/"y": "04(.)/, (_, digit) => `"y": "04${digit === 'f' ? '0' : 'f'}`),
    ],
  ];
  for (const [what, file, change] of changes) {
    it(`given an archive with ${what}, when it is verified, then it is invalid, and the step says so`, async () => {
      const { code, out } = await verifyChanged(file(), change);
      expect([code, out.includes('INVALID')]).to.deep.equal([1, true]);
      expect(out).to.match(/… WRONG\n {4}\S/);
    });
  }

  it('given an archive with one octet of a proof changed, when it is verified, then it is invalid', async () => {
    const { code } = await verifyChanged(
      `${session()}/proofs/proofs/PoSReply01.bt`,
      (bytes) => `${bytes.slice(0, -1)}${bytes.at(-1) === 'a' ? 'b' : 'a'}`,
    );
    expect(code).to.equal(1);
  });

  it('given something that is no tally, when it is verified, then exit code 2', async () => {
    const file = join(folder, 'other');
    await writeFile(file, 'something else');
    expect((await command('verify', file)).code).to.equal(2);
    expect((await command('verify', folder)).code).to.equal(2);
  });

  it('given what the demonstration left, when ballots are made for its election, then they are lines of a votes file', async () => {
    const demo = join(folder, 'demo');
    const choices = join(folder, 'choices.json');
    await writeFile(choices, '[[[0]], [[]]]');
    const out = join(folder, 'votes');
    const args = ['--election', join(demo, 'election.json'), '--keys', join(demo, 'keys.json'), '--out', out];
    const made = await command('ballots', ...args, '--choices', choices);
    expect([made.code, made.notes.includes('2 ballots; votes_hash: ni:///sha-256;')]).to.deep.equal([
      0,
      true,
    ]);
    const lines = (await readFile(out, 'utf8')).trimEnd().split('\n');
    expect(lines.map((line) => line.split('|')[1])).to.deep.equal(['voter-1', 'voter-2']);
    await writeFile(choices, '[[[0, 1]]]');
    const wrong = await command('ballots', ...args.with(-1, `${out}2`), '--choices', choices);
    expect([wrong.code, wrong.notes.includes('2 answers are chosen; choose 0 to 1')]).to.deep.equal([
      2,
      true,
    ]);
  });

  it('given a demonstration under way, when it is interrupted, then no process of it is left', async () => {
    const at = join(folder, 'interrupted');
    const child = spawn(
      process.execPath,
      [LAUNCHER, 'demo', '--json', '--folder', at, '--authorities', '2'],
      { stdio: 'ignore' },
    );
    const exit = once(child, 'exit');
    let pids: number[];
    try {
      pids = await until('both databases run', () => serversBelow(at));
    } finally {
      child.kill('SIGINT');
      await exit;
    }
    expect(child.exitCode).to.equal(1);
    await until('the databases have stopped', () => pids.every((pid) => !isAlive(pid)));
  });

  async function verifyChanged(file: string, change: (text: string) => string): Promise<Ran> {
    const copy = join(folder, 'changed');
    await rm(copy, { recursive: true, force: true });
    await cp(report.tally.folder, copy, { recursive: true });
    const before = await readFile(join(copy, file), 'latin1');
    const after = change(before);
    expect(after).not.to.equal(before);
    await writeFile(join(copy, file), after, 'latin1');
    return await command('verify', copy);
  }
});

/** Process ids of both authorities' database servers, as soon as they run. */
async function serversBelow(folder: string): Promise<number[] | undefined> {
  const files = ['auth1', 'auth2'].map((name) => join(folder, name, 'database/data/postmaster.pid'));
  try {
    const texts = await Promise.all(files.map((file) => readFile(file, 'utf8')));
    return texts.map((text) => Number(text.split('\n')[0]));
  } catch {
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
