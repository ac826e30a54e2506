/**
 * Which lists of an election this authority has helped to decrypt, also after a backup was restored: two decryptions of
 * lists that differ by a ballot show that ballot (EO-31). The database decides as long as it remembers; each list is also
 * named in the private folder before anything of its decryption is given away, and what is named there and not known to
 * the database was forgotten by it.
 *
 * Nothing here may ever be removed while its database, or a copy of it, exists.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { TaskError } from '../../lib/engine/definitions.ts';
import { createDurably } from '../election/durable-file.ts';
import type { ElectionRecord } from '../election/records.ts';
import type { ElectionServices } from '../election/services.ts';
import type { TallyRequest } from '../election/tally-request.ts';
import { decryptedLists } from './records.ts';

const LIST = /^[0-9a-f]{64}$/;

function folderOf({ privateFolder }: ElectionServices, { key }: Pick<ElectionRecord, 'key'>): string {
  return join(privateFolder, 'decrypted', key);
}

/** Whether another tally is this authority's own decision, whatever was tallied before: by its setting, or its operator's. */
export function mayTallyAgain(services: ElectionServices, { force }: Pick<TallyRequest, 'force'>): boolean {
  const { multipleTallies, autoAccept } = services.settings;
  return multipleTallies || (force && !autoAccept);
}

/** @throws TaskError `already_tallied` when another list was decrypted, and the database does not know of it any more */
export async function demandNoForgottenList(
  services: ElectionServices,
  election: ElectionRecord,
  request: TallyRequest,
  listsHash: string,
): Promise<void> {
  if (mayTallyAgain(services, request)) return;
  const named = await readdir(folderOf(services, election)).catch(() => [] as string[]);
  const others = named.filter((name) => LIST.test(name) && name !== listsHash);
  if (others.length === 0) return;
  const known = await decryptedLists(services.db, election.key);
  const forgotten = others.find((name) => !known.includes(name));
  if (forgotten === undefined) return;
  const { name } = services.node;
  throw new TaskError(
    `the election ${election.request.id} has been tallied already: ${name} has decrypted the lists ${forgotten}, which its database has forgotten; was it restored? Other lists are decrypted when its operator approves a request with force`,
    { authority: name, lists: forgotten },
    'already_tallied',
  );
}

/** On disk when this resolves: call it before anything of the decryption leaves this authority. */
export async function recordDecryption(
  services: ElectionServices,
  election: ElectionRecord,
  listsHash: string,
): Promise<void> {
  await createDurably(join(folderOf(services, election), listsHash), `${new Date().toISOString()}\n`);
}
