/** The tasks of a tally that every authority performs (EO-31…EO-40). */
import { z } from 'zod';
import type { HandlerContext, TaskView } from '../../lib/engine/context.ts';
import { type DefinedTask, defineTask, TaskError } from '../../lib/engine/definitions.ts';
import { parallel } from '../../lib/engine/tree.ts';
import { MIXNET_QUEUE, PERFORMER_QUEUE } from '../election/callbacks.ts';
import { compareTask } from '../election/comparison.ts';
import type { ElectionRecord } from '../election/records.ts';
import type { ElectionServices } from '../election/services.ts';
import * as decryption from './decryption.ts';
import * as mixing from './mixing.ts';
import { participation } from './participation.ts';
import { publicationInput, verifyAndPublish } from './publication.ts';
import { talliesOf } from './records.ts';
import { checkTallyApproval, referenceInput, reviewInput, reviewTally } from './review.ts';

const retry = { attempts: 3 };
const compareInput = referenceInput.extend({ with: z.array(z.int().min(1).max(24)) });

export function tallyPerformerDefinitions(services: ElectionServices): DefinedTask[] {
  const performer = { queue: PERFORMER_QUEUE, retry };
  const mixnet = { queue: MIXNET_QUEUE, retry };
  return [
    defineTask(
      { ...performer, action: 'review_tally', input: reviewInput, retry: { attempts: 6 } },
      (task, ctx) => reviewTally(services, task, ctx),
    ),
    defineTask(
      { ...performer, action: 'check_tally_approval', input: referenceInput, localOnly: true },
      (task, ctx) => checkTallyApproval(services, task, ctx),
    ),
    defineTask(
      { ...mixnet, action: 'perform_tally', input: mixing.performInput },
      (task, ctx) => mixing.performTally(services, task, ctx),
      { reserve: (task) => mixing.reserveTally(services, task) },
    ),
    defineTask({ ...mixnet, action: 'shuffle', input: mixing.shuffleInput }, (task, ctx) =>
      mixing.shuffle(services, task, ctx),
    ),
    defineTask({ ...mixnet, action: 'verify_shuffle', input: mixing.verifyInput }, (task, ctx) =>
      mixing.verifyShuffle(services, task, ctx),
    ),
    defineTask({ ...mixnet, action: 'decryption_factors', input: decryption.factorsInput }, (task, ctx) =>
      decryption.decryptionFactors(services, task, ctx),
    ),
    defineTask({ ...mixnet, action: 'decryption_commitment', input: decryption.commitInput }, (task, ctx) =>
      decryption.decryptionCommitment(services, task, ctx),
    ),
    defineTask({ ...mixnet, action: 'decryption_reply', input: decryption.replyInput }, (task, ctx) =>
      decryption.decryptionReply(services, task, ctx),
    ),
    defineTask({ ...performer, action: 'verify_and_publish_tally', input: publicationInput }, (task, ctx) =>
      verifyAndPublish(services, task, ctx),
    ),
    defineTask({ ...performer, action: 'compare_tally', input: compareInput }, (task, ctx) =>
      compareTally(services, task, ctx),
    ),
  ];
}

/** D32: each authority asks each other one that published. */
async function compareTally(
  services: ElectionServices,
  task: TaskView<z.infer<typeof compareInput>>,
  ctx: HandlerContext,
): Promise<void> {
  const { election, authorities, tally } = await participation(services, task, task.input);
  const among = new Set(task.input.with);
  if (among.size < election.threshold || !among.has(election.position))
    throw new TaskError(
      `a tally is compared among ${election.threshold} authorities at least`,
      { with: task.input.with },
      'disagreement',
    );
  const others = authorities.filter(
    ({ position }) => position !== election.position && task.input.with.includes(position),
  );
  if (others.length === 0) return;
  const hashes = { [tally.tallyId]: tally.tallyHash };
  ctx.add(parallel(others.map(({ url }) => compareTask(url, election.request.id, 'tally', hashes))));
}

export async function tallyHashes(
  services: ElectionServices,
  election: ElectionRecord,
): Promise<Record<string, string | null>> {
  const tallies = await talliesOf(services.db, election.key);
  return Object.fromEntries(tallies.map(({ tallyId, tallyHash }) => [tallyId, tallyHash]));
}
