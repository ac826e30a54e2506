/**
 * Deciding on approvals: one transaction for the operator's word, the entry in the audit trail, and the end of the task.
 * Where the settings want two operators, the first acceptance waits for another person's; one denial suffices. Whoever
 * accepts names the hash that they were shown: something else is never accepted.
 */
import type { Knex } from 'knex';
import { hasEnded } from '../engine/model.ts';
import { ConclaveError } from '../errors.ts';
import { demandApproval } from './approvals.ts';
import { decisionsOn, insertDecision } from './decision-records.ts';
import type { OperatorServices } from './services.ts';
import type { Decided } from './views.ts';

export type Decision = {
  /** Id of the approval's task. */
  readonly id: string;
  /** Lower-case hex, as it was shown. */
  readonly hash: string;
  readonly operator: string;
} & ({ readonly decision: 'accept' } | { readonly decision: 'deny'; readonly reason: string });

/**
 * @throws ConclaveError `approval_changed`, `already_decided`, `task_ended`, `not_approval`, `task_not_found`
 */
export async function decide(services: OperatorServices, given: Decision): Promise<Decided> {
  const { id, operator, decision } = given;
  const reason = given.decision === 'deny' ? given.reason : null;
  return await services.engine.together(async (changes) => {
    const transaction = changes.handle as Knex;
    // Two operators at the same moment: one after the other, before the engine locks the tree.
    await transaction.raw(`select pg_advisory_xact_lock(hashtextextended('conclave approval ' || ?, 0))`, [
      id,
    ]);
    const { task, asked } = await demandApproval(transaction, id);
    if (hasEnded(task)) throw new ConclaveError('task_ended', { taskId: id, status: task.status });
    if (asked.hash !== given.hash)
      throw new ConclaveError('approval_changed', { taskId: id, actual: asked.hash });
    const before = await decisionsOn(transaction, id);
    if (decision === 'accept' && before.some((other) => other.operator === operator))
      throw new ConclaveError('already_decided', {
        taskId: id,
        operator,
        awaited: 'another operator is awaited',
      });
    await transaction.raw('delete from approval_decisions where task_id = ? and operator = ?', [
      id,
      operator,
    ]);
    await insertDecision(transaction, id, { operator, decision, reason, hash: asked.hash });
    const decisions = await decisionsOn(transaction, id);
    const acceptances = decisions.filter((each) => each.decision === 'accept').length;
    const status =
      decision === 'deny' ? 'denied' : acceptances >= services.approvalsRequired ? 'accepted' : 'waiting';
    await services.record(transaction, {
      kind: decision === 'accept' ? 'approval' : 'denial',
      by: operator,
      task: id,
      election: asked.electionId,
      of: asked.kind,
      hash: asked.hash,
      reason,
      status,
    });
    if (status !== 'waiting')
      await changes.finishExternal(id, status === 'accepted' ? { status } : { status, reason: reason! });
    return { id, status, decisions };
  });
}
