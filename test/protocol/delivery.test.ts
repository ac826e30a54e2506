import { expect } from 'chai';
import fc from 'fast-check';
import {
  backOff,
  doubtsOf,
  IN_DOUBT_LIMIT,
  MAX_DELAY_MILLISECONDS,
  outcomeOf,
} from '../../lib/protocol/delivery.ts';

const sent = { peerName: 'b', dialect: 'conclave' as const, doubts: 0 };
const original = { ...sent, dialect: 'frestq' as const };
const answer = (status: number, code: string | null = null) => ({ status, code, text: 'why' });

describe('what an answer means', () => {
  const table: [number, string | null, string][] = [
    [200, null, 'delivered'],
    [204, null, 'delivered'],
    [301, null, 'retry peer'],
    [308, null, 'retry peer'],
    [400, 'invalid_json', 'dead'],
    [401, 'certificate_required', 'retry peer'],
    [401, null, 'dead'],
    [403, 'unknown_certificate', 'retry peer'],
    [403, 'wrong_role', 'retry peer'],
    [403, 'proxy_not_allowed', 'retry peer'],
    [403, 'wrong_peer', 'dead'],
    [403, null, 'dead'],
    [404, 'unknown_action', 'dead'],
    [404, null, 'dead'],
    [405, null, 'dead'],
    [408, 'body_timeout', 'retry message'],
    [409, 'task_exists', 'dead'],
    [413, 'body_too_large', 'dead'],
    [425, null, 'retry message'],
    [429, null, 'retry peer'],
    [500, 'internal_error', 'retry message'],
    [501, null, 'retry message'],
    [502, null, 'retry peer'],
    [503, 'queue_full', 'retry message'],
    [503, 'shutting_down', 'retry peer'],
    [503, 'database_unavailable', 'retry peer'],
    [503, null, 'retry peer'],
    [504, null, 'retry peer'],
  ];
  for (const [status, code, expected] of table) {
    it(`given ${status} ${code ?? 'without a code'}, when it is judged, then it means ${expected}`, () => {
      const outcome = outcomeOf(answer(status, code), sent);
      expect(outcome.kind === 'retry' ? `retry ${outcome.about}` : outcome.kind).to.equal(expected);
    });
  }

  it('given 500 of an original again and again, when the limit is reached, then the message counts as delivered, in doubt', () => {
    let doubts = 0;
    for (let attempt = 1; attempt < IN_DOUBT_LIMIT; attempt += 1) {
      const outcome = outcomeOf(answer(500), { ...original, doubts });
      expect(outcome.kind).to.equal('retry');
      doubts = doubtsOf(outcome.error);
      expect(doubts).to.equal(attempt);
    }
    const last = outcomeOf(answer(500), { ...original, doubts });
    expect(last.kind).to.equal('delivered');
    expect(last.error).to.deep.include({ code: 'peer_error' });
  });

  it('given a peer that names a time, when it is judged, then the retry keeps it', () => {
    const outcome = outcomeOf({ ...answer(503, 'queue_full'), retryAfterMilliseconds: 7000 }, sent);
    expect(outcome).to.include({ kind: 'retry', afterMilliseconds: 7000 });
  });

  it('given any attempt, when the delay is drawn, then it is between 0 and a ceiling that doubles up to a minute', () => {
    expect([1, 2, 3, 8, 9, 1000].map((attempts) => backOff(attempts, 1))).to.deep.equal([
      500, 1000, 2000, 60_000, 60_000, 60_000,
    ]);
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 10_000 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (attempts, random) => {
          const delay = backOff(attempts, random);
          expect(delay).to.be.within(0, MAX_DELAY_MILLISECONDS);
        },
      ),
    );
  });
});
