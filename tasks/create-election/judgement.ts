/**
 * Complaints about dealings (D46): the director judges them as any authority or third party can, and names who cheated.
 * The election is not created with a cheater among its authorities.
 */
import { z } from 'zod';
import type { HandlerContext, TaskView } from '../../lib/engine/context.ts';
import { TaskError } from '../../lib/engine/definitions.ts';
import { authoritiesOf, sessionsOf } from '../election/records.ts';
import type { ElectionServices } from '../election/services.ts';
import { keyContextOf } from '../election/session-parameters.ts';
import { demandElection } from '../election/trust.ts';

const finding = z.object({
  dealer: z.int().positive(),
  reason: z.string().max(128),
  complaint: z.unknown().optional(),
});

/** Output of `confirm_public_key`: the hash of the joint key, or what is wrong with dealings. */
export const confirmationOutput = z.union([
  z.object({ confirmation: z.string().regex(/^[0-9a-f]{64}$/) }),
  z.object({ findings: z.array(finding).min(1).max(24) }),
]);

export const judgementInput = z.object({
  election_id: z.union([z.string(), z.number()]),
  session_id: z.string(),
  dealings: z.array(z.unknown()),
});

export async function judge(
  services: ElectionServices,
  task: TaskView<z.infer<typeof judgementInput>>,
  ctx: HandlerContext,
): Promise<void> {
  const { election_id, session_id, dealings } = task.input;
  const election = await demandElection(services, election_id);
  const authorities = await authoritiesOf(services.db, election.key);
  const session = (await sessionsOf(services.db, election.key)).find(
    ({ sessionId }) => sessionId === session_id,
  );
  const before = await ctx.previous();
  const answers = (await ctx.childrenOf(before!.id)).map(({ output }) => confirmationOutput.parse(output));
  const nameOf = (position: number): string => authorities[position - 1]?.name ?? `party ${position}`;

  for (const [index, answer] of answers.entries()) {
    if (!('findings' in answer)) continue;
    const { dealer, reason, complaint } = answer.findings[0]!;
    if (complaint === undefined) throw cheater(nameOf(dealer), reason, answer.findings[0]);
    const context = keyContextOf(
      election,
      session_id,
      authorities.map(({ partyKey }) => partyKey!),
    );
    const received = { dealer, hash: session!.commitments![dealer - 1]!, dealing: dealings[dealer - 1] };
    const judgement = await services.mixnet.run(
      'judgeComplaint',
      { context, dealing: received, complainer: index + 1, complaint },
      { signal: ctx.signal },
    );
    throw cheater(nameOf(judgement.party), judgement.reason, answer.findings[0]);
  }

  const confirmations = answers.flatMap((answer) => ('confirmation' in answer ? [answer.confirmation] : []));
  const different = confirmations.findIndex((confirmation) => confirmation !== confirmations[0]);
  if (different !== -1)
    throw new TaskError(
      `the authorities do not agree on the joint key of session ${session_id}`,
      { confirmations: Object.fromEntries(confirmations.map((hash, index) => [nameOf(index + 1), hash])) },
      'disagreement',
    );
}

function cheater(authority: string, reason: string, evidence: unknown): TaskError {
  return new TaskError(
    `${authority} cheated in the key generation: ${reason}`,
    { authority, reason, evidence },
    'proof_invalid',
  );
}
