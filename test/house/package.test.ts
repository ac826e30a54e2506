/*
 * What `npm pack` makes works where it is installed: Node runs no TypeScript below node_modules, so everything that
 * starts there starts from dist/. Packed in a copy, since packing rewrites package.json for a moment.
 */
import { execFile } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const PACKED_FROM = [
  ...['bin', 'lib', 'tasks', 'migrations', 'scripts', 'docs'],
  ...['package.json', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json', 'README.md', 'LICENSE'],
];
const run = promisify(execFile);

describe('the published package', function () {
  this.timeout(120_000);
  let folder: string;
  let installed: string;

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'conclave-package-'));
    const checkout = join(folder, 'checkout');
    for (const part of PACKED_FROM) cpSync(join(ROOT, part), join(checkout, part), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules'), join(checkout, 'node_modules'));
    await run('npm', ['pack', '--pack-destination', folder], { cwd: checkout });
    const restored = readFileSync(join(checkout, 'package.json'), 'utf8');
    expect(restored).to.equal(readFileSync(join(ROOT, 'package.json'), 'utf8'));

    const modules = join(folder, 'elsewhere/node_modules');
    installed = join(modules, 'conclave');
    mkdirSync(installed, { recursive: true });
    const archive = readdirSync(folder).find((name) => name.endsWith('.tgz'))!;
    await run('tar', ['-xzf', join(folder, archive), '-C', installed, '--strip-components=1']);
    for (const name of readdirSync(join(ROOT, 'node_modules'))) {
      if (!name.startsWith('.')) symlinkSync(join(ROOT, 'node_modules', name), join(modules, name));
    }
  });

  /** What a program beside the installed package prints, as JSON. */
  async function output(program: string): Promise<unknown> {
    const file = join(folder, 'elsewhere/program.mjs');
    writeFileSync(file, program);
    const { stdout } = await run(process.execPath, [file]);
    return JSON.parse(stdout);
  }

  after(() => rmSync(folder, { recursive: true, force: true }));

  it('given the package, when its content is listed, then it has what was built and no sources, tests or tools', () => {
    const files = readdirSync(installed, { recursive: true, encoding: 'utf8' });
    expect(files).to.include.members([
      'LICENSE',
      'README.md',
      'bin/conclave.js',
      'dist/bin/conclave.js',
      'dist/lib/cli/main.js',
    ]);
    expect(
      files.filter((name) => /(?<!\.d)\.ts$|\.test\.|^(?:lib|test|scripts|bench)\b/.test(name)),
    ).to.deep.equal([]);
    const modules = (root: string) => readdirSync(root).filter((name) => name.endsWith('.wasm'));
    expect(modules(join(installed, 'dist/lib/mixnet/kernel')))
      .to.deep.equal(modules(join(ROOT, 'lib/mixnet/kernel')))
      .and.not.to.have.length(0);
  });

  it('given an installed package, when conclave --help runs, then it says how it is used', async () => {
    const { stdout } = await run(process.execPath, [join(installed, 'bin/conclave.js'), '--help'], {
      cwd: folder,
    });
    expect(stdout).to.match(/usage/i).and.to.include('conclave');
  });

  for (const entry of ['conclave', 'conclave/verifier']) {
    it(`given an installed package, when ${entry} is imported, then it has its public names`, async () => {
      const program = `console.log(JSON.stringify(Object.keys(await import('${entry}'))))`;
      const names = await output(program);
      expect(names).to.include(entry === 'conclave' ? 'defineTask' : 'verifyProofDirectory');
    });
  }

  it('given an installed package, when the mix-net starts a thread, then the thread is found and answers', async () => {
    const program = `
      import { MixnetWorker } from './node_modules/conclave/dist/lib/mixnet/worker/client.js';
      const worker = new MixnetWorker();
      console.log(JSON.stringify(await worker.run('verifyBallots', { sessions: [], ballots: [] })));
      await worker.close();`;
    expect(await output(program)).to.deep.equal({ refusals: [] });
  });
});
