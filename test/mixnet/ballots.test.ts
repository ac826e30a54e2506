import { expect } from 'chai';
import {
  type Ballot,
  type BallotSession,
  ciphertextList,
  duplicates,
  encryptBallot,
  originalChallenge,
  verifyBallot,
  verifyBallots,
} from '../../lib/mixnet/ballots/ballot.ts';
import { publicKeyFromJson, publicKeyToJson } from '../../lib/mixnet/formats/public-key-json.ts';
import { groupByName } from '../../lib/mixnet/groups/registry.ts';
import { item } from '../../lib/mixnet/groups/vectors.ts';
import { refusalReason } from './refusals.ts';

function makeSessions(groupName: string, count: number): { sessions: BallotSession[]; secret: bigint } {
  const group = groupByName(groupName);
  const x = group.ring.random(1);
  const key = { y: [group.powerOfFixed(group.generator, x)] };
  const sessions = Array.from({ length: count }, (_, i) => ({
    electionId: '42',
    sessionId: `${i}-session`,
    group,
    key,
  }));
  return { sessions, secret: group.ring.at(x, 0) };
}

for (const name of ['P-256', 'modp-2048']) {
  describe(`Ballots: ${name}`, () => {
    const { sessions, secret } = makeSessions(name, 2);
    const { group } = sessions[0]!;
    const plaintexts = group.encodeIntegers([3n, 70_000n]);
    const make = (): Ballot => encryptBallot(sessions, [item(plaintexts, 0), item(plaintexts, 1)]);
    const ballot = JSON.parse(JSON.stringify(make())) as Ballot;
    const changed = (change: (copy: Ballot) => void): Ballot => {
      const copy = structuredClone(ballot);
      change(copy);
      return copy;
    };

    it('given a ballot, when verified and decrypted, then the choices are what was encrypted', () => {
      const choices = verifyBallot(sessions, ballot);
      const minus = group.ring.of(-secret);
      const decoded = choices.map(({ alpha, beta }) =>
        group.decodeIntegers(group.multiply(beta, group.power(alpha, minus))),
      );
      expect(decoded).to.deep.equal([[3n], [70_000n]]);
    });

    it('given ballots of which some are bad, when verified at once, then each bad one is named with its reason', () => {
      const wrongResponse = changed((copy) => {
        copy.proofs[1]!.response = (BigInt(copy.proofs[1]!.response) ^ 1n).toString();
      });
      const moved = changed((copy) => copy.choices.reverse());
      const rerandomised = changed((copy) => {
        copy.choices[0]!.beta = copy.choices[1]!.beta;
      });
      const ballots = [make(), wrongResponse, make(), moved, rerandomised, { choices: [] }, 'x', null];
      const outcomes = verifyBallots(sessions, ballots);
      expect(outcomes.map((outcome) => (outcome.ok ? 'valid' : outcome.reason))).to.deep.equal([
        'valid',
        'plaintext-proof-invalid',
        'valid',
        'challenge-mismatch',
        'challenge-mismatch',
        'ballot-malformed',
        'ballot-malformed',
        'ballot-malformed',
      ]);
    });

    it('given a ballot of another election, session or key, when verified, then it is refused', () => {
      const others: Partial<BallotSession>[] = [
        { electionId: '43' },
        { sessionId: 'other' },
        { key: makeSessions(name, 1).sessions[0]!.key },
      ];
      for (const other of others) {
        const found = sessions.map((session) => ({ ...session, ...other }));
        expect(refusalReason(() => verifyBallot(found, ballot))).to.equal('challenge-mismatch');
      }
    });

    it('given encodings that are not canonical, when verified, then they are refused', () => {
      const reason = (change: (copy: Ballot) => void): string =>
        refusalReason(() => verifyBallot(sessions, changed(change)));
      expect(
        reason((copy) => Object.assign(copy.proofs[0]!, { response: `0${copy.proofs[0]!.response}` })),
      ).to.equal('ballot-malformed');
      expect(
        reason((copy) => Object.assign(copy.choices[0]!, { alpha: ` ${copy.choices[0]!.alpha}` })),
      ).to.equal('element-not-canonical');
      const large = (BigInt(ballot.proofs[0]!.response) + group.ring.order).toString();
      expect(reason((copy) => Object.assign(copy.proofs[0]!, { response: large }))).to.equal(
        'scalar-not-canonical',
      );
      expect(reason((copy) => Object.assign(copy, { extra: 1 }))).to.equal('ballot-malformed');
    });

    it("given the original's challenge, when allowed, then only a multiplicative group accepts it", () => {
      const [session] = sessions;
      const { ring } = group;
      const [r, k] = [ring.random(1), ring.random(1)];
      const alpha = group.elementText(group.powerOfFixed(group.generator, r), 0);
      const commitment = group.elementText(group.powerOfFixed(group.generator, k), 0);
      const challenge = ring.of(originalChallenge(alpha, commitment));
      const old = {
        choices: [{ alpha, beta: group.elementText(plaintexts, 0) }],
        proofs: [
          {
            commitment,
            challenge: ring.at(challenge, 0).toString(),
            response: ring.at(ring.add(k, ring.multiply(challenge, r)), 0).toString(),
          },
        ],
      };
      expect(refusalReason(() => verifyBallot([session!], old))).to.equal('challenge-mismatch');
      const verify = (): unknown => verifyBallot([session!], old, { acceptOriginalChallenge: true });
      if (name === 'P-256') expect(refusalReason(verify)).to.equal('challenge-mismatch');
      else expect(verify()).to.have.length(1);
    });

    it('given copied ballots, when the list is searched for duplicates, then the pairs are found', () => {
      const [first, second] = [make(), make()];
      const choices = [first, second, first].map((one) => verifyBallot(sessions, one)[0]!);
      const list = ciphertextList(group, choices);
      expect(list.length).to.equal(3);
      expect(duplicates(list)).to.deep.equal([[0, 2]]);
    });

    it('given a public key, when written to JSON and read, then it is the same; damaged ones are refused', () => {
      const json = JSON.parse(JSON.stringify(publicKeyToJson(group, sessions[0]!.key))) as Record<
        string,
        string
      >;
      const read = publicKeyFromJson(json);
      expect(publicKeyToJson(read.group, read.key)).to.deep.equal(json);
      if (name === 'P-256') {
        expect(refusalReason(() => publicKeyFromJson({ ...json, g: json.y! }))).to.equal(
          'generator-mismatch',
        );
      }
      expect(refusalReason(() => publicKeyFromJson({ ...json, y: '0' }))).to.be.oneOf([
        'json-malformed',
        'element-not-canonical',
      ]);
      expect(refusalReason(() => publicKeyFromJson({ y: json.y }))).to.equal('json-malformed');
      if (name === 'modp-2048') {
        expect(refusalReason(() => publicKeyFromJson({ ...json, q: '7' }))).to.equal(
          'group-description-invalid',
        );
        expect(refusalReason(() => publicKeyFromJson({ ...json, y: '1' }))).to.equal('element-is-identity');
      }
    });
  });
}

describe('The original challenge', () => {
  it('given alpha and commitment, when hashed, then it is SHA-256 of both with a slash between', () => {
    // printf '12/34' | sha256sum
    expect(originalChallenge('12', '34')).to.equal(
      0xa7487e589668b6583bfb3b9fb20de36118b3c0dd4a0db19aacb1d6a705bf8b43n,
    );
  });
});
