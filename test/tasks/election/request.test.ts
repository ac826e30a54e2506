import { expect } from 'chai';
import fc from 'fast-check';

import { ConclaveError } from '../../../lib/errors.ts';
import { electionKey } from '../../../tasks/election/election.ts';
import { parseElectionRequest, requestHash } from '../../../tasks/election/request.ts';
import { authority, newerRequest, olderRequest } from './requests.ts';

/** The problems that a request is refused with; fails when it is accepted. */
function problemsOf(request: unknown, rules = {}): string[] {
  try {
    parseElectionRequest(request, rules);
  } catch (thrown) {
    expect(thrown).to.be.instanceOf(ConclaveError);
    const error = thrown as ConclaveError;
    expect(error.code).to.equal('invalid_request');
    expect(error.status).to.equal(400);
    return error.data.problems as string[];
  }
  throw new Error('the request was accepted');
}

/** Refused, with one problem only, at that path. */
function expectOneProblem(request: unknown, path: string, text = '', rules = {}): void {
  const problems = problemsOf(request, rules);
  expect(problems).to.have.lengthOf(1);
  expect(problems[0]).to.match(new RegExp(`^${path.replaceAll(/[[\].]/g, '\\$&')}:? `));
  expect(problems[0]).to.include(text);
}

describe('an election request', () => {
  it('given in the newer shape, then it is accepted with threshold n and group P-256 (EO-11…EO-16, EO-19)', () => {
    const request = parseElectionRequest(newerRequest());
    expect(request).to.include({
      id: 7,
      threshold: 3,
      group: 'P-256',
      start_date: '2030-12-06T18:17:14.457000',
    });
    expect(request.questions[0]!.answers.map(({ text }) => text)).to.deep.equal(['Alice', 'Bob']);
  });

  it("given in the seed's shape, then it becomes the newer one (EO-17)", () => {
    const request = parseElectionRequest(olderRequest());
    expect(request).to.include({ id: 'vota1', url: 'https://example.com/election/url', is_recurring: false });
    expect(request.start_date).to.equal('2013-12-06T18:17:14.457000');
    expect(request).to.not.have.any.keys('session_id', 'question_data', 'voting_start_date');
    expect(request.questions).to.deep.equal([
      {
        title: 'Who Should be President?',
        tally_type: 'ONE_CHOICE',
        min: 0,
        max: 1,
        num_winners: 1,
        answers: [
          { id: 0, text: 'Alice', urls: [] },
          { id: 1, text: 'Bob', urls: [] },
        ],
      },
    ]);
  });

  it('given with three mistakes, then a 400 names all three with what to do (D31; X: problems were printed, and 202 sent)', () => {
    const request = newerRequest();
    request.callback_url = 'http://example.org/';
    request.threshold = 4;
    request.questions[0].answers[1].id = 5;
    const problems = problemsOf(request);
    expect(problems).to.have.lengthOf(3);
    expect(problems.join('\n'))
      .to.match(/^callback_url: .*give an https:\/\/ URL$/m)
      .and.match(/^threshold: is 4; give a whole number from 1 to 3$/m)
      .and.match(/^questions\[0\]\.answers\[1\]\.id: is 5; the ids of 2 answers are 0 to 1$/m);
  });

  it('given with a mistake in each of several authorities and questions, then each is named', () => {
    const request = newerRequest();
    request.authorities[0].ssl_cert = 'none';
    request.authorities[2].orchestra_url = 'ftp://x';
    request.questions.push({ title: '', answers: [], max: 0 });
    const problems = problemsOf(request);
    const paths = problems.map((problem) => problem.split(':')[0]);
    expect(paths).to.have.members([
      'authorities[0].ssl_cert',
      'authorities[2].orchestra_url',
      'questions[1].title',
      'questions[1].answers',
      'questions[1].max',
    ]);
  });

  it('given without each of its fields in turn, then that field is named as missing', () => {
    for (const key of Object.keys(newerRequest())) {
      const request = newerRequest();
      delete request[key];
      expectOneProblem(request, key, 'is missing');
    }
  });

  it('given something that is no object, then that is said', () => {
    for (const value of [null, undefined, [], 'x', 7]) expect(problemsOf(value)).to.have.lengthOf(1);
  });

  describe('its id (EO-11)', () => {
    it('given an id that would leave its directory, then it is refused', () => {
      for (const id of ['../x', 'a/b', '..', '.', 'a\\b', '', 'a\0b', 'é', 'a'.repeat(129), 'a b', 'a\n']) {
        expectOneProblem({ ...newerRequest(), id }, 'id');
        expect(() => electionKey(id)).to.throw(TypeError);
      }
    });

    it('given a number that is no positive integer, then it is refused', () => {
      for (const id of [0, -1, 1.5, 2 ** 53, Number.NaN, null, true, {}])
        expectOneProblem({ ...newerRequest(), id }, 'id');
    });

    it('given the election 7 and the election "7", then both have the same key', () => {
      expect(electionKey(7)).to.equal(electionKey('7'));
    });

    it('given two ids that differ, then that is a problem', () => {
      expectOneProblem({ ...newerRequest(), session_id: 'other' }, 'session_id', 'leave one of them out');
    });
  });

  describe('its dates (EO-13)', () => {
    it('given both null, then they stay null; given neither key, then both are problems', () => {
      const request = parseElectionRequest({ ...newerRequest(), start_date: null, end_date: null });
      expect([request.start_date, request.end_date]).to.deep.equal([null, null]);
    });

    it('given other spellings of one moment, then they are hashed alike, as the wire may change them', () => {
      const spellings = ['2030-12-06T18:17:14.5', '2030-12-06T18:17:14.50', '2030-12-06T18:17:14.500000'];
      const hashes = spellings.map((start_date) =>
        requestHash(parseElectionRequest({ ...newerRequest(), start_date })),
      );
      expect(new Set(hashes).size).to.equal(1);
      const whole = parseElectionRequest({ ...newerRequest(), start_date: '2030-12-06T18:17:14.000' });
      expect(whole.start_date).to.equal('2030-12-06T18:17:14');
    });

    it('given a date in a text that the wire would change, then the hash does not change with it', () => {
      const before = { ...newerRequest(), description: '2030-1-6T8:7:4.5' };
      const after = { ...newerRequest(), description: '2030-01-06T08:07:04.500000' };
      expect(requestHash(parseElectionRequest(before))).to.equal(requestHash(parseElectionRequest(after)));
    });

    it('given what is no date, or none of the calendar, then it is refused', () => {
      for (const date of ['2030-02-30T00:00:00', '2030-12-06', 'tomorrow', 5, '2030-12-06T24:00:00', '']) {
        expectOneProblem({ ...newerRequest(), end_date: date }, 'end_date');
      }
    });

    it('given an end that is not after the start, then it is refused', () => {
      const request = newerRequest();
      expectOneProblem({ ...request, end_date: request.start_date }, 'end_date', 'not after');
      const zoned = { ...request, start_date: '2030-01-01T00:00:00Z', end_date: '2030-01-01T01:00:00+02:00' };
      expectOneProblem(zoned, 'end_date', 'not after');
    });

    it('given only one with a time zone, then they cannot be compared and are refused', () => {
      expectOneProblem({ ...newerRequest(), end_date: '2031-01-01T00:00:00Z' }, 'end_date', 'time zone');
    });
  });

  describe('its authorities (EO-14)', () => {
    it('given two with the same certificate, address or name, then each is named', () => {
      for (const key of ['ssl_cert', 'orchestra_url', 'name'] as const) {
        const request = newerRequest();
        request.authorities[2][key] = request.authorities[0][key];
        expectOneProblem(request, `authorities[2].${key}`, 'authorities[0]');
      }
    });

    it('given the same certificate or address in other words, then it is still the same', () => {
      const request = newerRequest();
      request.authorities[1].orchestra_url = 'https://AUTH1.example.org:5000/api/queues/';
      request.authorities[2].ssl_cert = `\n${request.authorities[0].ssl_cert.replaceAll('\n', '\r\n')}\n`;
      request.authorities[2].name = 'Auth\u200b1';
      const paths = problemsOf(request).map((problem) => problem.split(':')[0]);
      expect(paths).to.have.members([
        'authorities[1].orchestra_url',
        'authorities[2].ssl_cert',
        'authorities[2].name',
      ]);
    });

    it('given a chain, a private key or nonsense for a certificate, then it is refused', () => {
      const pem = authority(1).ssl_cert;
      for (const bad of [
        pem + authority(2).ssl_cert,
        pem.replaceAll('CERTIFICATE', 'PRIVATE KEY'),
        'x',
        pem.slice(0, 200),
      ]) {
        const request = newerRequest();
        request.authorities[0].ssl_cert = bad;
        expectOneProblem(request, 'authorities[0].ssl_cert', 'exactly one certificate');
      }
    });

    it('given more than 24 or none, then the number is named', () => {
      expectOneProblem({ ...newerRequest(), authorities: [] }, 'authorities', '1 to 24');
      const many = Array.from({ length: 25 }, () => authority(1));
      expectOneProblem({ ...newerRequest(), authorities: many }, 'authorities', '1 to 24');
    });

    it('given a threshold of 2 of 3, then it is kept; given 0, 4 or 1.5, then it is refused (D34)', () => {
      expect(parseElectionRequest({ ...newerRequest(), threshold: 2 }).threshold).to.equal(2);
      for (const threshold of [0, 4, 1.5, '2'])
        expectOneProblem({ ...newerRequest(), threshold }, 'threshold', '1 to 3');
    });

    it('given a mistyped threshold, then it is not taken for n of n in silence', () => {
      expectOneProblem({ ...newerRequest(), treshold: 2 }, 'treshold', 'did you mean threshold?');
    });
  });

  describe('its questions (EO-15, EO-16, EO-18)', () => {
    const withQuestion = (changes: object) => {
      const request = newerRequest();
      Object.assign(request.questions[0], changes);
      return request;
    };

    it('given more than the setting allows, then the number is named', () => {
      const request = newerRequest();
      request.questions = Array.from({ length: 3 }, () => request.questions[0]);
      expectOneProblem(request, 'questions', '1 to 2', { maxQuestions: 2 });
      expect(parseElectionRequest(request).questions).to.have.lengthOf(3);
    });

    it('given answers whose ids repeat or leave a gap, then each is named', () => {
      expectOneProblem(
        withQuestion({
          answers: [
            { id: 0, text: 'A' },
            { id: 0, text: 'B' },
          ],
        }),
        'questions[0].answers[1].id',
      );
      expectOneProblem(
        withQuestion({
          answers: [
            { id: 0, text: 'A' },
            { id: 2, text: 'B' },
          ],
        }),
        'questions[0].answers[1].id',
      );
      expectOneProblem(
        withQuestion({
          answers: [
            { id: 0, text: 'A' },
            { id: '1', text: 'B' },
          ],
        }),
        'questions[0].answers[1].id',
      );
    });

    it('given answers in another order of ids, then they are accepted as they are', () => {
      const request = parseElectionRequest(
        withQuestion({
          answers: [
            { id: 1, text: 'A' },
            { id: 0, text: 'B' },
          ],
        }),
      );
      expect(request.questions[0]!.answers.map(({ id }) => id)).to.deep.equal([1, 0]);
    });

    it('given two answers that read the same, then it is refused; given two write-ins, then not', () => {
      expectOneProblem(
        withQuestion({ answers: ['Alice', 'Ali\u200dce '] }),
        'questions[0].answers[1].text',
        'answers[0]',
      );
      const urls = [{ title: 'isWriteIn', url: 'true' }];
      const answers = [
        { id: 0, text: '', urls },
        { id: 1, text: '', urls },
      ];
      expect(parseElectionRequest(withQuestion({ answers })).questions[0]!.answers).to.have.lengthOf(2);
    });

    it('given a min above max, a max above the answers, or winners above them, then each is named', () => {
      expectOneProblem(withQuestion({ min: 2, max: 1 }), 'questions[0].min', 'more than max');
      expectOneProblem(withQuestion({ max: 3 }), 'questions[0].max', 'from 1 to 2');
      expectOneProblem(withQuestion({ num_winners: 3 }), 'questions[0].num_winners', 'from 1 to 2');
      expectOneProblem(withQuestion({ tally_type: 'ONE_CHOICE', max: 2 }), 'questions[0].max', 'ONE_CHOICE');
      expectOneProblem(
        withQuestion({ tally_type: 'plurality' }),
        'questions[0].tally_type',
        'plurality-at-large',
      );
    });

    it('given a question whose votes do not fit into an element of the group, then that is said now, not by a voter', () => {
      const answers = Array.from({ length: 300 }, (_, at) => `Answer ${at}`);
      expectOneProblem(withQuestion({ answers, max: 300 }), 'questions[0]', 'choose a larger group');
      const larger = { ...withQuestion({ answers, max: 300 }), group: 'modp2048' };
      expect(parseElectionRequest(larger).group).to.equal('modp-2048');
    });
  });

  describe('its texts', () => {
    it('given a title longer than 255 characters, then it is cut, between characters (EO-12)', () => {
      const request = parseElectionRequest({ ...newerRequest(), title: '🗳'.repeat(300) });
      expect(request.title).to.equal('🗳'.repeat(255));
    });

    it('given half a character, a NUL or a text beyond its bound, then it is refused', () => {
      for (const description of ['\ud800', 'a\0b', 'x'.repeat(100_001)]) {
        expectOneProblem({ ...newerRequest(), description }, 'description');
      }
    });

    it('given an address with credentials or a fragment, then it is refused', () => {
      for (const callback_url of [
        'https://u:p@example.org/',
        'https://example.org/#x',
        'javascript:1',
        'https://',
      ]) {
        expectOneProblem({ ...newerRequest(), callback_url }, 'callback_url');
      }
    });

    it('given keys of prototypes at every place, then nothing is changed by them', () => {
      const text = JSON.stringify(newerRequest()).replace(
        '{',
        '{"__proto__":{"threshold":1},"constructor":{"x":1},',
      );
      const request = parseElectionRequest(JSON.parse(text));
      expect(request.threshold).to.equal(3);
      expect(Object.getPrototypeOf(request)).to.equal(Object.prototype);
      const hostile = { ...newerRequest(), extra: JSON.parse('{"__proto__":{"polluted":true}}') };
      expectOneProblem(hostile, 'extra', '__proto__');
      expect(({} as Record<string, unknown>).polluted).to.equal(undefined);
    });

    it('given free-form JSON that is too deep or too large, then it is refused', () => {
      let deep: unknown = 1;
      for (let level = 0; level < 12; level += 1) deep = [deep];
      expect(problemsOf({ ...newerRequest(), extra: deep })[0]).to.include('nested deeper');
      expectOneProblem(
        { ...newerRequest(), presentation: 'x'.repeat(70_000) },
        'presentation',
        'larger than',
      );
    });

    it('given thousands of mistakes, then the answer stays short', () => {
      const request = newerRequest();
      request.questions[0].answers = Array.from({ length: 1000 }, () => 7);
      const problems = problemsOf(request);
      expect(problems).to.have.lengthOf(51);
      expect(problems[50]).to.match(/^and \d+ more$/);
    });
  });

  describe('its hash (D32, D33)', () => {
    it('given the normalised request of either shape, then it reads as itself and hashes alike', () => {
      for (const original of [newerRequest(), olderRequest()]) {
        const once = parseElectionRequest(original);
        const received = JSON.parse(JSON.stringify(once));
        const twice = parseElectionRequest(received, { defaultGroup: 'modp-3072' });
        expect(twice).to.deep.equal(once);
        expect(requestHash(twice))
          .to.equal(requestHash(once))
          .and.match(/^[0-9a-f]{64}$/);
      }
    });

    it('given the keys in any order, then the hash is the same', () => {
      const request = newerRequest();
      const hash = requestHash(parseElectionRequest(request));
      const keys = Object.keys(request);
      fc.assert(
        fc.property(fc.shuffledSubarray(keys, { minLength: keys.length }), (order) => {
          const shuffled = Object.fromEntries(order.map((key) => [key, request[key]]));
          expect(requestHash(parseElectionRequest(shuffled))).to.equal(hash);
        }),
        { numRuns: 20 },
      );
    });

    it('given a change of anything that is approved, then the hash changes', () => {
      const hash = requestHash(parseElectionRequest(newerRequest()));
      const changes: Record<string, unknown> = {
        id: 8,
        title: 'Another',
        description: 'another',
        url: 'https://example.org/x',
        callback_url: 'https://example.org/x',
        start_date: null,
        end_date: null,
        threshold: 2,
        group: 'modp-2048',
        director: 'Auth1',
        layout: 'x',
        is_recurring: true,
        extra: { a: 1 },
        presentation: {},
        authorities: [authority(1), authority(2), authority(4)],
      };
      for (const [key, value] of Object.entries(changes)) {
        expect(requestHash(parseElectionRequest({ ...newerRequest(), [key]: value })), key).to.not.equal(
          hash,
        );
      }
    });
  });

  it('given any JSON, then it is refused with problems or accepted, and never breaks the parser', () => {
    const base = newerRequest();
    const keys = Object.keys(base);
    fc.assert(
      fc.property(fc.constantFrom(...keys), fc.jsonValue(), (key, value) => {
        try {
          parseElectionRequest({ ...base, [key]: value });
        } catch (thrown) {
          expect((thrown as ConclaveError).code).to.equal('invalid_request');
        }
      }),
      { numRuns: 300 },
    );
  });
});
