/**
 * The end of Verificatum's programs everywhere when one of them has failed: the others would wait for it for hours. The
 * director says so; each authority marks the work as given up, and what runs for it sees that (`runPrograms`).
 */
import type { Knex } from 'knex';
import { z } from 'zod';
import { type DefinedTask, defineTask } from '../../lib/engine/definitions.ts';
import { parallel, simple } from '../../lib/engine/tree.ts';
import { PERFORMER_QUEUE } from '../election/callbacks.ts';
import { authoritiesOf, type ElectionRecord, lockElection, setElectionStatus } from '../election/records.ts';
import type { ElectionServices } from '../election/services.ts';
import { demandDirector } from '../election/trust.ts';
import { findTally, lockTally, setTallyStatus } from '../tally/records.ts';

const input = z.object({
  election_id: z.union([z.string(), z.number()]),
  /** Null: the creation of the election. */
  tally_id: z.string().max(128).nullable(),
});

/** How long an authority that cannot be reached is tried for; its programs have their own limits. */
const PATIENCE = 3_600_000;

/** A tree of its own: the one that failed has ended. */
export async function stopPrograms(
  services: ElectionServices,
  { key, request }: ElectionRecord,
  tallyId: string | null,
): Promise<void> {
  const data = { election_id: request.id, tally_id: tallyId };
  const expirationDate = new Date(Date.now() + PATIENCE);
  const stops = (await authoritiesOf(services.db, key)).map(({ url, name }) =>
    simple({
      receiver: url,
      queue: PERFORMER_QUEUE,
      action: 'stop_programs',
      label: name,
      data,
      expirationDate,
    }),
  );
  await services.create(parallel(stops, { label: 'stop programs' }));
}

export function stopDefinition(services: ElectionServices): DefinedTask {
  return defineTask(
    { queue: PERFORMER_QUEUE, action: 'stop_programs', input, retry: { attempts: 3 } },
    async (task, ctx) => {
      const { election_id, tally_id } = task.input;
      const { key } = await demandDirector(services, task, election_id);
      const transaction = await ctx.tx<Knex>();
      return {
        stopped: await (tally_id === null ? giveUpKey(transaction, key) : giveUp(transaction, key, tally_id)),
      };
    },
  );
}

const REASON = 'given up by the director';

async function giveUpKey(db: Knex, key: string): Promise<boolean> {
  const election = await lockElection(db, key);
  if (election?.status !== 'approved' && election?.status !== 'requested') return false;
  await setElectionStatus(db, key, 'failed', REASON);
  return true;
}

async function giveUp(db: Knex, key: string, tallyId: string): Promise<boolean> {
  const known = await findTally(db, key, tallyId);
  if (known === undefined) return false;
  const { status } = await lockTally(db, known);
  if (!['requested', 'approved', 'mixing'].includes(status)) return false;
  await setTallyStatus(db, known, 'failed', { reason: REASON });
  return true;
}
