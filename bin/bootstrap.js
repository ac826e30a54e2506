// Runs a script of this repository with its own Node, after installing the dependencies when they are missing or older
// than package-lock.json: `node bin/bootstrap.js SCRIPT [ARGUMENT…]`. For any Node from 16 on.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const node = join(root, 'node_modules', '.bin', 'node');

const [script, ...args] = process.argv.slice(2);
if (script === undefined) {
  console.error('usage: node bin/bootstrap.js SCRIPT [ARGUMENT…]');
  process.exitCode = 2;
} else if (isInstalled() || install()) {
  run(node, [join(root, script), ...args]);
} else {
  process.exitCode = 1;
}

/** npm notes in its own lock file what it has installed. */
function isInstalled() {
  const installed = join(root, 'node_modules', '.package-lock.json');
  if (!existsSync(installed) || !existsSync(node)) return false;
  return statSync(installed).mtimeMs >= statSync(join(root, 'package-lock.json')).mtimeMs;
}

function install() {
  console.error('Installing the dependencies (npm ci); this happens once …');
  const started = Date.now();
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  // Standard output belongs to the script.
  const { status, error } = spawnSync(npm, ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    stdio: ['ignore', 2, 2],
  });
  if (status === 0 && existsSync(node)) {
    console.error(`Installed in ${Math.round((Date.now() - started) / 1000)} seconds.`);
    return true;
  }
  console.error(
    `The dependencies could not be installed${error ? ` (${error.message})` : ''}. ` +
      `Look at the messages above; is the npm registry reachable? Then run: npm ci`,
  );
  return false;
}

/** The script's exit code is ours, and signals go on to it. */
function run(command, commandArguments) {
  const child = spawn(command, commandArguments, { stdio: 'inherit' });
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('error', (failure) => {
    console.error(`${command} cannot be run: ${failure.message}`);
    process.exitCode = 1;
  });
  child.on('exit', (code, signal) => {
    process.exitCode = code ?? (signal === 'SIGINT' ? 130 : 1);
  });
}
