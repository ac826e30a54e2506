import { expect } from 'chai';

import type { ConclaveError } from '../../../lib/errors.ts';
import { parseTallyRequest, tallyRequestHash } from '../../../tasks/election/tally-request.ts';

const padded = 'ni:///sha-256;f4OxZX_x_FO5LcGBSKHWXfwtSx-j1ncoSt3SABJtkGk=';
const valid = {
  election_id: 7,
  callback_url: 'https://example.org/callback',
  votes_url: 'https://example.org/votes',
  votes_hash: padded,
};

function problemsOf(request: unknown): string[] {
  try {
    parseTallyRequest(request);
  } catch (thrown) {
    return (thrown as ConclaveError).data.problems as string[];
  }
  return [];
}

describe('a tally request (EO-30)', () => {
  it('given a valid one, then it is accepted, and reads as itself', () => {
    const request = parseTallyRequest(valid);
    expect(request).to.deep.equal({ ...valid, force: false });
    expect(parseTallyRequest(request)).to.deep.equal(request);
    expect(parseTallyRequest({ ...valid, election_id: 'vota1', force: true })).to.include({
      election_id: 'vota1',
      force: true,
    });
  });

  it('given the hash without padding, then it is the same request', () => {
    const other = parseTallyRequest({ ...valid, votes_hash: padded.replace('=', '') });
    expect(tallyRequestHash(other)).to.equal(tallyRequestHash(parseTallyRequest(valid)));
  });

  it('given four mistakes, then all four are named (D31)', () => {
    const problems = problemsOf({
      election_id: 0,
      callback_url: 'x',
      votes_url: 'http://example.org',
      votes_hash: 'sha1;x',
    });
    expect(problems.map((problem) => problem.split(':')[0])).to.deep.equal([
      'election_id',
      'callback_url',
      'votes_url',
      'votes_hash',
    ]);
  });

  it('given a mistyped force, no object, or a path for an id, then it is refused', () => {
    expect(problemsOf({ ...valid, forse: true })).to.deep.equal(['forse: is unknown; did you mean force?']);
    expect(problemsOf({ ...valid, force: 'yes' })).to.have.lengthOf(1);
    expect(problemsOf(null)[0]).to.include('is null; give an object');
    expect(problemsOf({ ...valid, election_id: '../7' })).to.have.lengthOf(1);
  });

  it('given other votes, then the hash is another', () => {
    const other = parseTallyRequest({ ...valid, votes_url: 'https://example.org/others' });
    expect(tallyRequestHash(other)).to.not.equal(tallyRequestHash(parseTallyRequest(valid)));
  });
});
