/** Whether this node, as director, is busy with an election already: impatient callers send their requests twice. */
import type { Knex } from 'knex';

const last = new Map<string, Promise<unknown>>();

/** Runs `work` when all earlier work under the same name has ended: between looking and creating, nobody creates. */
export function oneAtATime<T>(name: string, work: () => Promise<T>): Promise<T> {
  const before = last.get(name) ?? Promise.resolve();
  const result = before.then(work);
  const ended = result.then(
    () => {},
    () => {},
  );
  last.set(name, ended);
  void ended.then(() => {
    if (last.get(name) === ended) last.delete(name);
  });
  return result;
}

/** Whether a tree with this root action is under way for the election. */
export async function isUnderWay(
  db: Knex,
  action: 'create_election' | 'tally_election',
  electionKey: string,
): Promise<boolean> {
  const id = action === 'create_election' ? 'id' : 'election_id';
  const { rows } = await db.raw(
    `select 1 from tasks where action = ? and parent_id is null and not is_received
       and status not in ('finished', 'error') and input_data -> 'request' ->> '${id}' = ? limit 1`,
    [action, electionKey],
  );
  return rows.length > 0;
}
