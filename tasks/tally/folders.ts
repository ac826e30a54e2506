/** Where a tally's files lie on an authority: below the private folder until they are published. */
import { join } from 'node:path';
import type { ElectionServices } from '../election/services.ts';

const TALLY_ID = /^[A-Za-z0-9_-]{1,128}$/;

export interface TallyFolders {
  root: string;
  votes: string;
  invalidVotes: string;
  /** The accepted ballots, with their proofs. */
  ballots: string;
  spool: string;
  /** Of steps that are under way. */
  attempts: string;
  session(sessionId: string): { root: string; ciphertexts: string; proof: string; attempts: string };
}

function electionFolder(services: ElectionServices, election: string): string {
  if (!TALLY_ID.test(election)) throw new RangeError('not the id of an election');
  return join(services.privateFolder, 'elections', election);
}

/** Where votes are reviewed, until the tally is recorded. */
export function reviewsFolder(services: ElectionServices, election: string): string {
  return join(electionFolder(services, election), 'reviews');
}

/** Ids were checked by their schemas; a path that leaves the folder is refused all the same. */
export function tallyFolders(services: ElectionServices, election: string, tallyId: string): TallyFolders {
  if (!TALLY_ID.test(tallyId)) throw new RangeError('not the id of a tally');
  return foldersIn(join(electionFolder(services, election), 'tallies', tallyId));
}

/** The parts of a tally's folder, wherever it is. */
export function foldersIn(root: string): TallyFolders {
  return {
    root,
    votes: join(root, 'votes'),
    invalidVotes: join(root, 'invalid_votes'),
    ballots: join(root, 'ballots_json'),
    spool: join(root, 'spool'),
    attempts: join(root, 'attempts'),
    session(sessionId) {
      if (!TALLY_ID.test(sessionId)) throw new RangeError('not the id of a session');
      const folder = join(root, sessionId);
      return {
        root: folder,
        ciphertexts: join(folder, 'ciphertexts_json'),
        proof: join(folder, 'proof'),
        attempts: join(folder, 'attempts'),
      };
    },
  };
}
