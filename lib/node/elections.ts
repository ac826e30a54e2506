/** The election workflows as a node runs them: their definitions, and what managers and operators may ask of them. */
import { requestElection } from '../../tasks/create-election/request.ts';
import { electionDefinitions } from '../../tasks/definitions.ts';
import { MIXNET_QUEUE } from '../../tasks/election/callbacks.ts';
import {
  checkPrivateShare,
  deletePrivateShare,
  downloadPrivateShare,
  restorePrivateShare,
} from '../../tasks/election/private-shares.ts';
import type { ElectionServices } from '../../tasks/election/services.ts';
import { requestTally } from '../../tasks/tally/request.ts';
import type { Workflows } from './assembly.ts';

export function electionWorkflows(services: ElectionServices): Workflows {
  return {
    definitions: electionDefinitions(services),
    // The programs of all authorities must run together, each at its one address: one session at a time (EO-26, EO-53).
    ...(services.external === null ? {} : { queues: { [MIXNET_QUEUE]: { maxThreads: 1 } } }),
    elections: {
      requestElection: (body) => requestElection(services, body),
      requestTally: (body) => requestTally(services, body),
      downloadPrivateShare: (electionId) => downloadPrivateShare(services, electionId),
      checkPrivateShare: (electionId, key) => checkPrivateShare(services, electionId, key),
      deletePrivateShare: (electionId, key) => deletePrivateShare(services, electionId, key),
      restorePrivateShare: (electionId, key) => restorePrivateShare(services, electionId, key),
    },
  };
}
