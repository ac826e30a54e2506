/* The two programs that any Node must understand: what they do before anything of ours is loaded. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, copyFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';

const BIN = fileURLToPath(new URL('../../bin/', import.meta.url));

const lock = (version: string): string =>
  JSON.stringify({ packages: { '': {}, 'node_modules/a': { version } } });

describe('bin/bootstrap.js and bin/conclave.js', () => {
  let folder: string;

  /** A checkout without dependencies, and an npm that notes that it was called and installs a node. */
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'conclave-bin-'));
    await mkdir(join(folder, 'bin'));
    await mkdir(join(folder, 'fake'));
    await copyFile(join(BIN, 'bootstrap.js'), join(folder, 'bin/bootstrap.js'));
    await copyFile(join(BIN, 'conclave.js'), join(folder, 'bin/conclave.js'));
    await writeFile(join(folder, 'package.json'), '{"type": "module"}');
    await writeFile(join(folder, 'package-lock.json'), lock('1.0.0'));
    await writeFile(
      join(folder, 'script.js'),
      'console.log(JSON.stringify(process.argv.slice(2))); process.exit(7);',
    );
    await writeFile(
      join(folder, 'fake/npm'),
      `#!/bin/sh
echo "$@" >> "${folder}/npm-calls"
mkdir -p node_modules/.bin && ln -sf "${process.execPath}" node_modules/.bin/node
cp package-lock.json node_modules/.package-lock.json
echo "added many packages"
`,
    );
    await chmod(join(folder, 'fake/npm'), 0o755);
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  async function bootstrap(...args: string[]): Promise<{ code: number; out: string; err: string }> {
    const path = `${join(folder, 'fake')}:${dirname(process.execPath)}:${process.env.PATH}`;
    const child = spawn(process.execPath, [join(folder, 'bin/bootstrap.js'), ...args], {
      env: { ...process.env, PATH: path },
      cwd: tmpdir(),
    });
    const said = { out: '', err: '' };
    child.stdout.setEncoding('utf8').on('data', (piece) => (said.out += piece));
    child.stderr.setEncoding('utf8').on('data', (piece) => (said.err += piece));
    const [code] = await once(child, 'close');
    return { code, ...said };
  }

  const npmCalls = async (): Promise<number> =>
    (await readFile(join(folder, 'npm-calls'), 'utf8').catch(() => '')).split('\n').filter(Boolean).length;

  it('given no dependencies, when a script is run, then they are installed first, and its output, arguments and exit code are its own', async () => {
    const ran = await bootstrap('script.js', 'a b', '--c');
    expect(ran).to.include({ code: 7, out: '["a b","--c"]\n' });
    expect(ran.err).to.contain('Installing').and.to.contain('added many packages');
    expect(await readFile(join(folder, 'npm-calls'), 'utf8')).to.match(/^ci /);
  });

  it('given dependencies that are up to date, when a script is run, then nothing is installed', async () => {
    await bootstrap('script.js');
    const again = await bootstrap('script.js');
    expect([again.code, again.err, await npmCalls()]).to.deep.equal([7, '', 1]);
  });

  it('given another version in package-lock.json, when a script is run, then they are installed again', async () => {
    await bootstrap('script.js');
    await writeFile(join(folder, 'package-lock.json'), lock('1.0.1'));
    const again = await bootstrap('script.js');
    expect(again.err).to.contain('node_modules/a is not the locked 1.0.1');
    expect(await npmCalls()).to.equal(2);
  });

  it('given an installation that fails, when a script is run, then it does not run, and the cure is named', async () => {
    await writeFile(join(folder, 'fake/npm'), '#!/bin/sh\necho "no network" >&2\nexit 1\n');
    const ran = await bootstrap('script.js');
    expect([ran.code, ran.out]).to.deep.equal([1, '']);
    expect(ran.err).to.contain('no network').and.to.contain('npm ci');
  });

  it('given no script, when it is called, then it says how it is used', async () => {
    const ran = await bootstrap();
    expect([ran.code, ran.err.includes('usage:')]).to.deep.equal([2, true]);
  });

  it('given an older Node, when conclave is called, then it hands over to the one of the dependencies', async () => {
    await mkdir(join(folder, 'node_modules/.bin'), { recursive: true });
    await writeFile(join(folder, 'newer'), '#!/bin/sh\nshift\necho "newer: $@"\nexit 5\n');
    await chmod(join(folder, 'newer'), 0o755);
    await symlink(join(folder, 'newer'), join(folder, 'node_modules/.bin/node'));
    const launcher = join(folder, 'bin/conclave.js');
    // What an older Node says of itself.
    const older = `data:text/javascript,Object.defineProperty(process.versions, 'node', { value: '20.1.0' })`;
    const child = spawn(process.execPath, ['--import', older, launcher, '--tasks'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let out = '';
    child.stdout.setEncoding('utf8').on('data', (piece) => (out += piece));
    const [code] = await once(child, 'close');
    expect([code, out]).to.deep.equal([5, 'newer: --tasks\n']);
  });
});
