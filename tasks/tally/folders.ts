/** Where a tally's files lie on an authority: below the private folder until they are published. */
import { join } from 'node:path';
import type { ElectionServices } from '../election/services.ts';

const TALLY_ID = /^[A-Za-z0-9_-]{1,128}$/;

export interface TallyFolders {
  root: string;
  votes: string;
  invalidVotes: string;
  spool: string;
  session(sessionId: string): { root: string; ciphertexts: string; proof: string; plaintexts: string };
}

/** Ids were checked by their schemas; a path that leaves the folder is refused all the same. */
export function tallyFolders(services: ElectionServices, election: string, tallyId: string): TallyFolders {
  if (!TALLY_ID.test(tallyId) || !TALLY_ID.test(election)) throw new RangeError('not the id of a tally');
  const root = join(services.privateFolder, 'elections', election, 'tallies', tallyId);
  return {
    root,
    votes: join(root, 'votes'),
    invalidVotes: join(root, 'invalid_votes'),
    spool: join(root, 'spool'),
    session(sessionId) {
      if (!TALLY_ID.test(sessionId)) throw new RangeError('not the id of a session');
      const folder = join(root, sessionId);
      return {
        root: folder,
        ciphertexts: join(folder, 'ciphertexts_json'),
        proof: join(folder, 'proof'),
        plaintexts: join(folder, 'plaintexts_json'),
      };
    },
  };
}
