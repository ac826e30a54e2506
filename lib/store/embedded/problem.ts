/*
 * What can go wrong while the embedded database is found, placed, initialised or started (D52).
 *
 * Every message names the directory, account or version concerned and says what to do: these errors are read by the
 * operator who has just typed a command, never by a peer.
 */
import { ConclaveError } from '../../errors.ts';

export type EmbeddedProblem =
  | 'no_binaries'
  | 'wrong_major_version'
  | 'unreachable_directory'
  | 'wrong_owner'
  | 'no_account'
  | 'cannot_place'
  | 'initdb_failed'
  | 'start_failed'
  | 'start_timeout'
  | 'still_running';

/** The embedded database cannot be used; `problem` says why in one word, the message says what to do. */
export class EmbeddedDatabaseError extends ConclaveError {
  readonly problem: EmbeddedProblem;

  constructor(problem: EmbeddedProblem, reason: string, options?: ErrorOptions) {
    super('database_start_failed', { reason, problem }, options);
    this.problem = problem;
  }
}
