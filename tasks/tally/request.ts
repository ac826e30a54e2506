/** The border of a tally (EO-2, EO-30, D31): a request is checked whole before anything is started. */

import { simple } from '../../lib/engine/tree.ts';
import { ConclaveError } from '../../lib/errors.ts';
import type { Json } from '../../lib/json.ts';
import { DIRECTOR_QUEUE } from '../election/callbacks.ts';
import { type ElectionId, electionKey } from '../election/election.ts';
import type { ElectionServices } from '../election/services.ts';
import { parseTallyRequest, tallyRequestHash } from '../election/tally-request.ts';
import { demandElection } from '../election/trust.ts';
import { isUnderWay, oneAtATime } from '../election/under-way.ts';
import { resetTallied } from './records.ts';
import { demandTallyable } from './review.ts';

/**
 * Starts a tally with this node as director.
 * @returns the id of the root task
 * @throws ConclaveError `invalid_request` with all problems, `election_not_found`, `election_not_ready`,
 *   `already_tallied`, `tally_running`, `share_missing`, `not_an_authority` when another authority is the election's director
 */
export async function requestTally(services: ElectionServices, body: unknown): Promise<string> {
  const request = parseTallyRequest(body);
  const electionId = request.election_id;
  const election = await demandElection(services, electionId);
  if (election.directorUrl !== services.node.url)
    throw new ConclaveError('not_an_authority', {
      who: `${services.node.name} is not the director (${election.directorUrl} is), and`,
      electionId,
    });
  await demandTallyable(services, election, request);
  const data = { request, request_hash: tallyRequestHash(request) } as unknown as Json;
  return oneAtATime(`tally ${election.key}`, async () => {
    if (await isUnderWay(services.db, 'tally_election', election.key))
      throw new ConclaveError('tally_running', { electionId });
    return services.create(simple({ queue: DIRECTOR_QUEUE, action: 'tally_election', data }));
  });
}

/**
 * Allows this authority to tally an election again (EO-52 `--reset-tally`); every authority decides for itself.
 * @returns how many tallies were reset
 */
export async function resetTally(
  services: Pick<ElectionServices, 'db'>,
  electionId: ElectionId,
): Promise<number> {
  const key = electionKey(electionId);
  await demandElection(services as ElectionServices, electionId);
  return resetTallied(services.db, key);
}
