/** The table `approval_decisions`: the word of each operator on each approval. */
import type { Knex } from 'knex';
import type { DecisionView } from './views.ts';

export async function decisionsOn(db: Knex, taskId: string): Promise<DecisionView[]> {
  const { rows } = await db.raw<{ rows: (Omit<DecisionView, 'date'> & { date: Date })[] }>(
    `select operator, decision, reason, decided_date as date from approval_decisions
     where task_id = ? order by decided_date, operator`,
    [taskId],
  );
  return rows.map((row) => ({ ...row, date: row.date.toISOString() }));
}

export async function insertDecision(
  transaction: Knex,
  taskId: string,
  decision: Omit<DecisionView, 'date'> & { hash: string },
): Promise<void> {
  await transaction.raw(
    `insert into approval_decisions (task_id, operator, decision, reason, approval_hash) values (?, ?, ?, ?, ?)`,
    [taskId, decision.operator, decision.decision, decision.reason, decision.hash],
  );
}
