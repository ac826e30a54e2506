/**
 * The end, at every other authority, of the creation of an election or of a tally that has failed at the director: what they
 * have recorded of it is marked as failed, with the reason. Programs of Verificatum that run for it see that and end
 * (`runPrograms`); they would wait for the others for hours. The tasks themselves the engine has ended (`endsTogether`).
 */
import type { Knex } from 'knex';
import { z } from 'zod';
import { type DefinedTask, defineTask } from '../../lib/engine/definitions.ts';
import { parallel, simple } from '../../lib/engine/tree.ts';
import { findTally, lockTally, setTallyStatus } from '../tally/records.ts';
import { PERFORMER_QUEUE } from './callbacks.ts';
import { electionKey } from './election.ts';
import { findElection, lockElection, sessionsOf, setElectionStatus } from './records.ts';
import type { ElectionServices } from './services.ts';
import { demandDirector } from './trust.ts';

const input = z.object({
  election_id: z.union([z.string(), z.number()]),
  /** Of a creation one of its sessions, so that one that was begun anew meanwhile is not meant. */
  session_id: z.string().max(128).nullable(),
  tally_id: z.string().max(128).nullable(),
  reason: z.string().max(4096),
});

/** What has failed: a creation, by a session of it, or a tally. */
export type GivenUp =
  | { readonly session_id: string; readonly tally_id: null }
  | { readonly session_id: null; readonly tally_id: string };

/** How long an authority that cannot be reached is tried for. */
const PATIENCE = 3_600_000;
const LONGEST_REASON = 4096;

/**
 * A tree of its own: the one that failed has ended.
 * @param authorities by name and URL; this node is passed over
 */
export async function giveUp(
  services: ElectionServices,
  electionId: string | number,
  authorities: readonly { readonly name: string; readonly url: string }[],
  what: GivenUp,
  reason: string,
): Promise<void> {
  const others = authorities.filter(({ url }) => url !== services.node.url);
  if (others.length === 0) return;
  const data = { election_id: electionId, ...what, reason: reason.slice(0, LONGEST_REASON) };
  const expirationDate = new Date(Date.now() + PATIENCE);
  const told = others.map(({ url, name }) =>
    simple({ receiver: url, queue: PERFORMER_QUEUE, action: 'give_up', label: name, data, expirationDate }),
  );
  await services.create(parallel(told, { label: 'give up' }));
}

export function giveUpDefinition(services: ElectionServices): DefinedTask {
  return defineTask(
    { queue: PERFORMER_QUEUE, action: 'give_up', input, retry: { attempts: 3 } },
    async (task, ctx) => {
      const { election_id, session_id, tally_id, reason } = task.input;
      // It may have failed before anything was recorded here.
      if ((await findElection(services.db, electionKey(election_id))) === undefined)
        return { given_up: false };
      const { key } = await demandDirector(services, task, election_id);
      const transaction = await ctx.tx<Knex>();
      const why = `given up by the director: ${reason}`.slice(0, LONGEST_REASON);
      const given_up =
        tally_id !== null
          ? await giveUpTally(transaction, key, tally_id, why)
          : session_id !== null && (await giveUpCreation(transaction, key, session_id, why));
      return { given_up };
    },
  );
}

async function giveUpCreation(db: Knex, key: string, sessionId: string, reason: string): Promise<boolean> {
  const election = await lockElection(db, key);
  if (election?.status !== 'approved' && election?.status !== 'requested') return false;
  if (!(await sessionsOf(db, key)).some((session) => session.sessionId === sessionId)) return false;
  await setElectionStatus(db, key, 'failed', reason);
  return true;
}

async function giveUpTally(db: Knex, key: string, tallyId: string, reason: string): Promise<boolean> {
  const known = await findTally(db, key, tallyId);
  if (known === undefined) return false;
  const { status } = await lockTally(db, known);
  if (!['requested', 'approved', 'mixing'].includes(status)) return false;
  await setTallyStatus(db, known, 'failed', { reason });
  return true;
}
