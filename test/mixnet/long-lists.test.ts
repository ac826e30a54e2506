/** Lists longer than a piece of work: nothing depends on where the pieces end, and a refusal names the entry. */
import { expect } from 'chai';
import { encrypt, sameCiphertexts } from '../../lib/mixnet/elgamal/ciphertexts.ts';
import {
  parseCiphertexts,
  parsePlaintexts,
  writeCiphertexts,
  writePlaintexts,
} from '../../lib/mixnet/formats/external.ts';
import { gather, joinAll, sameVector } from '../../lib/mixnet/groups/vectors.ts';
import { jointKey } from '../../lib/mixnet/keys/polynomial-in-exponent.ts';
import { utf8 } from '../../lib/mixnet/octets.ts';
import { Refusal } from '../../lib/mixnet/refusal.ts';
import { makeSession, trustedKey } from './election.ts';

const count = 4_500;

describe('Long lists', () => {
  const { session } = makeSession('P-256', 1, 1);
  const { group, codec } = session;
  const { polynomial } = trustedKey(session);
  const plaintexts = group.powerOfFixed(group.generator, group.ring.random(count));
  const list = encrypt(codec, jointKey(polynomial), [plaintexts], [group.ring.random(count)]);

  for (const format of ['raw', 'native', 'seqjson', 'json'] as const) {
    it(`given ${count} ciphertexts in ${format}, when written and parsed, then they are the same`, () => {
      const parsed = parseCiphertexts(codec, writeCiphertexts(codec, list, format), format);
      expect(parsed.length).to.equal(count);
      expect(sameCiphertexts(parsed, list)).to.equal(true);
    });
  }

  it('given plaintexts as JSON, when written and parsed, then they are the same', () => {
    const [parsed] = parsePlaintexts(codec, writePlaintexts(codec, [plaintexts], 'json'), 'json');
    expect(sameVector(parsed!, plaintexts)).to.equal(true);
  });

  for (const [what, change, reason] of [
    [
      'off the curve',
      (text: string) => text.replace(/.$/, (d) => (d === '0' ? '1' : '0')),
      'element-not-in-group',
    ],
    ['of 64 zero octets', () => `04${'0'.repeat(128)}`, 'element-not-in-group'],
    ['above the range', () => `04${'f'.repeat(128)}`, 'element-not-canonical'],
    ['the infinity', () => '00', 'element-not-canonical'],
    ['in capitals', (text: string) => text.toUpperCase(), 'element-not-canonical'],
  ] as const) {
    it(`given an entry ${what} in a later piece, when parsed, then it is refused by its number`, () => {
      const lines = Buffer.from(writeCiphertexts(codec, list, 'json'))
        .toString()
        .split('\n');
      const entry = JSON.parse(lines[4_321]!) as { alpha: string; beta: string };
      lines[4_321] = JSON.stringify({ ...entry, beta: change(entry.beta) });
      let thrown: unknown;
      try {
        parseCiphertexts(codec, utf8(lines.join('\n')), 'json');
      } catch (error) {
        thrown = error;
      }
      expect(thrown).to.be.instanceOf(Refusal);
      expect((thrown as Refusal).reason).to.equal(reason);
      expect((thrown as Refusal).message).to.include('beta of ciphertext 4321');
    });
  }

  it('given more parts than a function takes arguments, when joined, then all are there', () => {
    const one = group.ring.of(7n);
    const joined = joinAll(Array.from({ length: 200_000 }, () => one));
    expect(joined.length).to.equal(200_000);
    expect(group.ring.at(joined, 199_999)).to.equal(7n);
  });

  it('given an index outside, when gathered, then it is a mistake of the caller', () => {
    expect(() => gather(plaintexts, [count])).to.throw(RangeError);
  });
});
