import { expect } from 'chai';
import fc from 'fast-check';

import { type Choice, QuestionCodec } from '../../../tasks/election/ballot-encoding.ts';
import type { Question } from '../../../tasks/election/election.ts';
import { QuestionCount, type QuestionResult, resultsJson } from '../../../tasks/election/results.ts';
import { question } from './requests.ts';

const CAPACITY = 60;

/** Counts votes: lists of ids, whole choices, or bytes that may be no vote. */
function count(
  asked: Question,
  votes: readonly (number[] | Choice | Uint8Array | undefined)[],
): QuestionResult {
  const codec = new QuestionCodec(asked, CAPACITY);
  const counted = new QuestionCount(asked, CAPACITY);
  for (const vote of votes) {
    if (vote === undefined || vote instanceof Uint8Array) counted.add(vote);
    else counted.add(codec.encode(Array.isArray(vote) ? { answers: vote, writeIns: [] } : vote));
  }
  return counted.result();
}

const points = ({ answers }: QuestionResult): number[] => answers.map(({ total_count }) => total_count);

describe('the results', () => {
  it('given votes for sets, then each ballot gives a point to each answer that it names', () => {
    const result = count(question(3, { max: 2 }), [[0], [0, 1], [], [2, 1], [1]]);
    expect(points(result)).to.deep.equal([2, 3, 1]);
    expect(result.totals).to.deep.equal({ total_votes: 5, valid_votes: 4, blank_votes: 1, null_votes: 0 });
    expect(result.winners).to.deep.equal([{ id: 1, total_count: 3, place: 1 }]);
    expect(result.tie).to.equal(null);
  });

  it('given plaintexts that are no votes, then they are counted by reason', () => {
    const result = count(question(2), [undefined, undefined, Buffer.from('2!'), Buffer.from('1~'), [0]]);
    expect(result.null_votes_by_reason).to.deep.equal({
      no_such_selection: 1,
      undecodable: 2,
      unknown_version: 1,
    });
    expect(result.totals).to.include({ null_votes: 4, valid_votes: 1 });
  });

  it('given a tie over the last seat, then nobody of those tied wins, and the tie is said', () => {
    const result = count(question(4, { num_winners: 2 }), [[0], [0], [1], [2]]);
    expect(result.winners).to.deep.equal([{ id: 0, total_count: 2, place: 1 }]);
    expect(result.tie).to.deep.equal({ seats: 1, total_count: 1, candidates: [{ id: 1 }, { id: 2 }] });
  });

  it('given a tie that has seats for all, then all win and share a place', () => {
    const result = count(question(4, { num_winners: 3 }), [[0], [0], [3], [1]]);
    expect(result.winners.map(({ place, total_count }) => [place, total_count])).to.deep.equal([
      [1, 2],
      [2, 1],
      [2, 1],
    ]);
    expect(result.tie).to.equal(null);
  });

  it('given no votes, then there are no winners, and no tie of candidates without a point', () => {
    const result = count(question(3, { num_winners: 2 }), [[], []]);
    expect([result.winners, result.tie]).to.deep.equal([[], null]);
  });

  it('given write-ins, then each text is a candidate, however it was typed', () => {
    const asked = question(3, { max: 2, num_winners: 1 }, [1, 2]);
    const vote = (id: number, text: string): Choice => ({ answers: [id], writeIns: [{ id, text }] });
    const result = count(asked, [vote(1, 'Jose\u0301'), vote(2, ' José '), vote(1, 'Zoe'), [0]]);
    expect(result.write_ins).to.deep.equal([
      { text: 'José', total_count: 2 },
      { text: 'Zoe', total_count: 1 },
    ]);
    expect(points(result)).to.deep.equal([1, 2, 1]);
    expect(result.winners).to.deep.equal([{ write_in: 'José', total_count: 2, place: 1 }]);
  });

  it('given a borda question, then the first place has max points, and the places are published', () => {
    const result = count(question(3, { tally_type: 'borda', max: 3 }), [[2, 0, 1], [2], [0, 2]]);
    expect(points(result)).to.deep.equal([5, 1, 8]);
    expect(result.answers[2]!.places).to.deep.equal([2, 1, 0]);
  });

  it('given a ranking that is not counted here, then places but no winners are published, and that is said', () => {
    const result = count(question(3, { tally_type: 'desborda', max: 3 }), [[2, 0], [2]]);
    expect(result).to.deep.include({ counted: false, winners: [], tie: null });
    expect(result.answers[2]).to.deep.include({ total_count: 0, places: [2, 0, 0] });
  });

  it('given the plaintexts in any order, then results_json has the same bytes', () => {
    const asked = question(5, { tally_type: 'borda', max: 3, num_winners: 2 }, [4]);
    const write = (text: string): Choice => ({ answers: [4, 0], writeIns: [{ id: 4, text }] });
    const votes = [
      [0],
      [1, 2],
      [],
      write('b'),
      write('a'),
      undefined,
      Buffer.from('x'),
      Buffer.alloc(0),
      [3, 2, 1],
      write('c'),
    ];
    const expected = resultsJson(7, [count(asked, votes)]);
    fc.assert(
      fc.property(fc.shuffledSubarray(votes, { minLength: votes.length }), (shuffled) => {
        expect(resultsJson(7, [count(asked, shuffled)])).to.equal(expected);
      }),
      { numRuns: 30 },
    );
    expect(JSON.parse(expected)).to.deep.include({ format: 'conclave-results-1', election_id: 7 });
  });
});
