/**
 * Complaints about dealings (D46): the director judges them as any authority or third party can, and names who cheated:
 * the dealer, or the one who accuses it without evidence. The election is not created with a cheater among its authorities.
 */
import { z } from 'zod';
import type { HandlerContext, TaskView } from '../../lib/engine/context.ts';
import { TaskError } from '../../lib/engine/definitions.ts';
import { Refusal } from '../../lib/mixnet/refusal.ts';
import { demandAnswer } from '../election/callbacks.ts';
import { authoritiesOf, type ElectionRecord, sessionsOf } from '../election/records.ts';
import type { ElectionServices } from '../election/services.ts';
import { keyContextOf } from '../election/session-parameters.ts';
import { demandElection } from '../election/trust.ts';

const finding = z.object({
  dealer: z.int().positive(),
  reason: z.string().max(128),
  complaint: z.unknown().optional(),
});
type Finding = z.infer<typeof finding>;

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

interface Case {
  election: ElectionRecord;
  names: readonly string[];
  context: ReturnType<typeof keyContextOf>;
  /** What each dealer promised, and what it opened. */
  received: readonly { dealer: number; hash: string; dealing: unknown }[];
  /** Of this node: what everybody sees, it sees too. */
  own: readonly Finding[];
}

interface Verdict {
  authority: string;
  reason: string;
}

export async function judge(
  services: ElectionServices,
  task: TaskView<z.infer<typeof judgementInput>>,
  ctx: HandlerContext,
): Promise<void> {
  const { election_id, session_id, dealings } = task.input;
  const election = await demandElection(services, election_id);
  const authorities = await authoritiesOf(services.db, election.key);
  const names = authorities.map(({ name }) => name);
  const before = await ctx.previous();
  const answers = (await ctx.childrenOf(before!.id)).map((answer, index) =>
    demandAnswer(confirmationOutput, answer, names[index]!),
  );
  const findings = answers.flatMap((answer, index) =>
    'findings' in answer ? [{ accuser: index + 1, finding: answer.findings[0]! }] : [],
  );
  if (findings.length === 0) return demandAgreement(session_id, names, answers);
  const sessions = await sessionsOf(services.db, election.key);
  const { commitments } = sessions.find(({ sessionId }) => sessionId === session_id)!;
  const own = answers[election.position - 1]!;
  const partyKeys = authorities.map(({ partyKey }) => partyKey!);
  const known: Case = {
    election,
    names,
    context: keyContextOf(election, session_id, partyKeys),
    received: commitments!.map((hash, index) => ({ dealer: index + 1, hash, dealing: dealings[index] })),
    own: 'findings' in own ? own.findings : [],
  };
  // This node's own finding first: it need not be believed by anybody.
  const first = findings.find(({ accuser }) => accuser === election.position) ?? findings[0]!;
  const { authority, reason } = await verdict(services, known, first.accuser, first.finding, ctx);
  throw new TaskError(
    `${authority} cheated in the key generation: ${reason}`,
    { authority, reason, evidence: first.finding },
    'proof_invalid',
  );
}

async function verdict(
  services: ElectionServices,
  { names, context, received, own }: Case,
  accuser: number,
  { dealer, reason, complaint }: Finding,
  ctx: HandlerContext,
): Promise<Verdict> {
  const dealing = received[dealer - 1];
  const against = (why: string): Verdict => ({
    authority: names[accuser - 1]!,
    reason: `it accuses ${names[dealer - 1] ?? `party ${dealer}`} falsely: ${why}`,
  });
  if (dealing === undefined) return against('there is no such party');
  const seen = own.find((other) => other.dealer === dealer && other.complaint === undefined);
  if (seen !== undefined) return { authority: names[dealer - 1]!, reason: seen.reason };
  if (complaint === undefined) return against(`nobody else sees a fault (${reason})`);
  try {
    const { party, reason: why } = await services.mixnet.run(
      'judgeComplaint',
      { context, dealing, complainer: accuser, complaint },
      { signal: ctx.signal },
    );
    return party === accuser ? against(why) : { authority: names[party - 1]!, reason: why };
  } catch (thrown) {
    // The complaint came from the accuser itself, over its own connection: if it is no complaint, nobody else made it so.
    if (thrown instanceof Refusal) return against(thrown.reason);
    throw thrown;
  }
}

function demandAgreement(
  sessionId: string,
  names: readonly string[],
  answers: readonly z.infer<typeof confirmationOutput>[],
): void {
  const confirmations = answers.flatMap((answer) => ('confirmation' in answer ? [answer.confirmation] : []));
  if (confirmations.every((confirmation) => confirmation === confirmations[0])) return;
  throw new TaskError(
    `the authorities do not agree on the joint key of session ${sessionId}`,
    { confirmations: Object.fromEntries(confirmations.map((hash, index) => [names[index], hash])) },
    'disagreement',
  );
}
