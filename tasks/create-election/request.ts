/**
 * The border of a creation (EO-1, D31): a request is checked whole before anything is stored, and is answered with
 * everything that is wrong with it.
 */

import { simple } from '../../lib/engine/tree.ts';
import { ConclaveError } from '../../lib/errors.ts';
import type { Json } from '../../lib/json.ts';
import { DIRECTOR_QUEUE } from '../election/callbacks.ts';
import { electionKey } from '../election/election.ts';
import { findElection } from '../election/records.ts';
import { parseElectionRequest, requestHash } from '../election/request.ts';
import type { ElectionServices } from '../election/services.ts';
import { ownPosition, unknownAuthorities } from '../election/trust.ts';
import { isUnderWay, oneAtATime } from '../election/under-way.ts';
import { demandMixnet } from '../external/programs.ts';

/**
 * Starts the creation of an election with this node as director.
 * @returns the id of the root task
 * @throws ConclaveError `invalid_request` with all problems, `election_exists`, `not_an_authority`
 */
export async function requestElection(services: ElectionServices, body: unknown): Promise<string> {
  const { maxQuestions, defaultGroup } = services.settings;
  const defaultMixnet = services.external === null ? 'conclave' : 'verificatum';
  const request = parseElectionRequest(body, { maxQuestions, defaultGroup, defaultMixnet });
  demandMixnet(services, request);
  const electionId = request.id;
  if (ownPosition(services, request.authorities) === 0)
    throw new ConclaveError('not_an_authority', { who: services.node.name, electionId });
  const problems = unknownAuthorities(services, request.authorities).map(
    ({ at, problem }) => `${at}: ${problem}`,
  );
  if (problems.length > 0) throw new ConclaveError('invalid_request', { problems });
  const data = { request, request_hash: requestHash(request) } as unknown as Json;
  const key = electionKey(electionId);
  return oneAtATime(`election ${key}`, async () => {
    const known = await findElection(services.db, key);
    // What came to nothing does not block its id, nor does what an operator cancelled here on the way.
    const over = known?.status === 'failed' || known?.status === 'denied';
    const ours = known?.status !== 'created' && known?.directorUrl === services.node.url;
    const free = known === undefined || over || ours;
    if (!free || (await isUnderWay(services.db, 'create_election', key)))
      throw new ConclaveError('election_exists', { electionId });
    return services.create(
      simple({ queue: DIRECTOR_QUEUE, action: 'create_election', data, info: request.title }),
    );
  });
}
