/*
 * Runs a script of this repository with the Node that the repository brings along, after installing the packages if
 * they are missing or are not those of package-lock.json: `node bin/bootstrap.js SCRIPT [ARGUMENT…]`.
 *
 * Plain JavaScript for Node 16 and later without any package, since it runs before there are any. It must never
 * install anything but exactly what the lock file names, and adds nothing to what the script prints on standard output.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const nodeProgram = join(root, 'node_modules', '.bin', process.platform === 'win32' ? 'node.cmd' : 'node');
/** Signals that are passed on to the script. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR2'];
/** Those that a terminal sends to the script by itself: twice would mean "at once" to many programs. */
const KEYBOARD_SIGNALS = ['SIGINT', 'SIGQUIT'];

const [script, ...scriptArguments] = process.argv.slice(2);
if (script === undefined) fail('usage: node bin/bootstrap.js SCRIPT [ARGUMENT…]', 2);

const problem = installationProblem();
if (problem !== null) install(problem);
run([resolve(root, script), ...scriptArguments]);

/** Why `npm ci` has to run; null when every locked package is there in its locked version. */
function installationProblem() {
  const wanted = readLock(join(root, 'package-lock.json'));
  if (wanted === null)
    fail(`there is no readable package-lock.json in ${root}: this is not a complete checkout`);
  // npm writes this file last: an installation that was interrupted has none.
  const present = readLock(join(root, 'node_modules', '.package-lock.json'));
  if (present === null) return 'they are not installed yet';
  for (const [path, { version, integrity, optional, link }] of Object.entries(wanted)) {
    if (path === '' || link) continue;
    const found = present[path];
    if (found === undefined) {
      if (optional) continue; // made for another platform
      return `${path} is missing`;
    }
    const same = !integrity || !found.integrity || found.integrity === integrity;
    if (found.version !== version || !same) return `${path} is not the locked ${version}`;
  }
  return existsSync(nodeProgram) ? null : `${nodeProgram} is missing`;
}

/** The packages of a lock file by path; null when there is none that can be read. */
function readLock(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8')).packages;
  } catch {
    return null;
  }
}

function install(reason) {
  process.stderr.write(`Installing the packages of package-lock.json (${reason}) …\n`);
  const { status, error } = spawnSync('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    // What npm says goes to standard error: standard output belongs to the script.
    stdio: ['ignore', 2, 2],
    shell: process.platform === 'win32',
  });
  if (error !== undefined) fail(`npm could not be started (${error.message}): install Node.js with npm`);
  if (status !== 0)
    fail(`\`npm ci\` failed in ${root}: see its messages above; is the npm registry reachable?`);
  if (!existsSync(nodeProgram)) {
    fail(
      `${nodeProgram} is missing after the installation: npm did not run the install script of the package "node". ` +
        'Set `ignore-scripts=false` (`npm config get ignore-scripts`), remove node_modules, and try again',
    );
  }
}

/** The script's exit is ours, and signals go on to it. */
function run(command) {
  const child = spawn(nodeProgram, command, { stdio: 'inherit', shell: process.platform === 'win32' });
  for (const signal of SIGNALS) {
    const sentByTerminal = process.stdin.isTTY && KEYBOARD_SIGNALS.includes(signal);
    process.on(signal, () => sentByTerminal || child.kill(signal));
  }
  child.on('error', (error) => fail(`${nodeProgram} could not be started: ${error.message}`));
  child.on('exit', (code, signal) => process.exit(signal === null ? code : 128 + constants.signals[signal]));
}

function fail(message, code = 1) {
  process.stderr.write(`${message}\n`);
  process.exit(code);
}
