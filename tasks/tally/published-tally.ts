/**
 * An unpacked tally (EO-39) on the reader's disk: which files it has, to the last one, and what they say as far as that can
 * be seen without proofs.
 */
import { createReadStream } from 'node:fs';
import { lstat, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import type { PublicKeyJson } from '../../lib/mixnet/formats/public-key-json.ts';
import { isElectionId, type Question } from '../election/election.ts';
import type { ElectionResults } from '../election/results.ts';
import { SESSION_ID } from '../election/session-parameters.ts';

/** What is wrong with the archive; the detail is shown. */
export class Wrong extends Error {}

export interface Layout {
  readonly sessions: readonly string[];
  readonly questions: readonly Question[];
  readonly publicKeys: readonly PublicKeyJson[];
  readonly published: string;
  readonly electionId: ElectionResults['election_id'];
  /** Archives of other programs have neither key generations nor whole ballots. */
  readonly hasKeys: boolean;
  readonly hasBallots: boolean;
}

export class PublishedTally {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async layout(): Promise<Layout> {
    const sessions = await this.#sessionNames();
    const questions = questionsSchema.parse(await this.json('questions_json')) as unknown as Question[];
    if (sessions.length !== questions.length || sessions.some((name, at) => numberOf(name) !== at)) {
      throw new Wrong(
        `there are sessions ${sessions.join(', ') || 'none'} for ${questions.length} questions`,
      );
    }
    const own = await this.#demandFiles([], TALLY_FILES, [...sessions, 'ballots_json']);
    const inside: string[][] = [];
    for (const id of sessions)
      inside.push(await this.#demandFiles([id], SESSION_FILES, ['keygen_json', 'proofs']));
    const hasKeys = inside.some((names) => names.includes('keygen_json'));
    if (hasKeys && !inside.every((names) => names.includes('keygen_json')))
      throw new Wrong('keygen_json is there for some questions only');
    await this.#checkInvalidVotes();
    const publicKeys = z
      .array(keySchema)
      .length(questions.length)
      .parse(await this.json('pubkeys_json'));
    const published = await this.text('results_json');
    const electionId = (JSON.parse(published) as { election_id?: unknown }).election_id;
    if (!isElectionId(electionId)) throw new Wrong('results_json names no election');
    const hasBallots = own.includes('ballots_json');
    return { sessions, questions, publicKeys, published, electionId, hasKeys, hasBallots };
  }

  async #sessionNames(): Promise<string[]> {
    const entries = await readdir(this.#folder, { withFileTypes: true });
    const sessions = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
    const stranger = sessions.find((name) => !SESSION_ID.test(name));
    if (stranger !== undefined) throw new Wrong(`the folder ${stranger} is no session of an election`);
    return sessions.sort((one, other) => numberOf(one) - numberOf(other));
  }

  /** Exactly the required names, and perhaps the allowed ones; plain files, or the folders that are named as such. */
  async #demandFiles(
    at: readonly string[],
    required: readonly string[],
    allowed: readonly string[],
  ): Promise<string[]> {
    const names = await readdir(this.path(...at));
    const where = at.length === 0 ? '' : `${at.join('/')}/`;
    for (const name of required) if (!names.includes(name)) throw new Wrong(`${where}${name} is missing`);
    for (const name of names) {
      if (![...required, ...allowed].includes(name))
        throw new Wrong(`${where}${name} is not part of a tally`);
      const status = await lstat(this.path(...at, name));
      const folder = name === 'proofs' || SESSION_ID.test(name);
      if (folder ? !status.isDirectory() : !status.isFile())
        throw new Wrong(`${where}${name} is not a plain ${folder ? 'folder' : 'file'}`);
    }
    return names;
  }

  /** EO-34: the number first, then as many lines. */
  async #checkInvalidVotes(): Promise<void> {
    let announced: string | undefined;
    let lines = 0;
    for await (const line of linesOf(this.path('invalid_votes'))) {
      if (announced === undefined) announced = line;
      else {
        lines += 1;
        JSON.parse(line);
      }
    }
    if (announced !== String(lines))
      throw new Wrong(`invalid_votes announces ${announced ?? 'nothing'} and has ${lines} lines`);
  }

  path(...parts: readonly string[]): string {
    return join(this.#folder, ...parts);
  }

  async text(...parts: readonly string[]): Promise<string> {
    return await readFile(this.path(...parts), 'utf8');
  }

  async json(...parts: readonly string[]): Promise<unknown> {
    return JSON.parse(await this.text(...parts));
  }
}

const TALLY_FILES = ['questions_json', 'pubkeys_json', 'results_json', 'ciphertexts_json', 'invalid_votes'];
const SESSION_FILES = ['ciphertexts_json', 'plaintexts_json', 'protInfo.xml', 'publicKey_json'];
function numberOf(session: string): number {
  return Number(SESSION_ID.exec(session)![1]);
}

export const keySchema = z.record(z.string().max(32), z.string().max(2000));
/** As far as counting needs them; the requests were checked when they came. */
const questionsSchema = z
  .array(
    z.looseObject({
      title: z.string(),
      tally_type: z.string(),
      min: z.int().min(0),
      max: z.int().min(1),
      num_winners: z.int().min(0),
      answers: z
        .array(z.looseObject({ id: z.int().min(0), text: z.string(), urls: z.array(z.unknown()) }))
        .max(1000),
    }),
  )
  .min(1)
  .max(1000);

export function linesOf(path: string): AsyncIterable<string> {
  return createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY });
}
