/**
 * Counts decoded plaintexts: `results_json`. Pure and independent of order: the mix-net's output has none that means
 * anything, and every authority and auditor must write the same bytes.
 *
 * Points of an answer: sets, one for each ballot that names it; `borda`, max for the first, max-1 for the second, and so on.
 * Of the other rankings only the places are published (`counted: false`): other programs count them. Write-ins are
 * candidates by their text. Nobody wins by chance or with no points: where a tie reaches over the last seats, those
 * seats stay open, and the result says between whom.
 */
import { type Choice, type InvalidReason, QuestionCodec } from './ballot-encoding.ts';
import { compareCodePoints, publishedJson } from './canonical.ts';
import { type ElectionId, isRanked, type Question } from './election.ts';

/** A candidate of a result: an answer by its id, or a write-in by its text. */
export type Candidate = { id: number } | { write_in: string };

export interface CandidateCount {
  /** Points. */
  total_count: number;
  /** How many ballots have the candidate at each place; only of rankings. */
  places?: number[];
}

export interface QuestionResult {
  title: string;
  tally_type: string;
  num_winners: number;
  /** Whether `total_count` are points by this tally type; false: only the places are given. */
  counted: boolean;
  totals: { total_votes: number; valid_votes: number; blank_votes: number; null_votes: number };
  /** How many plaintexts are no vote, by reason; see `INVALID_REASONS`. */
  null_votes_by_reason: Partial<Record<InvalidReason, number>>;
  /** By id. */
  answers: ({ id: number; text: string } & CandidateCount)[];
  /** By points, then by text. */
  write_ins: ({ text: string } & CandidateCount)[];
  /** By points, then answers by id, then write-ins by text. Equal points share a place. */
  winners: (Candidate & { total_count: number; place: number })[];
  /** The seats that a tie leaves open, and the candidates among whom they are to be filled. */
  tie: { seats: number; total_count: number; candidates: Candidate[] } | null;
}

export interface ElectionResults {
  format: 'conclave-results-1';
  election_id: ElectionId;
  questions: QuestionResult[];
}

interface Count {
  points: number;
  places: number[];
}

/** Counts the plaintexts of one question as they come. Memory grows with the number of different write-ins only. */
export class QuestionCount {
  readonly #question: Question;
  readonly #codec: QuestionCodec;
  readonly #ranked: boolean;
  readonly #answers: Map<number, Count>;
  readonly #writeIns = new Map<string, Count>();
  readonly #invalid = new Map<InvalidReason, number>();
  #valid = 0;
  #blank = 0;

  /** Throws RangeError when the question does not fit; see `fitsCapacity`. */
  constructor(question: Question, capacity: number) {
    this.#question = question;
    this.#codec = new QuestionCodec(question, capacity);
    this.#ranked = isRanked(question.tally_type);
    this.#answers = new Map(question.answers.map(({ id }) => [id, this.#newCount()]));
  }

  /** Counts one plaintext; undefined stands for a group element that encodes no text. */
  add(plaintext: Uint8Array | undefined): void {
    const decoded =
      plaintext === undefined
        ? ({ valid: false, reason: 'undecodable' } as const)
        : this.#codec.decode(plaintext);
    if (!decoded.valid) {
      this.#invalid.set(decoded.reason, (this.#invalid.get(decoded.reason) ?? 0) + 1);
    } else if (decoded.choice.answers.length === 0) this.#blank += 1;
    else {
      this.#valid += 1;
      this.#addChoice(decoded.choice);
    }
  }

  result(): QuestionResult {
    const { title, tally_type, num_winners, answers } = this.#question;
    const nulls = sum(this.#invalid.values());
    const reasons = [...this.#invalid].sort(([left], [right]) => compareCodePoints(left, right));
    const counted = !this.#ranked || tally_type === 'borda';
    return {
      title,
      tally_type,
      num_winners,
      counted,
      totals: {
        total_votes: this.#valid + this.#blank + nulls,
        valid_votes: this.#valid,
        blank_votes: this.#blank,
        null_votes: nulls,
      },
      null_votes_by_reason: Object.fromEntries(reasons),
      answers: answers
        .map(({ id, text }) => ({ id, text, ...this.#publish(this.#answers.get(id)!) }))
        .sort((left, right) => left.id - right.id),
      write_ins: [...this.#writeIns]
        .map(([text, count]) => ({ text, ...this.#publish(count) }))
        .sort(
          (left, right) => right.total_count - left.total_count || compareCodePoints(left.text, right.text),
        ),
      ...(counted ? elect(this.#standings(), num_winners) : { winners: [], tie: null }),
    };
  }

  #newCount(): Count {
    return { points: 0, places: this.#ranked ? new Array<number>(this.#question.max).fill(0) : [] };
  }

  #addChoice({ answers, writeIns }: Choice): void {
    const texts = new Map(writeIns.map(({ id, text }) => [id, text]));
    for (const [place, id] of answers.entries()) {
      // A ballot with a write-in counts for the answer "write-in" as such, and for the text.
      this.#count(this.#answers.get(id)!, place);
      const text = texts.get(id);
      if (text === undefined) continue;
      const count = this.#writeIns.get(text) ?? this.#newCount();
      this.#writeIns.set(text, count);
      this.#count(count, place);
    }
  }

  #count(count: Count, place: number): void {
    if (this.#ranked) count.places[place]! += 1;
    if (!this.#ranked) count.points += 1;
    else if (this.#question.tally_type === 'borda') count.points += this.#question.max - place;
  }

  #publish({ points, places }: Count): CandidateCount {
    return this.#ranked ? { total_count: points, places: [...places] } : { total_count: points };
  }

  /** Every candidate with its points: answers that are no write-ins, and the texts of write-ins. */
  #standings(): Standing[] {
    const named = [...this.#answers]
      .filter(([id]) => !this.#codec.writeInIds.has(id))
      .map(([id, { points }]) => ({ candidate: { id }, points }));
    const written = [...this.#writeIns].map(([text, { points }]) => ({
      candidate: { write_in: text },
      points,
    }));
    return [...named, ...written].sort(
      (left, right) => right.points - left.points || compareCandidates(left.candidate, right.candidate),
    );
  }
}

interface Standing {
  candidate: Candidate;
  points: number;
}

/** Those who surely have a seat, and the tie for the rest, if there is one. */
function elect(standings: readonly Standing[], seats: number): Pick<QuestionResult, 'winners' | 'tie'> {
  const running = standings.filter(({ points }) => points > 0);
  const limit = running[seats]?.points;
  const last = running[seats - 1]?.points;
  const tied = limit !== undefined && limit === last ? running.filter(({ points }) => points === limit) : [];
  const sure = running.slice(0, seats).filter((standing) => !tied.includes(standing));
  const winners = sure.map(({ candidate, points }) => ({
    ...candidate,
    total_count: points,
    place: 1 + sure.findIndex((other) => other.points === points),
  }));
  if (tied.length === 0) return { winners, tie: null };
  const candidates = tied.map(({ candidate }) => candidate);
  return { winners, tie: { seats: seats - sure.length, total_count: limit!, candidates } };
}

function compareCandidates(left: Candidate, right: Candidate): number {
  if ('id' in left) return 'id' in right ? left.id - right.id : -1;
  return 'id' in right ? 1 : compareCodePoints(left.write_in, right.write_in);
}

function sum(numbers: Iterable<number>): number {
  let total = 0;
  for (const number of numbers) total += number;
  return total;
}

/** The text of `results_json`. */
export function resultsJson(electionId: ElectionId, questions: readonly QuestionResult[]): string {
  const results: ElectionResults = {
    format: 'conclave-results-1',
    election_id: electionId,
    questions: [...questions],
  };
  return publishedJson(results);
}
