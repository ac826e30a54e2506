/** `conclave ballots`: demonstration ballots for an election that was created, as lines of a votes file. */
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Command } from 'commander';
import { z } from 'zod';
import { niUri } from '../../tasks/election/hash.ts';
import { parseElectionRequest } from '../../tasks/election/request.ts';
import { reasonOf } from '../errors.ts';
import { MixnetWorker } from '../mixnet/worker/client.ts';
import { type Choices, randomChoices, type SessionKey, voteLines } from './ballot-maker.ts';
import type { GlobalOptions } from './node-access.ts';
import { UsageError } from './outcome.ts';
import type { Terminal } from './terminal.ts';

interface BallotOptions extends GlobalOptions {
  election: string;
  keys: string;
  count?: number;
  choices?: string;
  out?: string;
}

const sessionKey = z.object({ session_id: z.string(), pubkey: z.record(z.string(), z.string()) });
/** The creation's callback, or its `session_data` alone. */
const keysFile = z.union([z.array(sessionKey), z.object({ session_data: z.array(sessionKey) })]);
const choicesFile = z.array(z.array(z.array(z.int().min(0))));

export function addBallots(program: Command, terminal: Terminal, whole: (text: string) => number): void {
  program
    .command('ballots')
    .description('make demonstration ballots: lines `ballot|voter`, for votes_url; never for a real election')
    .requiredOption('--election <file>', 'the request with which the election was created (JSON)')
    .requiredOption('--keys <file>', 'what the callback said: session_data with the public keys (JSON)')
    .option('--count <number>', 'so many ballots with random choices (default: 100)', whole)
    .option('--choices <file>', 'instead: JSON, per ballot a list with the answer ids of each question')
    .option('--out <file>', 'file to write (default: standard output)')
    .action((_: unknown, command: Command) => makeBallots(command.optsWithGlobals(), terminal));
}

async function makeBallots(options: BallotOptions, terminal: Terminal): Promise<void> {
  const election = parseElectionRequest(await jsonOf(options.election, '--election'), { allowHttp: true });
  const keys = parse(keysFile, await jsonOf(options.keys, '--keys'), '--keys');
  const sessions: SessionKey[] = Array.isArray(keys) ? keys : keys.session_data;
  if (sessions.length !== election.questions.length) {
    const counts = `${sessions.length} sessions for ${election.questions.length} questions`;
    throw new UsageError(`--keys: there are ${counts}; it must be the callback of this election`);
  }
  if (options.count !== undefined && options.choices !== undefined) {
    throw new UsageError('give either --count or --choices');
  }
  const choices: readonly Choices[] =
    options.choices === undefined
      ? randomChoices(election.questions, options.count ?? 100)
      : parse(choicesFile, await jsonOf(options.choices, '--choices'), '--choices');
  const mixnet = new MixnetWorker({ threads: 1 });
  const hash = createHash('sha256');
  const target = options.out === undefined ? process.stdout : createWriteStream(options.out, { flags: 'wx' });
  try {
    const lines = Readable.from(hashed(voteLines(election, sessions, choices, mixnet), hash));
    await pipeline(lines, target, { end: target !== process.stdout }).catch((thrown: unknown) => {
      throw thrown instanceof RangeError ? new UsageError(`--choices: ${thrown.message}`) : thrown;
    });
  } finally {
    await mixnet.close();
  }
  terminal.note(`${choices.length} ballots; votes_hash: ${niUri(hash.digest())}`);
}

async function* hashed(
  lines: AsyncIterable<string>,
  hash: ReturnType<typeof createHash>,
): AsyncGenerator<string> {
  for await (const line of lines) {
    hash.update(`${line}\n`);
    yield `${line}\n`;
  }
}

async function jsonOf(file: string, option: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(file, 'utf8'));
  } catch (error) {
    throw new UsageError(`${option}: ${file}: ${reasonOf(error)}`);
  }
}

function parse<T>(schema: z.ZodType<T>, value: unknown, option: string): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new UsageError(
    `${option}: ${issue?.path.join('.') ?? ''} ${issue?.message ?? 'is not of the right form'}`,
  );
}
