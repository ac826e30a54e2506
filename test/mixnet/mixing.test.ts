import { expect } from 'chai';
import {
  assembleDecryption,
  commitToFactors,
  failingDecryptors,
  replyToCommitments,
  writeFactors,
} from '../../lib/mixnet/directory/decryption-step.ts';
import { fileNames } from '../../lib/mixnet/directory/file-names.ts';
import {
  commitmentHash,
  precompute,
  shufflePrecomputed,
  verifyPrecomputation,
  verifyPrecomputedShuffle,
} from '../../lib/mixnet/directory/precomputed-step.ts';
import { readList } from '../../lib/mixnet/directory/records.ts';
import { beginSession, finishShuffling } from '../../lib/mixnet/directory/session-start.ts';
import { shuffleList } from '../../lib/mixnet/directory/shuffle-step.ts';
import { sameCiphertexts } from '../../lib/mixnet/elgamal/ciphertexts.ts';
import { jointKey } from '../../lib/mixnet/keys/polynomial-in-exponent.ts';
import type { ProtocolInfo } from '../../lib/mixnet/session/protocol-info.ts';
import { verifyProofDirectory } from '../../lib/mixnet/verifier/proof-directory-verifier.ts';
import {
  decryptAll,
  generateKey,
  makeCiphertexts,
  makeParties,
  makeSession,
  messagesOf,
  mixAll,
  newFiles,
  trustedKey,
} from './election.ts';
import { refusalReason } from './refusals.ts';

interface Case {
  readonly title: string;
  readonly group: string;
  readonly parties: number;
  readonly threshold: number;
  readonly count: number;
  readonly shufflers: readonly number[];
  readonly active: readonly number[];
  readonly width?: number;
  readonly keyWidth?: number;
  readonly info?: Partial<ProtocolInfo>;
}

const oddParameters = { statdist: 53, vbitlenro: 269, ebitlenro: 301, prg: 'SHA-384', rohash: 'SHA-512' };
const cases: Case[] = [
  { title: 'one party', group: 'P-256', parties: 1, threshold: 1, count: 7, shufflers: [1], active: [1] },
  {
    title: 'one ciphertext',
    group: 'P-256',
    parties: 1,
    threshold: 1,
    count: 1,
    shufflers: [1],
    active: [1],
  },
  {
    title: 'two of three, party 1 inactive',
    group: 'P-256',
    parties: 3,
    threshold: 2,
    count: 6,
    shufflers: [2, 3],
    active: [2, 3],
  },
  {
    title: 'two of three, party 2 does not shuffle',
    group: 'P-256',
    parties: 3,
    threshold: 2,
    count: 6,
    shufflers: [1, 3],
    active: [1, 2, 3],
  },
  {
    title: 'more shuffles than the threshold',
    group: 'P-256',
    parties: 3,
    threshold: 2,
    count: 4,
    shufflers: [1, 2, 3],
    active: [1, 3],
  },
  {
    title: 'width two',
    group: 'P-256',
    parties: 3,
    threshold: 2,
    count: 5,
    width: 2,
    shufflers: [1, 2],
    active: [1, 2, 3],
  },
  {
    title: 'key width two and width three',
    group: 'P-256',
    parties: 2,
    threshold: 2,
    count: 4,
    width: 3,
    keyWidth: 2,
    shufflers: [1, 2],
    active: [1, 2],
  },
  {
    title: 'odd parameters and other hash functions',
    group: 'P-256',
    parties: 2,
    threshold: 1,
    count: 5,
    shufflers: [2],
    active: [1, 2],
    info: oddParameters,
  },
  {
    title: 'no statistical slack, longer challenges and batching',
    group: 'P-256',
    parties: 2,
    threshold: 2,
    count: 4,
    shufflers: [1, 2],
    active: [1, 2],
    info: { statdist: 0, vbitlenro: 512, ebitlenro: 1024, prg: 'SHA-512' },
  },
  {
    title: 'most statistical slack',
    group: 'P-256',
    parties: 1,
    threshold: 1,
    count: 3,
    shufflers: [1],
    active: [1],
    info: { statdist: 255, rohash: 'SHA-384' },
  },
  {
    title: 'a multiplicative group, wide, with odd parameters',
    group: 'modp-2048',
    parties: 2,
    threshold: 1,
    count: 2,
    width: 2,
    keyWidth: 2,
    shufflers: [1, 2],
    active: [1, 2],
    info: oddParameters,
  },
  {
    title: 'decryption only',
    group: 'P-256',
    parties: 3,
    threshold: 2,
    count: 5,
    shufflers: [],
    active: [1, 3],
  },
  {
    title: 'a multiplicative group',
    group: 'modp-2048',
    parties: 2,
    threshold: 2,
    count: 3,
    shufflers: [1, 2],
    active: [1, 2],
  },
];

describe('Mixing', () => {
  for (const { title, group, parties, threshold, count, shufflers, active, ...shape } of cases) {
    it(`given ${title} (${group}), when mixed and decrypted, then the verifier accepts and the votes come out`, () => {
      const { info, session } = makeSession(group, parties, threshold, shape);
      const { polynomial, shares } = trustedKey(session);
      const { plaintexts, list } = makeCiphertexts(session, polynomial, count);
      const files = newFiles();
      const from = mixAll(session, files, polynomial, list, shufflers);
      const decrypted = decryptAll(session, files, shares, from, active);
      expect(messagesOf(session, decrypted)).to.deep.equal(messagesOf(session, plaintexts));
      const result = verifyProofDirectory(files, info, {
        expect: { ciphertexts: files.read('Ciphertexts.bt') },
      });
      expect(result.steps.filter((step) => !step.ok)).to.deep.equal([]);
      expect(result.decryptors).to.deep.equal(active);
      expect(result.shufflers).to.deep.equal(shufflers);
    });
  }

  it('given a key of distributed key generation, when mixed by two of three, then the votes come out', () => {
    const made = makeParties('P-256', 3, 2);
    const { key, shares } = generateKey(made);
    const { info, session } = makeSession('P-256', 3, 2);
    const { plaintexts, list } = makeCiphertexts(session, key.polynomial, 5);
    const files = newFiles();
    const from = mixAll(session, files, key.polynomial, list, [1, 3]);
    const decrypted = decryptAll(
      session,
      files,
      shares.map((share) => [share]),
      from,
      [1, 3],
    );
    expect(messagesOf(session, decrypted)).to.deep.equal(messagesOf(session, plaintexts));
    expect(verifyProofDirectory(files, info).ok).to.equal(true);
  });

  it('given a shuffled list, when compared with its input, then nothing stays in its place unchanged', () => {
    const { session } = makeSession('P-256', 1, 1);
    const { polynomial } = trustedKey(session);
    const { list } = makeCiphertexts(session, polynomial, 4);
    const files = newFiles();
    mixAll(session, files, polynomial, list, [1]);
    expect(sameCiphertexts(readList(session, files, fileNames.output(1)), list)).to.equal(false);
  });

  it('given a shuffling session, when finished, then the verifier accepts it, and not without its output', () => {
    const { info, session } = makeSession('P-256', 2, 2);
    const { polynomial } = trustedKey(session);
    const { list } = makeCiphertexts(session, polynomial, 3);
    const key = jointKey(polynomial);
    const files = newFiles();
    beginSession(session, files, { type: 'shuffling', key, list });
    shuffleList(session, files, { key, party: 1, from: 0 });
    shuffleList(session, files, { key, party: 2, from: 1 });
    finishShuffling(session, files, 2);
    expect(verifyProofDirectory(files, info).ok).to.equal(true);
    files.remove(fileNames.shuffledCiphertexts);
    expect(verifyProofDirectory(files, info).ok).to.equal(false);
  });

  for (const [what, group, shape, count, places] of [
    ['one component', 'P-256', {}, 4, 7],
    ['as many places as ciphertexts', 'P-256', {}, 3, 3],
    ['width two', 'P-256', { width: 2 }, 4, 7],
    ['key width two and width two', 'P-256', { width: 2, keyWidth: 2 }, 2, 5],
    ['odd parameters and other hash functions', 'P-256', { info: oddParameters }, 4, 7],
    ['a multiplicative group and odd parameters', 'modp-2048', { info: oddParameters }, 2, 3],
  ] as const) {
    it(`given a precomputed permutation (${what}), when ciphertexts come, then the verifier accepts the shuffles`, () => {
      const { info, session } = makeSession(group, 2, 2, shape);
      const { polynomial, shares } = trustedKey(session);
      const { plaintexts, list } = makeCiphertexts(session, polynomial, count);
      const key = jointKey(polynomial);
      const files = newFiles();
      const secrets = [1, 2].map((party) => {
        let witness = new Uint8Array(0);
        precompute(session, files, party, places, (secret) => {
          expect(files.has(fileNames.permutationCommitment(party)), 'written before the secret').to.equal(
            false,
          );
          witness = secret.slice();
        });
        verifyPrecomputation(session, files, party);
        return witness;
      });
      beginSession(session, files, { type: 'mixing', key, polynomial, list });
      for (const party of [1, 2]) {
        const step = { key, party, from: party - 1 };
        shufflePrecomputed(session, files, { ...step, secret: secrets[party - 1]! });
        verifyPrecomputedShuffle(session, files, step);
        verifyPrecomputedShuffle(session, files, step, commitmentHash(files, party));
      }
      const decrypted = decryptAll(session, files, shares, 2, [1, 2]);
      expect(messagesOf(session, decrypted)).to.deep.equal(messagesOf(session, plaintexts));
      const result = verifyProofDirectory(files, info);
      expect(result.steps.filter((step) => !step.ok)).to.deep.equal([]);
    });
  }

  it('given an empty list, when a session is begun, then it is refused', () => {
    const { session } = makeSession('P-256', 1, 1);
    const { polynomial } = trustedKey(session);
    const { list } = makeCiphertexts(session, polynomial, 0);
    const start = { type: 'mixing' as const, key: jointKey(polynomial), polynomial, list };
    expect(refusalReason(() => beginSession(session, newFiles(), start))).to.equal('list-length-mismatch');
  });
});

describe('Decryption rounds', () => {
  const { info, session } = makeSession('P-256', 3, 2);
  const { polynomial, shares } = trustedKey(session);
  const { plaintexts, list } = makeCiphertexts(session, polynomial, 4);
  const parameters = { from: 0, active: [1, 2, 3] };

  function upToCommitments(): { files: ReturnType<typeof newFiles>; secrets: Uint8Array[] } {
    const files = newFiles();
    mixAll(session, files, polynomial, list, []);
    for (const party of parameters.active) writeFactors(session, files, party, 0, shares[party - 1]!);
    const rounds = parameters.active.map((party) => commitToFactors(session, files, party, parameters));
    rounds.forEach(({ commitment }, i) => {
      files.write(fileNames.decryptionCommitment(i + 1), commitment);
    });
    return { files, secrets: rounds.map(({ secret }) => secret) };
  }

  it('given a party that lies about its factors, when checked, then it is named and the others finish', () => {
    const { files, secrets } = upToCommitments();
    const wrong = [shares[0]!, shares[0]!, shares[2]!];
    writeFactors(session, files, 2, 0, wrong[1]!);
    const again = parameters.active.map((party) => commitToFactors(session, files, party, parameters));
    again.forEach(({ commitment }, i) => {
      files.write(fileNames.decryptionCommitment(i + 1), commitment);
    });
    expect(
      refusalReason(() => replyToCommitments(session, files, parameters, shares[0]!, secrets[0]!)),
    ).to.equal('second-challenge-refused');
    again.forEach(({ secret }, i) => {
      const { reply } = replyToCommitments(session, files, parameters, wrong[i]!, secret);
      files.write(fileNames.decryptionReply(i + 1), reply);
    });
    expect(failingDecryptors(session, files, parameters)).to.deep.equal([2]);
    const decrypted = assembleDecryption(session, files, parameters, [1, 3]);
    expect(messagesOf(session, decrypted)).to.deep.equal(messagesOf(session, plaintexts));
    const result = verifyProofDirectory(files, info);
    expect(result.ok).to.equal(true);
    expect(result.decryptors).to.deep.equal([1, 3]);
  });

  it('given a reply, when asked again with other commitments, then the second challenge is refused', () => {
    const { files, secrets } = upToCommitments();
    const first = replyToCommitments(session, files, parameters, shares[0]!, secrets[0]!);
    const repeated = replyToCommitments(session, files, parameters, shares[0]!, first.secret);
    expect(repeated).to.deep.equal(first);
    files.write(fileNames.decryptionCommitment(3), commitToFactors(session, files, 3, parameters).commitment);
    expect(
      refusalReason(() => replyToCommitments(session, files, parameters, shares[0]!, first.secret)),
    ).to.equal('second-challenge-refused');
  });

  it('given a stored state of another commitment or damaged, when asked to reply, then it is refused', () => {
    const { files, secrets } = upToCommitments();
    files.write(fileNames.decryptionCommitment(1), commitToFactors(session, files, 1, parameters).commitment);
    const reason = (secret: Uint8Array): string =>
      refusalReason(() => replyToCommitments(session, files, parameters, shares[0]!, secret));
    expect(reason(secrets[0]!)).to.equal('secret-state-invalid');
    expect(reason(secrets[0]!.subarray(1))).to.equal('secret-state-invalid');
  });

  it('given a malformed reply, when checked, then its party is named', () => {
    const { files, secrets } = upToCommitments();
    secrets.forEach((secret, i) => {
      const { reply } = replyToCommitments(session, files, parameters, shares[i]!, secret);
      files.write(fileNames.decryptionReply(i + 1), i === 2 ? reply.subarray(1) : reply);
    });
    expect(failingDecryptors(session, files, parameters)).to.deep.equal([3]);
  });

  it('given fewer active parties than the threshold, when a round is asked for, then it is refused', () => {
    const { files } = upToCommitments();
    expect(refusalReason(() => commitToFactors(session, files, 1, { from: 0, active: [1] }))).to.equal(
      'too-few-decryptors',
    );
  });
});
