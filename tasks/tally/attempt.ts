/**
 * The folder of one attempt at a step, beside the proof directory: what comes from others, and what is still being made,
 * never lies where verified files lie.
 *
 *     proof/            verified files only; a file enters by being renamed, with the session's row locked
 *     attempts/<uuid>/  links to verified files, and everything else; removed when the attempt ends
 *
 * A list is used only if its file has the hash that was recorded when it was approved or verified. So neither a step
 * that was cut off, nor two steps at a time, nor a second verification of the same place can make this authority shuffle
 * or decrypt anything else.
 */
import { randomUUID } from 'node:crypto';
import { copyFile, link, mkdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Knex } from 'knex';
import type { HandlerContext } from '../../lib/engine/context.ts';
import { TaskError } from '../../lib/engine/definitions.ts';
import { fileNames } from '../../lib/mixnet/directory/file-names.ts';
import { hashFile } from '../election/hash.ts';
import type { SessionParticipation } from './participation.ts';
import { lockTally, type SessionState, saveSessionState, tallySession } from './records.ts';

/** What the operations of the mix-net take. */
export interface AttemptDirectory {
  protInfo: string;
  directory: string;
}

/** The file of a list: of the output of party `from`, or of the approved one for 0. */
export function listFile(from: number): string {
  return from === 0 ? fileNames.ciphertexts : fileNames.output(from);
}

/** Gives `work` a folder with links to the named files of the proof directory. */
export async function attempt<T>(
  { folders, session, directory }: SessionParticipation,
  files: readonly string[],
  work: (attempt: AttemptDirectory) => Promise<T>,
): Promise<T> {
  return inFolder(folders.session(session.sessionId).attempts, async (folder) => {
    await linkFiles(directory.directory, folder, files);
    return work({ protInfo: directory.protInfo, directory: folder });
  });
}

/** A new folder below `parent`, removed when `work` is done. */
export async function inFolder<T>(parent: string, work: (folder: string) => Promise<T>): Promise<T> {
  const folder = join(parent, randomUUID());
  await mkdir(folder, { recursive: true, mode: 0o700 });
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

export async function linkFiles(from: string, to: string, files: readonly string[]): Promise<void> {
  for (const name of files) {
    await mkdir(dirname(join(to, name)), { recursive: true });
    const [source, target] = [join(from, name), join(to, name)];
    // Not every file system has links.
    await link(source, target).catch(() => copyFile(source, target));
  }
}

/** @throws TaskError `disagreement` unless the list in the folder is the one that is recorded */
export async function demandList(state: SessionState, folder: string, from: number): Promise<void> {
  const recorded = listHash(state, from);
  if (recorded === null) throw notVerified(from);
  const found = (await hashFile(join(folder, listFile(from)))).toString('hex');
  if (found !== recorded)
    throw new TaskError(
      `the list in ${listFile(from)} is not the one that was ${from === 0 ? 'approved' : 'verified'} here`,
      { expected: recorded, found },
      'disagreement',
    );
}

function listHash(state: SessionState, from: number): string | null {
  if (from === 0) return state.list;
  return state.shuffles.find(({ party }) => party === from)?.output ?? null;
}

/** The part of our chain that ends with `from`; later shuffles were given up by the director. */
export function chainUpTo(state: SessionState, from: number): SessionState['shuffles'] {
  if (from === 0) return [];
  const end = state.shuffles.findIndex(({ party }) => party === from);
  if (end === -1) throw notVerified(from);
  return state.shuffles.slice(0, end + 1);
}

function notVerified(from: number): TaskError {
  const what = from === 0 ? 'there is no list to mix' : `no shuffle of party ${from} was verified here`;
  return new TaskError(what, undefined, 'disagreement');
}

/**
 * Changes the state of the session, in the transaction in which the task ends: as it is now, not as it was when the step
 * began. @throws TaskError `disagreement` when the tally was given up meanwhile
 */
export async function changeState(
  ctx: HandlerContext,
  { tally, session }: SessionParticipation,
  change: (state: SessionState) => SessionState,
): Promise<Knex> {
  const transaction = await ctx.tx<Knex>();
  const { status } = await lockTally(transaction, tally);
  if (status !== 'approved' && status !== 'mixing')
    throw new TaskError(`the tally ${tally.tallyId} is over (${status})`, undefined, 'disagreement');
  const { state } = await tallySession(transaction, tally, session.question);
  await saveSessionState(transaction, tally, session.question, change(state));
  return transaction;
}

/** Files of an attempt become files of the proof directory. Call it with the state locked. */
export async function adopt(
  { directory }: SessionParticipation,
  from: string,
  files: readonly string[],
): Promise<void> {
  for (const name of files) {
    const target = join(directory.directory, name);
    await mkdir(dirname(target), { recursive: true });
    await rename(join(from, name), target);
  }
}
