/**
 * The end of the demonstration: every authority's archive must be the same, bit for bit, and each is verified by a process
 * of its own, `conclave verify`, as an auditor would.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { niUri } from '../../../tasks/election/hash.ts';
import type { ElectionResults } from '../../../tasks/election/results.ts';
import { extractTarball } from '../../../tasks/election/tar-extract.ts';
import { CommandFailed } from '../outcome.ts';
import type { VerifiedJson } from '../verify.ts';
import type { Account } from './account.ts';
import { type DemoAuthority, LAUNCHER, withoutSettings } from './authority.ts';

export interface DemoSession {
  readonly id: string;
  /** Paths in the unpacked archive. */
  readonly protInfo: string;
  readonly proofs: string;
  readonly ciphertexts: string;
  /** How many plaintexts are votes, and how many are not. */
  readonly valid: number;
  readonly invalid: number;
}

export interface PublishedTally {
  readonly path: string;
  /** Lower-case hex. */
  readonly sha256: string;
  /** The archive, unpacked. */
  readonly folder: string;
  readonly sessions: readonly DemoSession[];
  readonly results: ElectionResults;
}

const MAX_OUTPUT_BYTES = 64 << 20;
const run = promisify(execFile);

/** @throws CommandFailed when any two differ, or anything is not valid */
export async function verifyEverywhere(
  authorities: readonly DemoAuthority[],
  electionId: number,
  announced: string,
  folder: string,
  account: Account,
  signal: AbortSignal,
): Promise<PublishedTally> {
  const archives = authorities.map(({ name, made }) => ({
    name,
    path: join(made.folder, 'public', String(electionId), 'tally.tar.gz'),
  }));
  for (const { name, path } of archives) {
    const hash = niUri(
      createHash('sha256')
        .update(await readFile(path))
        .digest(),
    );
    if (hash !== announced) {
      throw new CommandFailed(
        `the archive of ${name} has the hash ${hash}, and the manager was told ${announced}`,
      );
    }
  }
  account.line(`all ${archives.length} authorities have published the same archive, bit for bit`);
  const outcomes: VerifiedJson[] = [];
  for (const { name, path } of archives) {
    outcomes.push(await verifyAlone(name, path, announced, signal));
    account.line(`${name}: conclave verify says valid (${outcomes.at(-1)!.steps.length} steps)`);
    account.progress('verifying', outcomes.length / archives.length);
  }
  const [first] = outcomes;
  const texts = new Set(outcomes.map(({ results }) => JSON.stringify(results)));
  if (texts.size !== 1 || first?.results == null)
    throw new CommandFailed('the authorities verified different results');
  const { path } = archives[0]!;
  const unpacked = join(folder, 'tally');
  const { sha256 } = await extractTarball(path, unpacked);
  const sessions = await Promise.all(
    first.sessions.map(({ id }, question) => describeSession(unpacked, id, first.results!, question)),
  );
  return { path, sha256: sha256.toString('hex'), folder: unpacked, sessions, results: first.results };
}

async function verifyAlone(
  name: string,
  path: string,
  hash: string,
  signal: AbortSignal,
): Promise<VerifiedJson> {
  const args = [LAUNCHER, 'verify', path, '--hash', hash, '--json'];
  const options = { maxBuffer: MAX_OUTPUT_BYTES, signal, env: withoutSettings(process.env) };
  const { stdout } = await run(process.execPath, args, options).catch(
    (thrown: { stdout?: string; message: string }) => {
      signal.throwIfAborted();
      const wrong = stepsOf(thrown.stdout).find(({ ok }) => !ok);
      const why = wrong === undefined ? thrown.message : `${wrong.title}: ${wrong.reason}`;
      throw new CommandFailed(
        `the tally of ${name} is not valid: ${why}`,
        `Look yourself: npx conclave verify ${path}`,
      );
    },
  );
  return JSON.parse(stdout) as VerifiedJson;
}

function stepsOf(stdout: string | undefined): VerifiedJson['steps'] {
  try {
    return (JSON.parse(stdout ?? '') as VerifiedJson).steps;
  } catch {
    return [];
  }
}

async function describeSession(
  folder: string,
  id: string,
  results: ElectionResults,
  question: number,
): Promise<DemoSession> {
  const at = (name: string): string => join(folder, id, name);
  const { valid_votes, blank_votes, null_votes } = results.questions[question]!.totals;
  const session = {
    id,
    protInfo: at('protInfo.xml'),
    proofs: at('proofs'),
    ciphertexts: at('ciphertexts_json'),
    valid: valid_votes + blank_votes,
    invalid: null_votes,
  };
  for (const path of [session.protInfo, session.ciphertexts]) await stat(path);
  return session;
}
