/** What every step of a tally on an authority begins with: who asks, for which tally, and whether it was approved here. */
import type { TaskView } from '../../lib/engine/context.ts';
import { TaskError } from '../../lib/engine/definitions.ts';
import {
  type AuthorityRecord,
  authoritiesOf,
  type ElectionRecord,
  type SessionRecord,
  sessionsOf,
} from '../election/records.ts';
import type { ElectionServices } from '../election/services.ts';
import { demandDirector } from '../election/trust.ts';
import { sessionProtocolInfo } from '../external/programs.ts';
import { type TallyFolders, tallyFolders } from './folders.ts';
import { findTally, type TallyRecord, type TallySessionRecord, tallySession } from './records.ts';

export interface TallyReference {
  election_id: string | number;
  tally_id: string;
}

export interface Participation {
  election: ElectionRecord;
  authorities: AuthorityRecord[];
  tally: TallyRecord;
  folders: TallyFolders;
}

export interface SessionParticipation extends Participation {
  session: SessionRecord;
  own: TallySessionRecord;
  /** What the operations of the mix-net take. */
  directory: { protInfo: string; directory: string };
}

/** @throws TaskError `task_not_accepted` unless this authority has approved the tally */
export async function participation(
  services: ElectionServices,
  task: Pick<TaskView, 'peerId'>,
  { election_id, tally_id }: TallyReference,
): Promise<Participation> {
  const election = await demandDirector(services, task, election_id);
  const tally = await findTally(services.db, election.key, tally_id);
  if (tally === undefined || !['approved', 'mixing', 'published'].includes(tally.status))
    throw new TaskError(
      `task not accepted: ${services.node.name} has not approved the tally ${tally_id} (${tally?.status ?? 'unknown'})`,
      { authority: services.node.name },
      'task_not_accepted',
    );
  const authorities = await authoritiesOf(services.db, election.key);
  return { election, authorities, tally, folders: tallyFolders(services, election.key, tally_id) };
}

export async function sessionParticipation(
  services: ElectionServices,
  task: Pick<TaskView, 'peerId'>,
  reference: TallyReference & { session_id: string },
): Promise<SessionParticipation> {
  const part = await participation(services, task, reference);
  const { election, authorities, tally, folders } = part;
  const sessions = await sessionsOf(services.db, election.key);
  const session = sessions.find(({ sessionId }) => sessionId === reference.session_id);
  if (session === undefined)
    throw new TaskError(`election ${election.key} has no session ${reference.session_id}`);
  const own = await tallySession(services.db, tally, session.question);
  const protInfo = await sessionProtocolInfo(services, election, authorities, session.sessionId);
  const directory = { protInfo, directory: folders.session(session.sessionId).proof };
  return { ...part, session, own, directory };
}

/** For the steps of the mixing, which end when the tally is published. */
export async function mixingParticipation(
  services: ElectionServices,
  task: Pick<TaskView, 'peerId'>,
  reference: TallyReference & { session_id: string },
): Promise<SessionParticipation> {
  const part = await sessionParticipation(services, task, reference);
  if (part.tally.status !== 'published') return part;
  throw new TaskError(
    `the tally ${reference.tally_id} is published: nothing of it is mixed or decrypted any more`,
    undefined,
    'disagreement',
  );
}

/** A failure that names the authority whose proof or message is wrong. */
export function invalidProof(authority: string, step: string, reason: string): TaskError {
  return new TaskError(
    `${authority} gave an invalid proof (${step}): ${reason}`,
    { authority, step, reason },
    'proof_invalid',
  );
}
