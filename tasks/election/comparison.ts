/**
 * Authorities compare hashes directly with one another (D32): who asks names what it has; who is asked answers with an
 * error if it has something else. A director that shows authorities different worlds is caught here.
 */
import { z } from 'zod';
import { type DefinedTask, defineTask, TaskError } from '../../lib/engine/definitions.ts';
import { simple, type TreeNode } from '../../lib/engine/tree.ts';
import { PERFORMER_QUEUE } from './callbacks.ts';
import type { ElectionId } from './election.ts';
import { type ElectionRecord, sessionsOf } from './records.ts';
import type { ElectionServices } from './services.ts';
import { demandAuthority, demandElection } from './trust.ts';

export type Subject = 'public_key' | 'tally';

const input = z.object({
  election_id: z.union([z.string(), z.number()]),
  subject: z.enum(['public_key', 'tally']),
  hashes: z.record(z.string().max(256), z.string().max(256).nullable()),
});

export function compareTask(
  receiver: string,
  electionId: ElectionId,
  subject: Subject,
  hashes: Readonly<Record<string, string | null>>,
): TreeNode {
  return simple({
    receiver,
    queue: PERFORMER_QUEUE,
    action: 'compare_hashes',
    label: new URL(receiver).host,
    data: { election_id: electionId, subject, hashes },
  });
}

/** `tallyHashes`: what this authority has published of a tally, by tally id. */
export function comparisonDefinitions(
  services: ElectionServices,
  tallyHashes: (election: ElectionRecord) => Promise<Record<string, string | null>>,
): DefinedTask[] {
  return [
    defineTask(
      { queue: PERFORMER_QUEUE, action: 'compare_hashes', input, retry: { attempts: 3 } },
      async (task) => {
        const { election_id, subject, hashes } = task.input;
        const election = await demandElection(services, election_id);
        const asker = demandAuthority(services, task, election.request);
        const own = subject === 'tally' ? await tallyHashes(election) : await keyHashes(services, election);
        for (const [name, theirs] of Object.entries(hashes)) {
          const ours = own[name] ?? null;
          if (ours === theirs && ours !== null) continue;
          throw new TaskError(
            `${asker.name} and ${services.node.name} have different hashes of the ${subject.replace('_', ' ')} ${name}: ${theirs ?? 'none'} and ${ours ?? 'none'}`,
            { subject, name, [asker.name]: theirs, [services.node.name]: ours },
            'disagreement',
          );
        }
        return { equal: true };
      },
    ),
  ];
}

async function keyHashes(
  services: ElectionServices,
  election: ElectionRecord,
): Promise<Record<string, string | null>> {
  const sessions = await sessionsOf(services.db, election.key);
  return Object.fromEntries(sessions.map(({ sessionId, confirmation }) => [sessionId, confirmation]));
}
