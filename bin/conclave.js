#!/usr/bin/env node
// Starts the command line: in a checkout from its TypeScript sources, which Node 24 runs as they are; in a published
// package from dist/. An older Node hands over to the one that came with the dependencies.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const NEEDED = 24;
const at = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));

if (Number(process.versions.node.split('.')[0]) >= NEEDED) {
  const sources = at('lib/cli/main.ts');
  const { main } = await import(existsSync(sources) ? sources : at('dist/lib/cli/main.js'));
  process.exitCode = await main(process.argv.slice(2));
} else {
  const node = at('node_modules/.bin/node');
  if (!existsSync(node)) {
    console.error(
      `conclave needs Node ${NEEDED} or newer; this is ${process.version}. Install it, or run npm ci in ${at('.')}`,
    );
    process.exitCode = 2;
  } else {
    handOver(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)]);
  }
}

/** Runs a command in our place: its exit code is ours, and signals go on to it. */
function handOver(command, args) {
  const child = spawn(command, args, { stdio: 'inherit' });
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => {
    console.error(`${command} cannot be run: ${error.message}`);
    process.exitCode = 1;
  });
  child.on('exit', (code, signal) => {
    process.exitCode = code ?? (signal === 'SIGINT' ? 130 : 1);
  });
}
