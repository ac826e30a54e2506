/*
 * Elections in the midst of faults, one after another: created, voted in, tallied, by an election manager who asks again
 * until somebody listens; and afterwards the archives of all authorities, compared and verified.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import { randomChoices, type SessionKey, voteLines } from '../../lib/cli/ballot-maker.ts';
import { differences, electionRequest } from '../../lib/cli/demo/election.ts';
import type { Callback, DemoManager } from '../../lib/cli/demo/manager.ts';
import type { VerifiedJson } from '../../lib/cli/verify.ts';
import { MixnetWorker } from '../../lib/mixnet/worker/client.ts';
import { niUri } from '../../tasks/election/hash.ts';
import { parseElectionRequest } from '../../tasks/election/request.ts';
import type { Random } from '../simulation/random.ts';
import { LAUNCHER } from '../support/node-folders.ts';
import { type ChaosAuthority, withoutSettings } from './authority.ts';

const run = promisify(execFile);
const THRESHOLD = 2;
/** Between two attempts of the manager. */
const AGAIN_MILLISECONDS = 300;
const MAX_OUTPUT_BYTES = 64 << 20;

export interface ElectionOutcome {
  readonly id: number;
  readonly director: string;
  readonly from: number;
  to: number;
  state: 'under way' | 'tallied' | 'failed' | 'not asked for';
  /** Who published, once it is tallied. */
  publishers: string[];
  /** What the manager was told. */
  reason: string | null;
}

export interface ElectionParts {
  readonly manager: DemoManager;
  readonly authorities: readonly ChaosAuthority[];
  readonly random: Random;
  readonly folder: string;
  readonly note: (text: string) => void;
  readonly found: (what: string) => void;
}

export class Elections {
  readonly outcomes: ElectionOutcome[] = [];
  readonly #parts: ElectionParts;
  readonly #mixnet = new MixnetWorker({ threads: 1 });
  readonly #checks: (() => Promise<void>)[] = [];

  constructor(parts: ElectionParts) {
    this.#parts = parts;
  }

  /** Elections, until `last` says that this one was the last; `signal` ends the waiting for it. */
  async run(last: () => boolean, signal: AbortSignal): Promise<void> {
    do {
      const outcome = this.#next();
      try {
        await this.#hold(outcome, signal);
      } catch (thrown) {
        const reason = signal.aborted ? 'it did not end in time' : (thrown as Error).message;
        outcome.reason = reason;
        if (signal.aborted) this.#parts.found(`election ${outcome.id}: ${reason}`);
        else if (outcome.state === 'under way') outcome.state = 'failed';
        this.#parts.note(`election ${outcome.id}: ${outcome.reason}`);
      }
      outcome.to = Date.now();
      // An election that fails at once must not become a storm.
      if (outcome.state !== 'tallied') await pause(500);
    } while (!last() && !signal.aborted);
  }

  /** Compares and verifies what was published. Needs no node. */
  async check(): Promise<void> {
    for (const check of this.#checks) await check();
  }

  async close(): Promise<void> {
    await this.#mixnet.close();
  }

  #next(): ElectionOutcome {
    const { authorities, random } = this.#parts;
    const outcome: ElectionOutcome = {
      id: this.outcomes.length + 1,
      director: random.pick(authorities).name,
      from: Date.now(),
      to: Number.POSITIVE_INFINITY,
      state: 'under way',
      publishers: [],
      reason: null,
    };
    this.outcomes.push(outcome);
    return outcome;
  }

  async #hold(outcome: ElectionOutcome, signal: AbortSignal): Promise<void> {
    const { manager, authorities, random, folder, note } = this.#parts;
    const { id, director: name } = outcome;
    const [questions, ballots] = [random.between(1, 2), random.between(10, 20)];
    const director = authorities.find((authority) => authority.name === name)!;
    note(`election ${id}: ${questions} question(s), ${ballots} ballots, directed by ${name}`);
    const request = electionRequest(id, questions, THRESHOLD, manager.callbackUrl, authorities);
    await this.#ask(director, '/public_api/election', request, signal);
    const created = await manager.callback('POST /election', signal, () => {}, id);
    const sessions = successful(created, 'created').session_data as SessionKey[];
    const parsed = parseElectionRequest(request);
    const choices = randomChoices(parsed.questions, ballots);
    const votes = join(folder, `votes-${id}`);
    const lines: string[] = [];
    for await (const line of voteLines(parsed, sessions, choices, this.#mixnet)) lines.push(`${line}\n`);
    await writeFile(votes, lines.join(''));
    await this.#ask(
      director,
      '/public_api/tally',
      {
        election_id: id,
        callback_url: manager.callbackUrl,
        votes_url: await manager.offer(votes),
        votes_hash: niUri(createHash('sha256').update(lines.join('')).digest()),
      },
      signal,
    );
    const tallied = successful(await manager.callback('POST /tally', signal, () => {}, id), 'tallied');
    outcome.state = 'tallied';
    const hash = String(tallied.data?.tally_hash);
    note(`election ${id}: tallied in ${((Date.now() - outcome.from) / 1000).toFixed(1)} s`);
    this.#checks.push(async () => {
      const results = await this.#published(outcome, hash);
      if (results === null) return;
      for (const difference of differences(parsed, choices, results))
        this.#parts.found(`election ${id}: ${difference}`);
    });
  }

  /** Asks until the director has the request: an answer that was lost says nothing. */
  async #ask(director: ChaosAuthority, path: string, body: unknown, signal: AbortSignal): Promise<void> {
    for (;;) {
      try {
        await this.#parts.manager.post(director, path, body);
        return;
      } catch (thrown) {
        const { message } = thrown as Error;
        // Asked before, and heard.
        if (/election_exists|tally_running|already_tallied/.test(message)) return;
        if (/ answered 4\d\d /.test(message)) throw thrown;
        await pause(AGAIN_MILLISECONDS, undefined, { signal });
      }
    }
  }

  async #published({ id, publishers }: ElectionOutcome, announced: string): Promise<VerifiedJson['results']> {
    const { authorities, found } = this.#parts;
    const paths: string[] = [];
    for (const { name, made } of authorities) {
      const path = join(made.folder, 'public', String(id), 'tally.tar.gz');
      const bytes = await readFile(path).catch(() => null);
      if (bytes === null) continue;
      publishers.push(name);
      paths.push(path);
      const hash = niUri(createHash('sha256').update(bytes).digest());
      if (hash !== announced)
        found(
          `election ${id}: the archive of ${name} has the hash ${hash}, the manager was told ${announced}`,
        );
    }
    if (paths.length < THRESHOLD) found(`election ${id}: only ${publishers.join()} published an archive`);
    const [path] = paths;
    if (path === undefined) return null;
    const args = [LAUNCHER, 'verify', path, '--hash', announced, '--json'];
    const options = { maxBuffer: MAX_OUTPUT_BYTES, env: withoutSettings(process.env) };
    try {
      const { stdout } = await run(process.execPath, args, options);
      return (JSON.parse(stdout) as VerifiedJson).results;
    } catch (thrown) {
      found(`election ${id}: ${path} is not valid: ${(thrown as Error).message.slice(0, 2000)}`);
      return null;
    }
  }
}

function successful(callback: Callback, what: string): Callback {
  if (callback.status === 'finished') return callback;
  throw new Error(`was not ${what}: ${JSON.stringify(callback.data ?? null)}`);
}
