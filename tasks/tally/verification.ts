/**
 * What anybody can check of a published tally (EO-39, EO-59), from its archive alone: that the authorities made each key as
 * they should; that every ballot proves its plaintext known and none was copied; that the proofs are valid for exactly the
 * ciphertexts, key and plaintexts that lie beside them; that the results are the count of these plaintexts; and that there
 * is nothing else. Whether the ballots are those of the voters, and the certificates those of the authorities, is not in
 * the archive. Needs no node, no database and no network.
 */
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { ConclaveError } from '../../lib/errors.ts';
import { serialise } from '../../lib/mixnet/byte-tree/tree.ts';
import { publicKeyTree } from '../../lib/mixnet/elgamal/ciphertexts.ts';
import { parseCiphertexts, writeCiphertexts } from '../../lib/mixnet/formats/external.ts';
import { type PublicKeyJson, publicKeyFromJson } from '../../lib/mixnet/formats/public-key-json.ts';
import { Refusal } from '../../lib/mixnet/refusal.ts';
import { readProtocolInfo } from '../../lib/mixnet/session/protocol-info.ts';
import { MixSession } from '../../lib/mixnet/session/session.ts';
import type { Expectations } from '../../lib/mixnet/verifier/proof-directory-verifier.ts';
import type { MixnetWorker } from '../../lib/mixnet/worker/client.ts';
import { plaintextOfInteger } from '../election/ballot-encoding.ts';
import { compactJson } from '../election/canonical.ts';
import { GROUP_CAPACITY, GROUPS, type Question } from '../election/election.ts';
import { equalDigests, parseDigest, urlSafeBase64 } from '../election/hash.ts';
import {
  type ElectionResults,
  QuestionCount,
  type QuestionResult,
  resultsJson,
} from '../election/results.ts';
import { extractTarball } from '../election/tar-extract.ts';
import { ArchiveRefused } from '../election/tar-format.ts';
import { keySchema, type Layout, linesOf, PublishedTally, Wrong } from './published-tally.ts';
import { checkBallots, checkKey, type VerifiedAuthority } from './verification-origins.ts';
import { tallySectionOf } from './verification-sections.ts';

export interface TallyStep {
  /** Stable and unique: `archive`, `hash`, `layout`, `ballots`, `results`, `<session>/key`, `<session>/shuffle-2`, … */
  readonly id: string;
  /** Of docs/specification: of verification.md what is a proof directory's, of tally.md the rest. */
  readonly section: number;
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
  /** Who made the keys; null when the archive does not show it. Compare the certificates with those that you know. */
  readonly authorities: readonly VerifiedAuthority[] | null;
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

/**
 * `path`: the archive, or the folder into which it was unpacked. Beside an archive, `<path>.sha256` is checked if it is
 * there. Never throws for what is wrong with the tally: that is a step that failed.
 */
export async function verifyTally(path: string, options: VerificationOptions): Promise<TallyVerification> {
  const verification = new Verification(options);
  const temporary = await mkdtemp(join(tmpdir(), 'conclave-verify-'));
  try {
    const packed = (await stat(path)).isFile();
    return await verification.run(packed ? await verification.unpack(path, temporary) : path);
  } catch (thrown) {
    if (!(thrown instanceof Ended)) throw thrown;
    return verification.outcome(null);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

interface SessionFiles {
  readonly protInfo: string;
  readonly session: MixSession;
  readonly directory: string;
  readonly group: (typeof GROUPS)[number];
}

class Verification {
  #tally = new PublishedTally('');
  #authorities: VerifiedAuthority[] | null = null;
  readonly #options: VerificationOptions;
  readonly #steps: TallyStep[] = [];
  readonly #sessions: VerifiedSession[] = [];

  constructor(options: VerificationOptions) {
    this.#options = options;
  }

  outcome(results: ElectionResults | null): TallyVerification {
    const ok = this.#steps.length > 0 && this.#steps.every((step) => step.ok) && results !== null;
    const [steps, sessions, authorities] = [this.#steps, this.#sessions, this.#authorities];
    return { ok, steps, sessions, authorities, results: ok ? results : null };
  }

  /** The folder into which the archive was unpacked. */
  async unpack(path: string, temporary: string): Promise<string> {
    const folder = join(temporary, 'tally');
    const { sha256 } = await this.#step(
      'archive',
      'The archive is whole, and unpacks into its own folder',
      () => extractTarball(path, folder),
    );
    const announced = await readFile(`${path}.sha256`, 'utf8').catch(() => undefined);
    if (announced !== undefined)
      await this.#step('hash', 'The archive has the hash that is announced beside it', async () => {
        const expected = parseDigest(announced.trim());
        if (expected === undefined || !equalDigests(sha256, expected))
          throw new Wrong(`it has the hash ${urlSafeBase64(sha256)}, not ${announced.trim().slice(0, 100)}`);
      });
    return folder;
  }

  async run(folder: string): Promise<TallyVerification> {
    this.#tally = new PublishedTally(folder);
    const layout = await this.#step('layout', 'The files of a tally, and nothing else', () =>
      this.#tally.layout(),
    );
    const counted: QuestionResult[] = [];
    for (const question of layout.sessions.keys()) counted.push(await this.#verifySession(layout, question));
    if (layout.hasBallots)
      await this.#step(
        'ballots',
        'Every ballot has valid proofs of its own, and is the one that was mixed',
        () => checkBallots(this.#tally, layout, this.#options),
      );
    await this.#step('joined', 'The list of all ballots is that of the questions together', () =>
      this.#checkJoinedList(layout.sessions),
    );
    const results = await this.#step('results', 'The results are the count of the plaintexts', async () => {
      const own = resultsJson(layout.electionId, counted);
      if (own !== layout.published) throw new Wrong('results_json says something else than the plaintexts');
      return JSON.parse(own) as ElectionResults;
    });
    return this.outcome(results);
  }

  async #verifySession(layout: Layout, at: number): Promise<QuestionResult> {
    const [id, question, publicKey] = [layout.sessions[at]!, layout.questions[at]!, layout.publicKeys[at]!];
    const { mixnet, signal } = this.#options;
    const before = this.#steps.length;
    const files = await this.#step(`${id}/parameters`, `${question.title}: parameters and key`, () =>
      this.#sessionFiles(id, publicKey),
    );
    const { info } = files.session;
    if (layout.hasKeys)
      await this.#step(`${id}/key`, `${question.title}: key generation`, () =>
        this.#checkKey(layout, id, files, publicKey),
      );
    const empty = (await stat(this.#tally.path(id, 'ciphertexts_json'))).size === 0;
    let length = 0;
    if (empty) {
      await this.#step(`${id}/empty`, `${question.title}: no ballots, so nothing to mix`, () =>
        this.#checkEmpty(id),
      );
    } else {
      const expect = await this.#step(`${id}/input`, `${question.title}: ciphertexts`, () =>
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
      await this.#step(`${id}/votes`, `${question.title}: plaintexts`, () =>
        this.#checkPlaintexts(id, files, result.shufflers?.at(-1) ?? 0),
      );
    }
    const ok = this.#steps.slice(before).every((step) => step.ok);
    const { nopart: parties, thres: threshold } = info;
    this.#sessions.push({ id, title: question.title, ok, ciphertexts: length, parties, threshold });
    return await this.#count(id, question, files.group);
  }

  async #checkKey(layout: Layout, id: string, files: SessionFiles, publicKey: PublicKeyJson): Promise<void> {
    const authorities = await checkKey(this.#tally, layout, id, files, publicKey);
    this.#authorities ??= authorities;
    if (compactJson(this.#authorities) !== compactJson(authorities))
      throw new Wrong('the questions have different authorities');
  }

  async #sessionFiles(id: string, publicKey: PublicKeyJson): Promise<SessionFiles> {
    const protInfo = await this.#tally.text(id, 'protInfo.xml');
    const session = new MixSession(readProtocolInfo(protInfo), { auxsid: 'default', width: 1 });
    const group = GROUPS.find((name) => name === session.group.name);
    if (group === undefined) throw new Wrong(`elections do not use the group ${session.group.name}`);
    const own = keySchema.parse(await this.#tally.json(id, 'publicKey_json'));
    if (compactJson(own) !== compactJson(publicKey))
      throw new Wrong('publicKey_json and pubkeys_json differ');
    if (publicKeyFromJson(own).group.name !== group) throw new Wrong('the key is of another group');
    return { protInfo, session, group, directory: this.#tally.path(id, 'proofs') };
  }

  async #checkEmpty(id: string): Promise<void> {
    if ((await stat(this.#tally.path(id, 'plaintexts_json'))).size > 0)
      throw new Wrong('there are plaintexts all the same');
    if ((await stat(this.#tally.path(id, 'proofs')).catch(() => null)) !== null)
      throw new Wrong('there are proofs');
  }

  async #expectations(
    id: string,
    { session }: SessionFiles,
    publicKey: PublicKeyJson,
  ): Promise<Expectations> {
    const list = parseCiphertexts(
      session.codec,
      await readFile(this.#tally.path(id, 'ciphertexts_json')),
      'json',
    );
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
        readFile(this.#tally.path(id, 'plaintexts_json')),
      ]);
      if (!proved.equals(given)) throw new Wrong('plaintexts_json is not what the proofs prove');
    } finally {
      await rm(temporary, { recursive: true, force: true });
    }
  }

  async #count(id: string, question: Question, group: (typeof GROUPS)[number]): Promise<QuestionResult> {
    return await this.#step(`${id}/count`, `${question.title}: count`, async () => {
      const count = new QuestionCount(question, GROUP_CAPACITY[group]);
      for await (const line of linesOf(this.#tally.path(id, 'plaintexts_json'))) {
        const integer = z.string().regex(/^\d+$/).nullable().parse(JSON.parse(line));
        count.add(integer === null ? undefined : plaintextOfInteger(BigInt(integer)));
      }
      return count.result();
    });
  }

  async #checkJoinedList(sessions: readonly string[]): Promise<void> {
    const all = linesOf(this.#tally.path('ciphertexts_json'))[Symbol.asyncIterator]();
    const each = sessions.map((id) =>
      linesOf(this.#tally.path(id, 'ciphertexts_json'))[Symbol.asyncIterator](),
    );
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

  #note(outcome: Omit<TallyStep, 'section'>): void {
    const { id, ...rest } = outcome;
    const step = { id, section: tallySectionOf(id), ...rest };
    this.#steps.push(step);
    this.#options.onStep?.(step);
  }

  #end(): never {
    throw new Ended();
  }
}

/** Undefined: it is our own mistake, or the disk's. */
function whatIsWrong(thrown: unknown): string | undefined {
  if (thrown instanceof Wrong || thrown instanceof RangeError) return thrown.message;
  if (thrown instanceof ArchiveRefused || thrown instanceof ConclaveError) return thrown.message;
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
