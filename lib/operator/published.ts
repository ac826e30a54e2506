/**
 * What this node publishes of an election: the files by name, with size and SHA-256, and the results that the archive holds.
 * Hashes and results are read once for each state of the file. Reads only.
 */
import { createReadStream, type Stats } from 'node:fs';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createGunzip } from 'node:zlib';
import { hashFile, niUri } from '../../tasks/election/hash.ts';
import type { Candidate, ElectionResults, QuestionResult } from '../../tasks/election/results.ts';
import { ArchiveRefused, BLOCK, paddingOf, readHeader } from '../../tasks/election/tar-format.ts';
import type { OperatorServices } from './services.ts';
import type { DownloadView, QuestionResultView, ResultCandidate } from './views.ts';

export const ARCHIVE = 'tally.tar.gz';
/** By these names alone. */
export const PUBLISHED: readonly string[] = [ARCHIVE, `${ARCHIVE}.sha256`];

const MAX_RESULTS_BYTES = 32 * 1024 * 1024;
const MAX_REMEMBERED = 200;

interface Published {
  readonly downloads: readonly DownloadView[];
  /** `ni:///sha-256;…` of the archive; null: there is none. */
  readonly tallyHash: string | null;
  readonly results: readonly QuestionResultView[] | null;
}

export async function publishedOf(services: OperatorServices, id: string): Promise<Published> {
  const folder = join(services.elections.publicFolder, id);
  const downloads: DownloadView[] = [];
  for (const name of PUBLISHED) {
    const path = join(folder, name);
    const entry = await stat(path).catch(() => null);
    if (entry === null) continue;
    const url = `/api/elections/${encodeURIComponent(id)}/downloads/${name}`;
    const sha256 = await remembered(`sha256 ${path}`, entry, async () =>
      (await hashFile(path)).toString('hex'),
    );
    downloads.push({ name, url, size: entry.size, sha256 });
  }
  const archive = downloads.find(({ name }) => name === ARCHIVE);
  if (archive === undefined) return { downloads, tallyHash: null, results: null };
  const path = join(folder, ARCHIVE);
  const results = await remembered(`results ${path}`, await stat(path), () => readResults(path));
  return { downloads, tallyHash: niUri(Buffer.from(archive.sha256, 'hex')), results };
}

const memory = new Map<string, { readonly state: string; readonly value: Promise<unknown> }>();

function remembered<T>(key: string, { ino, size, mtimeMs }: Stats, read: () => Promise<T>): Promise<T> {
  const state = `${ino} ${size} ${mtimeMs}`;
  const known = memory.get(key);
  if (known?.state === state) return known.value as Promise<T>;
  const value = read();
  memory.delete(key);
  memory.set(key, { state, value });
  value.catch(() => memory.delete(key));
  for (const oldest of [...memory.keys()].slice(0, -MAX_REMEMBERED)) memory.delete(oldest);
  return value;
}

/** Null: the archive holds none that could be read; `verification` says what is wrong with it. */
async function readResults(path: string): Promise<QuestionResultView[] | null> {
  try {
    const text = await memberOf(path, 'results_json');
    const { questions } = JSON.parse(text) as ElectionResults;
    return questions.map(questionResult);
  } catch (thrown) {
    if (thrown instanceof ArchiveRefused || thrown instanceof SyntaxError || thrown instanceof TypeError)
      return null;
    throw thrown;
  }
}

/** Reads no further than the member; its folder in the archive does not matter. */
async function memberOf(path: string, wanted: string): Promise<string> {
  const source = createReadStream(path);
  const unpacked = source.pipe(createGunzip());
  source.once('error', (error) => unpacked.destroy(error));
  let held = Buffer.alloc(0);
  let skip = 0;
  let size: number | null = null;
  try {
    for await (const piece of unpacked as AsyncIterable<Buffer>) {
      const skipped = Math.min(skip, piece.length);
      skip -= skipped;
      held = Buffer.concat([held, piece.subarray(skipped)]);
      while (size === null && held.length >= BLOCK) {
        const entry = readHeader(held.subarray(0, BLOCK));
        if (entry === undefined) throw new ArchiveRefused(`it has no ${wanted}`);
        held = held.subarray(BLOCK);
        if (entry.name === wanted || entry.name.endsWith(`/${wanted}`)) size = entry.size;
        else {
          const whole = entry.size + paddingOf(entry.size);
          const passed = Math.min(whole, held.length);
          held = held.subarray(passed);
          skip = whole - passed;
        }
      }
      if (size !== null && size > MAX_RESULTS_BYTES) throw new ArchiveRefused(`${wanted} is too large`);
      if (size !== null && held.length >= size) return held.toString('utf8', 0, size);
    }
  } finally {
    source.destroy();
    unpacked.destroy();
  }
  throw new ArchiveRefused(`it ends before ${wanted}`);
}

function questionResult(result: QuestionResult): QuestionResultView {
  const { title, tally_type, num_winners, counted, totals, answers, write_ins, winners, tie } = result;
  const placeOf = (fits: (candidate: Candidate) => boolean): number | null =>
    winners.find(fits)?.place ?? null;
  const candidates: ResultCandidate[] = [
    ...answers.map(({ id, text, total_count: points }) => ({
      text,
      is_write_in: false,
      points,
      place: placeOf((candidate) => 'id' in candidate && candidate.id === id),
    })),
    ...write_ins.map(({ text, total_count: points }) => ({
      text,
      is_write_in: true,
      points,
      place: placeOf((candidate) => 'write_in' in candidate && candidate.write_in === text),
    })),
  ];
  const nameOf = (candidate: Candidate): string =>
    'id' in candidate
      ? (answers.find(({ id }) => id === candidate.id)?.text ?? String(candidate.id))
      : candidate.write_in;
  return {
    title,
    tally_type,
    num_winners,
    counted,
    totals,
    // Sorting keeps the ballot's order among equals.
    candidates: candidates.sort((one, other) => other.points - one.points),
    tie: tie === null ? null : { seats: tie.seats, candidates: tie.candidates.map(nameOf) },
  };
}
