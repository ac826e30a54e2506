/*
 * Under which account the database server runs, and what that account can reach (D52).
 *
 * PostgreSQL refuses to run as root, so root hands the server to `postgres`, else to `nobody`; anybody else runs it
 * as themselves. Reaching a file needs the search permission of every directory above it, which a checkout below
 * a 0700 home does not give: `firstClosedDirectory` names the one that is in the way.
 */
import { execFile } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { dirname, join, parse, resolve } from 'node:path';
import { promisify } from 'node:util';
import { EmbeddedDatabaseError } from './problem.ts';

const run = promisify(execFile);

/** Accounts that root tries, in this order. */
const UNPRIVILEGED = ['postgres', 'nobody'] as const;

export interface Account {
  readonly uid: number;
  readonly gid: number;
  /** As shown to the operator: a name, or `uid 12345` when the account has none. */
  readonly label: string;
  /** True when this process is root and its children must become this account. */
  readonly drop: boolean;
}

/** The options with which `child_process.spawn` becomes the account. */
export function identity(account: Account): { uid?: number; gid?: number } {
  return account.drop ? { uid: account.uid, gid: account.gid } : {};
}

/**
 * The account for a server.
 *
 * @param wanted name or number of an account, from the settings; only root can choose
 * @param data   an existing data directory, whose owner decides, or null
 * @throws EmbeddedDatabaseError `no_account`, `wrong_owner`
 */
export async function chooseAccount(wanted: string | undefined, data: string | null): Promise<Account> {
  const self = process.geteuid!();
  const owner = data === null ? null : await stat(data);
  if (self !== 0) return ordinaryAccount(self, wanted, data, owner?.uid ?? self);

  if (owner !== null && data !== null) {
    if (owner.uid === 0) {
      throw new EmbeddedDatabaseError(
        'wrong_owner',
        `${data} belongs to root, and PostgreSQL refuses to run as root: chown -R postgres ${data}`,
      );
    }
    return { uid: owner.uid, gid: owner.gid, label: await labelOf(owner.uid), drop: true };
  }
  for (const name of wanted === undefined ? UNPRIVILEGED : [wanted]) {
    const found = await lookUp(name);
    if (found !== null && found.uid !== 0) return { ...found, label: name, drop: true };
  }
  throw new EmbeddedDatabaseError(
    'no_account',
    wanted === undefined
      ? 'PostgreSQL refuses to run as root, and there is neither an account "postgres" nor "nobody": ' +
          'add one (useradd --system postgres), name one in database.embedded.account, or set database.url'
      : `the account "${wanted}" of database.embedded.account does not exist or is root: name an ordinary one`,
  );
}

async function ordinaryAccount(
  self: number,
  wanted: string | undefined,
  data: string | null,
  owner: number,
): Promise<Account> {
  const label = await labelOf(self);
  if (owner !== self) {
    throw new EmbeddedDatabaseError(
      'wrong_owner',
      `${data} belongs to ${await labelOf(owner)}, but this process runs as ${label}: ` +
        `run it as ${await labelOf(owner)} (or root), or chown -R ${self} ${data}`,
    );
  }
  if (wanted !== undefined && (await lookUp(wanted))?.uid !== self) {
    throw new EmbeddedDatabaseError(
      'no_account',
      `database.embedded.account is "${wanted}", but this process runs as ${label} and cannot become it: ` +
        'leave the setting out, or start as root',
    );
  }
  return { uid: self, gid: process.getegid!(), label, drop: false };
}

/** Numbers of an account as the system's user database (files, LDAP, …) has it, or null. */
async function lookUp(name: string): Promise<{ uid: number; gid: number } | null> {
  if (name.startsWith('-')) return null;
  try {
    const [uid, gid] = await Promise.all([run('id', ['-u', name]), run('id', ['-g', name])]);
    return { uid: Number(uid.stdout), gid: Number(gid.stdout) };
  } catch {
    return null;
  }
}

/** Whether the account has a name; `initdb` wants one. */
export async function hasName(uid: number): Promise<boolean> {
  try {
    await run('id', ['-un', String(uid)]);
    return true;
  } catch {
    return false;
  }
}

async function labelOf(uid: number): Promise<string> {
  try {
    return (await run('id', ['-un', String(uid)])).stdout.trim();
  } catch {
    return `uid ${uid}`;
  }
}

export interface ClosedDirectory {
  readonly directory: string;
  /** One sentence for the operator: which directory, its mode, who cannot pass. */
  readonly reason: string;
}

/**
 * The first directory on the way to `path`, itself included, through which the account may not pass, by owner and
 * mode; null when all are open. Directories that do not exist yet count as open.
 */
export async function firstClosedDirectory(path: string, account: Account): Promise<ClosedDirectory | null> {
  for (const directory of ancestry(resolve(path))) {
    const entry = await stat(directory).catch(() => null);
    if (entry === null) return null;
    const shift = entry.uid === account.uid ? 6 : entry.gid === account.gid ? 3 : 0;
    if (((entry.mode >> shift) & 1) === 0) {
      const mode = (entry.mode & 0o7777).toString(8).padStart(4, '0');
      return {
        directory,
        reason: `the directory ${directory} (mode ${mode}) is closed to the account ${account.label}`,
      };
    }
  }
  return null;
}

function ancestry(path: string): string[] {
  const above = [path];
  while (above[0] !== parse(path).root) above.unshift(dirname(above[0]!));
  return above.map((directory) => join(directory));
}
