/*
 * Builds dist/ for publishing: Node runs TypeScript sources as they are everywhere but below node_modules. What is
 * emitted lies as the sources lie, so that paths between files (migrations, worker threads, WebAssembly) stay right.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('..', import.meta.url));
const DIST = join(ROOT, 'dist');

/** The file of a worker thread: the compiler rewrites the endings of imports only. */
const THREAD = /(new URL\((['"`])\.[^'"`]*)\.ts(\2, import\.meta\.url\))/g;
const OTHER_SOURCE = /(['"`])\.[^'"`\n]*\.ts\1/;

export function build(): void {
  rmSync(DIST, { recursive: true, force: true });
  compile();
  for (const file of globSync('**/*.js', { cwd: DIST })) renameThreads(join(DIST, file));
  copyAssets();
  // Who starts the command by its path from the sources finds it by the same path here.
  mkdirSync(join(DIST, 'bin'));
  writeFileSync(join(DIST, 'bin/conclave.js'), "import '../../bin/conclave.js';\n");
}

function compile(): void {
  const tsc = join(ROOT, 'node_modules/typescript/bin/tsc');
  const { status } = spawnSync(process.execPath, [tsc, '-p', 'tsconfig.build.json'], {
    cwd: ROOT,
    // Standard output belongs to npm, which prints the archive's name.
    stdio: ['ignore', 2, 2],
  });
  if (status !== 0) throw new Error('the sources do not compile: see the messages above');
}

function renameThreads(file: string): void {
  const text = readFileSync(file, 'utf8').replace(THREAD, '$1.js$3');
  const forgotten = OTHER_SOURCE.exec(text.replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, ''));
  if (forgotten !== null) throw new Error(`${file} names a source that is not published: ${forgotten[0]}`);
  writeFileSync(file, text);
}

/** Whatever lies beside the sources and is no source: WebAssembly modules, pages, styles, ambient types. */
function copyAssets(): void {
  const files = globSync(['lib/**/*.*', 'tasks/**/*.*'], {
    cwd: ROOT,
    exclude: (path) =>
      path.startsWith('lib/console/web') ||
      path.startsWith('lib/mixnet/kernel/assembly') ||
      path.startsWith('lib/mixnet/kernel/build'),
  });
  for (const file of files) {
    const isSource = file.endsWith('.ts') && !file.endsWith('.d.ts');
    if (!isSource) cpSync(join(ROOT, file), join(DIST, file));
  }
}

if (import.meta.main) build();
