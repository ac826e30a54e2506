import { expect } from 'chai';
import fc from 'fast-check';

import {
  describeElection,
  describeTally,
  visible,
  visibleJson,
} from '../../../tasks/election/description.ts';
import { parseElectionRequest, requestHash } from '../../../tasks/election/request.ts';
import { parseTallyRequest, tallyRequestHash } from '../../../tasks/election/tally-request.ts';
import { election, newerRequest, olderRequest } from './requests.ts';

const votesHash = 'ni:///sha-256;f4OxZX_x_FO5LcGBSKHWXfwtSx-j1ncoSt3SABJtkGk=';
const tally = parseTallyRequest({
  election_id: 7,
  callback_url: 'https://example.org/callback',
  votes_url: 'https://example.org/votes',
  votes_hash: votesHash,
});

/** The labels of the bullets, in order. */
const labels = (text: string): string[] => [...text.matchAll(/^\* ([^:]+):/gm)].map((match) => match[1]!);

describe('the text of what is approved', () => {
  it("given the seed's request, then it begins with the seed's bullets (EO-23)", () => {
    const request = parseElectionRequest(olderRequest());
    const text = describeElection(request);
    expect(labels(text).slice(0, 6)).to.deep.equal([
      'URL',
      'Title',
      'Description',
      'Voting period',
      'Question data',
      'Authorities',
    ]);
    const lines = text.split('\n');
    expect(lines.slice(0, 6)).to.deep.equal([
      '* URL: https://example.com/election/url',
      '* Title: New Directive Board',
      '* Description: election description',
      '* Voting period: 2013-12-06T18:17:14.457000 - 2013-12-09T18:17:14.457000',
      '* Question data: {',
      '    "answers": [',
    ]);
    const questionData = text.slice(text.indexOf('Question data: ') + 15, text.indexOf('\n* Authorities: '));
    expect(JSON.parse(questionData)).to.deep.equal(request.questions[0]);
    const authorities = text.slice(text.indexOf('Authorities: ') + 13, text.indexOf('\n* Threshold: '));
    expect(JSON.parse(authorities)).to.deep.equal(request.authorities);
  });

  it('given what is hashed, then all of it is shown, and the hash (D33)', () => {
    const request = election({
      threshold: 2,
      extra: { note: 'see annex' },
      director: 'Auth1',
      presentation: { theme: 'dark' },
    });
    const text = describeElection(request);
    for (const shown of [
      '2 of 3',
      'P-256',
      'see annex',
      'Auth1',
      'dark',
      request.callback_url,
      requestHash(request),
    ]) {
      expect(text).to.include(shown);
    }
  });

  it('given several questions, then they are shown as a list', () => {
    const request = newerRequest();
    request.questions.push({ ...request.questions[0], title: 'And secretary?' });
    const text = describeElection(parseElectionRequest(request));
    expect(text)
      .to.match(/^\* Question data: \[$/m)
      .and.include('And secretary?');
  });

  it('given a title that forges bullets, moves the cursor or reorders the line, then it stays one visible line', () => {
    const hostile = 'Board\n* Threshold: 1\r\u001b[2J\u202egnp.exe\u2028\u200bx\u009b31m\ufeff';
    const text = describeElection(election({ title: hostile, description: hostile }));
    const honest = labels(describeElection(election()));
    expect(labels(text)).to.deep.equal(honest);
    expect(text).to.include(
      '* Title: Board\\n* Threshold: 1\\r\\u001b[2J\\u202egnp.exe\\u2028\\u200bx\\u009b31m\\ufeff',
    );
  });

  it('given hostile names in questions and authorities, then they are visible and the JSON still means the same', () => {
    const request = newerRequest();
    request.questions[0].answers[0].text = 'Ali\u202ece \u001b[31m\u2029\n';
    request.authorities[0].name = 'Auth\u200e1';
    const parsed = parseElectionRequest(request);
    const text = describeElection(parsed);
    for (const unseen of '\u202e\u001b\u2029\u200e') expect(text).to.not.include(unseen);
    expect(text).to.include('Ali\\u202ece').and.include('Auth\\u200e1');
    expect(JSON.parse(visibleJson(parsed.questions))).to.deep.equal(parsed.questions);
  });

  it('given any two texts that differ, then they are seen to differ', () => {
    const text = fc.string({ unit: 'binary', maxLength: 6 });
    fc.assert(
      fc.property(text, text, (left, right) => {
        expect(visible(left) === visible(right)).to.equal(left === right);
        expect(visible(left)).to.not.match(/(?! )[\p{C}\p{Z}]/u);
      }),
    );
    expect(visible('a\nb')).to.not.equal(visible('a\\nb'));
  });
});

describe('the text of a tally that is approved (EO-36)', () => {
  it('given a tally, then it shows the election, the votes, what was accepted of them, and the hashes', () => {
    const request = election();
    const text = describeTally(tally, request, { accepted: 41, invalid: 3, acceptedHash: 'ab'.repeat(32) });
    expect(labels(text).slice(0, 6)).to.deep.equal(labels(describeElection(request)).slice(0, 6));
    for (const shown of [
      votesHash,
      '41 accepted, 3 refused',
      'ab'.repeat(32),
      requestHash(request),
      tallyRequestHash(tally),
    ]) {
      expect(text).to.include(shown);
    }
    expect(text).to.match(/^\* Tally again: no$/m);
  });
});
