/**
 * Ballots for demonstrations and load tests: what imaginary voters choose, encoded and encrypted as a voting booth would.
 * Real elections get their ballots elsewhere; a program that sees all votes must never make them.
 */
import { randomInt } from 'node:crypto';
import { integerOfPlaintext, normaliseWriteIn, QuestionCodec } from '../../tasks/election/ballot-encoding.ts';
import {
  type ElectionRequest,
  electionKey,
  GROUP_CAPACITY,
  isWriteIn,
  type Question,
} from '../../tasks/election/election.ts';
import type { PublicKeyJson } from '../mixnet/formats/public-key-json.ts';
import type { MixnetWorker } from '../mixnet/worker/client.ts';

/** The session of a question, as the creation's callback names it (EO-27). */
export interface SessionKey {
  readonly session_id: string;
  readonly pubkey: PublicKeyJson;
}

/** The answers chosen in each question, by id. */
export type Choices = readonly (readonly number[])[];

const PIECE = 500;

/** Choices that the questions allow, at random; write-ins are not chosen. */
export function randomChoices(questions: readonly Question[], count: number): number[][][] {
  return Array.from({ length: count }, () => questions.map(randomChoice));
}

function randomChoice({ answers, min, max }: Question): number[] {
  const ids = answers.filter((answer) => !isWriteIn(answer)).map(({ id }) => id);
  const size = Math.min(ids.length, randomInt(Math.max(min, 1), max + 1));
  // Fisher and Yates, as far as needed.
  for (let at = 0; at < size; at += 1) {
    const other = randomInt(at, ids.length);
    [ids[at], ids[other]] = [ids[other]!, ids[at]!];
  }
  return ids.slice(0, size);
}

/**
 * Lines of a votes file (EO-33): `ballot|voter id`.
 *
 * @throws RangeError when a question does not allow a choice
 */
export async function* voteLines(
  request: Pick<ElectionRequest, 'id' | 'group' | 'questions'>,
  sessions: readonly SessionKey[],
  choices: readonly Choices[],
  mixnet: MixnetWorker,
): AsyncGenerator<string> {
  const codecs = request.questions.map(
    (question) => new QuestionCodec(question, GROUP_CAPACITY[request.group]),
  );
  const electionId = electionKey(request.id);
  for (let from = 0; from < choices.length; from += PIECE) {
    const { ballots } = await mixnet.run('encryptBallots', {
      sessions: sessions.map(({ session_id: sessionId, pubkey: publicKey }) => ({
        electionId,
        sessionId,
        publicKey,
      })),
      plaintexts: choices
        .slice(from, from + PIECE)
        .map((row) => row.map((answers, question) => plaintextOf(codecs[question]!, answers))),
    });
    for (const [at, ballot] of ballots.entries()) yield `${JSON.stringify(ballot)}|voter-${from + at + 1}`;
  }
}

function plaintextOf(codec: QuestionCodec, answers: readonly number[]): string {
  const writeIns = answers
    .filter((id) => codec.writeInIds.has(id))
    .map((id) => ({ id, text: normaliseWriteIn(`Write-in ${id}`) }));
  return integerOfPlaintext(codec.encode({ answers, writeIns })).toString();
}
