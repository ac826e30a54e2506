/**
 * What anybody can check of a published tally (EO-39, EO-59), from its unpacked archive alone: that each question's proofs
 * are valid for exactly the ciphertexts, key and plaintexts that lie beside them, and that the results are the count of
 * these plaintexts. Where the ballots came from is not in the archive, and is not checked.
 */
import { createReadStream } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import { serialise } from '../../lib/mixnet/byteTree/tree.ts';
import { publicKeyTree } from '../../lib/mixnet/elgamal/ciphertexts.ts';
import { parseCiphertexts, writeCiphertexts } from '../../lib/mixnet/formats/external.ts';
import { type PublicKeyJson, publicKeyFromJson } from '../../lib/mixnet/formats/publicKeyJson.ts';
import { Refusal } from '../../lib/mixnet/refusal.ts';
import { readProtocolInfo } from '../../lib/mixnet/session/protocolInfo.ts';
import { MixSession } from '../../lib/mixnet/session/session.ts';
import type { Expectations } from '../../lib/mixnet/verifier/proofDirectoryVerifier.ts';
import type { MixnetWorker } from '../../lib/mixnet/worker/client.ts';
import { plaintextOfInteger } from '../election/ballot-encoding.ts';
import { compactJson } from '../election/canonical.ts';
import { GROUP_CAPACITY, GROUPS, isElectionId, type Question } from '../election/election.ts';
import {
  type ElectionResults,
  QuestionCount,
  type QuestionResult,
  resultsJson,
} from '../election/results.ts';
import { SESSION_ID } from '../election/session-parameters.ts';

export interface TallyStep {
  /** Stable: `layout`, `results`, `<session>/keys`, `<session>/shuffle-2`, … */
  readonly id: string;
  readonly title: string;
  readonly ok: boolean;
  readonly detail?: string;
}

export interface VerifiedSession {
  readonly id: string;
  readonly title: string;
  readonly ok: boolean;
  /** How many ciphertexts were mixed. */
  readonly ciphertexts: number;
  /** How many authorities there are, and how many must agree to decrypt. */
  readonly parties: number;
  readonly threshold: number;
}

export interface TallyVerification {
  readonly ok: boolean;
  readonly steps: readonly TallyStep[];
  readonly sessions: readonly VerifiedSession[];
  /** What the plaintexts give; only when everything is valid. */
  readonly results: ElectionResults | null;
}

export interface VerificationOptions {
  readonly mixnet: MixnetWorker;
  readonly onStep?: (step: TallyStep) => void;
  readonly signal?: AbortSignal;
}

/** The step could not be passed, and nothing after it has a meaning. */
class Ended extends Error {}

/** What is wrong with the archive; the detail is shown. */
class Wrong extends Error {}

/** `folder`: the unpacked archive. Never throws for what is wrong with it: that is a step that failed. */
export async function verifyTally(folder: string, options: VerificationOptions): Promise<TallyVerification> {
  const verification = new Verification(folder, options);
  try {
    return await verification.run();
  } catch (thrown) {
    if (!(thrown instanceof Ended)) throw thrown;
    return verification.outcome(null);
  }
}

interface Layout {
  readonly sessions: readonly string[];
  readonly questions: readonly Question[];
  readonly publicKeys: readonly PublicKeyJson[];
  readonly published: string;
  readonly electionId: ElectionResults['election_id'];
}

interface SessionFiles {
  readonly protInfo: string;
  readonly session: MixSession;
  readonly directory: string;
  readonly group: (typeof GROUPS)[number];
}

class Verification {
  readonly #folder: string;
  readonly #options: VerificationOptions;
  readonly #steps: TallyStep[] = [];
  readonly #sessions: VerifiedSession[] = [];

  constructor(folder: string, options: VerificationOptions) {
    this.#folder = folder;
    this.#options = options;
  }

  outcome(results: ElectionResults | null): TallyVerification {
    const ok = this.#steps.length > 0 && this.#steps.every((step) => step.ok) && results !== null;
    return { ok, steps: this.#steps, sessions: this.#sessions, results: ok ? results : null };
  }

  async run(): Promise<TallyVerification> {
    const layout = await this.#step('layout', 'The files of a tally, and nothing else', () => this.#layout());
    const counted: QuestionResult[] = [];
    for (const [question, id] of layout.sessions.entries()) {
      counted.push(await this.#verifySession(id, layout.questions[question]!, layout.publicKeys[question]!));
    }
    await this.#step('ciphertexts', 'The list of all ballots is that of the questions together', () =>
      this.#checkJoinedList(layout.sessions),
    );
    const results = await this.#step('results', 'The results are the count of the plaintexts', async () => {
      const own = resultsJson(layout.electionId, counted);
      if (own !== layout.published) throw new Wrong('results_json says something else than the plaintexts');
      return JSON.parse(own) as ElectionResults;
    });
    return this.outcome(results);
  }

  async #verifySession(id: string, question: Question, publicKey: PublicKeyJson): Promise<QuestionResult> {
    const { mixnet, signal } = this.#options;
    const before = this.#steps.length;
    const files = await this.#step(`${id}/parameters`, `${question.title}: parameters and key`, () =>
      this.#sessionFiles(id, publicKey),
    );
    const { info } = files.session;
    const empty = (await stat(this.#path(id, 'ciphertexts_json'))).size === 0;
    let length = 0;
    if (empty) {
      await this.#step(`${id}/empty`, `${question.title}: no ballots, so nothing to mix`, () =>
        this.#checkEmpty(id),
      );
    } else {
      const expect = await this.#step(`${id}/ciphertexts`, `${question.title}: ciphertexts`, () =>
        this.#expectations(id, files, publicKey),
      );
      const { protInfo, directory } = files;
      const onProgress = { ...(signal === undefined ? {} : { signal }) };
      const result = await mixnet.run('verifyProofDirectory', { protInfo, directory, expect }, onProgress);
      for (const { id: step, title, ok, reason, detail } of result.steps) {
        const why = ok ? {} : { detail: `${reason}: ${detail}` };
        this.#note({ id: `${id}/${step}`, title: `${question.title}: ${title}`, ok, ...why });
      }
      if (!result.ok) this.#end();
      length = result.length ?? 0;
      await this.#step(`${id}/plaintexts`, `${question.title}: plaintexts`, () =>
        this.#checkPlaintexts(id, files, result.shufflers?.at(-1) ?? 0),
      );
    }
    const ok = this.#steps.slice(before).every((step) => step.ok);
    const { nopart: parties, thres: threshold } = info;
    this.#sessions.push({ id, title: question.title, ok, ciphertexts: length, parties, threshold });
    return await this.#count(id, question, files.group);
  }

  async #layout(): Promise<Layout> {
    const entries = await readdir(this.#folder, { withFileTypes: true });
    const sessions = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
    const stranger = sessions.find((name) => !SESSION_ID.test(name));
    if (stranger !== undefined) throw new Wrong(`the folder ${stranger} is no session of an election`);
    const number = (name: string): number => Number(SESSION_ID.exec(name)![1]);
    sessions.sort((one, other) => number(one) - number(other));
    const questions = questionsSchema.parse(await this.#json('questions_json')) as unknown as Question[];
    if (sessions.length !== questions.length || sessions.some((name, at) => number(name) !== at)) {
      throw new Wrong(
        `there are sessions ${sessions.join(', ') || 'none'} for ${questions.length} questions`,
      );
    }
    const publicKeys = z
      .array(keySchema)
      .length(questions.length)
      .parse(await this.#json('pubkeys_json'));
    const published = await this.#text('results_json');
    const electionId = (JSON.parse(published) as { election_id?: unknown }).election_id;
    if (!isElectionId(electionId)) throw new Wrong('results_json names no election');
    return { sessions, questions, publicKeys, published, electionId };
  }

  async #sessionFiles(id: string, publicKey: PublicKeyJson): Promise<SessionFiles> {
    const protInfo = await this.#text(id, 'protInfo.xml');
    const session = new MixSession(readProtocolInfo(protInfo), { auxsid: 'default', width: 1 });
    const group = GROUPS.find((name) => name === session.group.name);
    if (group === undefined) throw new Wrong(`elections do not use the group ${session.group.name}`);
    const own = keySchema.parse(await this.#json(id, 'publicKey_json'));
    if (compactJson(own) !== compactJson(publicKey))
      throw new Wrong('publicKey_json and pubkeys_json differ');
    if (publicKeyFromJson(own).group.name !== group) throw new Wrong('the key is of another group');
    return { protInfo, session, group, directory: this.#path(id, 'proofs') };
  }

  async #checkEmpty(id: string): Promise<void> {
    if ((await stat(this.#path(id, 'plaintexts_json'))).size > 0)
      throw new Wrong('there are plaintexts all the same');
    if ((await stat(this.#path(id, 'proofs')).catch(() => null)) !== null)
      throw new Wrong('there are proofs');
  }

  async #expectations(
    id: string,
    { session }: SessionFiles,
    publicKey: PublicKeyJson,
  ): Promise<Expectations> {
    const list = parseCiphertexts(session.codec, await readFile(this.#path(id, 'ciphertexts_json')), 'json');
    const { key } = publicKeyFromJson(publicKey);
    return {
      type: 'mixing',
      width: 1,
      publicKey: serialise(publicKeyTree(session.codec, key)),
      ciphertexts: writeCiphertexts(session.codec, list, 'raw'),
    };
  }

  /** The file that was counted is what the proofs prove, to the last byte. */
  async #checkPlaintexts(id: string, { protInfo, directory }: SessionFiles, from: number): Promise<void> {
    const { mixnet, signal } = this.#options;
    const temporary = await mkdtemp(join(tmpdir(), 'conclave-verify-'));
    try {
      const path = join(temporary, 'plaintexts');
      const parameters = { protInfo, directory, from, path, format: 'integers' } as const;
      await mixnet.run('exportPlaintexts', parameters, signal === undefined ? {} : { signal });
      const [proved, given] = await Promise.all([
        readFile(path),
        readFile(this.#path(id, 'plaintexts_json')),
      ]);
      if (!proved.equals(given)) throw new Wrong('plaintexts_json is not what the proofs prove');
    } finally {
      await rm(temporary, { recursive: true, force: true });
    }
  }

  async #count(id: string, question: Question, group: (typeof GROUPS)[number]): Promise<QuestionResult> {
    return await this.#step(`${id}/count`, `${question.title}: count`, async () => {
      const count = new QuestionCount(question, GROUP_CAPACITY[group]);
      for await (const line of linesOf(this.#path(id, 'plaintexts_json'))) {
        const integer = z.string().regex(/^\d+$/).nullable().parse(JSON.parse(line));
        count.add(integer === null ? undefined : plaintextOfInteger(BigInt(integer)));
      }
      return count.result();
    });
  }

  async #checkJoinedList(sessions: readonly string[]): Promise<void> {
    const all = linesOf(this.#path('ciphertexts_json'))[Symbol.asyncIterator]();
    const each = sessions.map((id) => linesOf(this.#path(id, 'ciphertexts_json'))[Symbol.asyncIterator]());
    for (let line = 1; ; line += 1) {
      const [joined, ...parts] = await Promise.all([all, ...each].map((lines) => lines.next()));
      if (parts.every(({ done }) => done === true) && joined!.done === true) return;
      if (joined!.done === true || parts.some(({ done }) => done === true)) {
        throw new Wrong(`the lists have different lengths (at line ${line})`);
      }
      const choices = parts.map(({ value }) => JSON.parse(value as string) as unknown);
      if (compactJson({ choices }) !== joined!.value) throw new Wrong(`line ${line} is another ballot`);
    }
  }

  async #step<T>(id: string, title: string, check: () => Promise<T>): Promise<T> {
    this.#options.signal?.throwIfAborted();
    try {
      const value = await check();
      this.#note({ id, title, ok: true });
      return value;
    } catch (thrown) {
      const detail = whatIsWrong(thrown);
      if (detail === undefined) throw thrown;
      this.#note({ id, title, ok: false, detail });
      return this.#end();
    }
  }

  #note(step: TallyStep): void {
    this.#steps.push(step);
    this.#options.onStep?.(step);
  }

  #end(): never {
    throw new Ended();
  }

  #path(...parts: readonly string[]): string {
    return join(this.#folder, ...parts);
  }

  async #text(...parts: readonly string[]): Promise<string> {
    return await readFile(this.#path(...parts), 'utf8');
  }

  async #json(...parts: readonly string[]): Promise<unknown> {
    return JSON.parse(await this.#text(...parts));
  }
}

const keySchema = z.record(z.string().max(32), z.string().max(2000));
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

function linesOf(path: string): AsyncIterable<string> {
  return createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY });
}

/** Undefined: it is our own mistake, or the disk's. */
function whatIsWrong(thrown: unknown): string | undefined {
  if (thrown instanceof Wrong || thrown instanceof RangeError) return thrown.message;
  if (thrown instanceof Refusal) return `${thrown.reason}: ${thrown.message}`;
  if (thrown instanceof SyntaxError) return `it is not JSON: ${thrown.message}`;
  if (thrown instanceof z.ZodError) {
    const [issue] = thrown.issues;
    return `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'not of the right form'}`;
  }
  const { code, path } = thrown as NodeJS.ErrnoException;
  if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'EISDIR') return `there is no file ${path ?? ''}`;
  return undefined;
}
