/**
 * One answer for each commitment, also after a backup was restored. Two replies to different challenges under one nonce
 * tell the key share (VF 11), and the challenge hangs on the commitments of others, which the director brings: a database
 * that forgot its answer would give a second one to whoever asks. To derive the nonce from the challenge is no way out:
 * the commitment to it comes first. So
 *
 * - a nonce counts only in the life of the database in which it was drawn: what was started again, restored, or rewritten
 *   since then commits anew;
 * - the answer is also written to the private folder before it is given, whose files do not go back in time when the
 *   database does.
 *
 * Nothing here may ever be removed while its database, or a copy of it, exists.
 */
import { createHash, randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Knex } from 'knex';
import { TaskError } from '../../lib/engine/definitions.ts';
import { createDurably } from '../election/durable-file.ts';
import type { ElectionServices } from '../election/services.ts';

/** The code of the error with which an authority asks to commit anew. */
export const COMMITMENT_LOST = 'commitment_lost';

/** What is sealed between commitment and reply. */
export interface Nonce {
  /** The state of the mix-net, in hex. */
  readonly secret: string;
  /** Names the commitment, and the record of its answer. */
  readonly id: string;
  /** The life of the database in which it was drawn. */
  readonly life: string;
}

export async function newNonce(db: Knex, secret: string): Promise<Nonce> {
  return { secret, id: randomUUID(), life: await lifeOf(db) };
}

/**
 * Another one after the server was started again (so after files were put back), after the database or the table was made
 * anew (so after a dump was read), and after the table was emptied or rewritten.
 */
async function lifeOf(db: Knex): Promise<string> {
  const { rows } = await db.raw(`select concat_ws(' ', extract(epoch from pg_postmaster_start_time()),
    (select oid from pg_database where datname = current_database()),
    'tally_sessions'::regclass::oid, pg_relation_filenode('tally_sessions')) as life`);
  return (rows[0] as { life: string }).life;
}

/** @throws TaskError `commitment_lost` */
export async function demandSameLife(services: ElectionServices, { life }: Nonce): Promise<void> {
  if (life === (await lifeOf(services.db))) return;
  throw lost(services, 'its database was started again or restored since then');
}

/**
 * Records the answer, on disk when this resolves. Recorded again it must be the same.
 * @throws TaskError `commitment_lost` when another answer was given before
 */
export async function recordAnswer(services: ElectionServices, { id }: Nonce, reply: string): Promise<void> {
  const path = join(services.privateFolder, 'answered', id);
  const digest = createHash('sha256').update(reply).digest('hex');
  if (await createDurably(path, digest)) return;
  if ((await readFile(path, 'utf8')) !== digest)
    throw lost(services, 'it has answered another challenge with it; was its database restored?');
}

function lost({ node }: ElectionServices, reason: string): TaskError {
  return new TaskError(
    `the commitment of ${node.name} no longer counts: ${reason}; it must commit anew`,
    { authority: node.name, reason },
    COMMITMENT_LOST,
  );
}
