/** The part of the verifier about the decryption: each party's proof, the indices and the plaintexts (VF 11, 13). */
import { readWhole } from '../byteTree/reader.ts';
import {
  combiningParties,
  type DecryptionStatement,
  decryptionChallenge,
  decryptionSeed,
  partiesFailingDecryption,
  plaintextsFollow,
} from '../decryption/decryptionProof.ts';
import { allParties, readCommitment, readFactors, readReply } from '../directory/decryptionStep.ts';
import { fileNames } from '../directory/fileNames.ts';
import type { ProofFiles } from '../directory/proofFiles.ts';
import { readBooleans, readPlaintextsFile } from '../directory/records.ts';
import type { Ciphertexts } from '../elgamal/ciphertexts.ts';
import { sameVector } from '../groups/vectors.ts';
import type { PolynomialInExponent } from '../keys/polynomialInExponent.ts';
import { type Observer, octetsText } from '../proofs/observer.ts';
import { Refusal } from '../refusal.ts';
import type { MixSession } from '../session/session.ts';
import type { VerificationReport } from './report.ts';

/** Returns the parties whose factors are used or could be: all that claim to be correct, each proven so. */
export function verifyDecryption(
  session: MixSession,
  files: ProofFiles,
  polynomial: PolynomialInExponent,
  list: Ciphertexts,
  expectedPlaintexts: Uint8Array | undefined,
  report: VerificationReport,
  observe: Observer | undefined,
): number[] {
  const correct = report.require('correct-indices', 'Parties that decrypted', () =>
    readCorrect(session, files),
  );
  const parties = allParties(session);
  const factors = parties.map((party) =>
    report.require(`factors-${party}`, `Decryption factors of party ${party}`, () =>
      readFactors(session, files, party, list.length),
    ),
  );
  const proofs = parties.map((party) =>
    report.require(`decryption-proof-${party}`, `Form of the decryption proof of party ${party}`, () => ({
      commitment: readCommitment(session, files, party),
      reply: readReply(session, files, party),
    })),
  );
  const statement = { list, polynomial, factors };
  const commitments = proofs.map((proof) => proof.commitment);
  if (observe) observeDecryption(session, statement, commitments, observe);
  const failing = partiesFailingDecryption(
    session,
    statement,
    commitments,
    proofs.map((proof) => proof.reply),
    correct,
  );
  const wrong = parties.filter((party) => !correct.includes(party));
  report.require('left-out', 'Parties left out', () => {
    const replies = proofs.map((proof) => proof.reply);
    const justly = partiesFailingDecryption(session, statement, commitments, replies, wrong);
    const unjustly = wrong.find((party) => !justly.includes(party));
    if (unjustly === undefined) return;
    throw new Refusal(
      'correct-indices-invalid',
      `party ${unjustly} is marked as incorrect, but its proof holds`,
    );
  });
  for (const party of correct) {
    report.note(`decryption-${party}`, `Decryption by party ${party}`, () => {
      if (!failing.includes(party)) return;
      throw new Refusal('decryption-proof-invalid', `the decryption proof of party ${party} does not hold`);
    });
  }
  report.require('plaintexts', 'Plaintexts', () => {
    const plaintexts = readPlaintextsFile(session, files, list.length);
    if (!plaintextsFollow(session, list, factors, correct, plaintexts)) {
      throw new Refusal('plaintexts-mismatch', 'the plaintexts do not follow from the decryption factors');
    }
    if (expectedPlaintexts === undefined) return;
    const expected = readWhole(expectedPlaintexts, 'expected plaintexts', (reader) =>
      session.codec.readPlaintexts(reader, 'expected plaintexts'),
    );
    if (!plaintexts.every((v, c) => sameVector(v, expected[c]!))) {
      throw new Refusal('output-mismatch', `${fileNames.plaintexts} is not the expected list`);
    }
  });
  return correct.filter((party) => !failing.includes(party));
}

function readCorrect(session: MixSession, files: ProofFiles): number[] {
  const flags = readBooleans(files, fileNames.correctIndices, session.parties + 1);
  if (!flags[0]) throw new Refusal('correct-indices-invalid', 'the unused first entry must be true');
  const correct = allParties(session).filter((party) => flags[party]);
  combiningParties(session, correct);
  return correct;
}

function observeDecryption(
  session: MixSession,
  statement: DecryptionStatement,
  commitments: Parameters<typeof decryptionChallenge>[2],
  observe: Observer,
): void {
  const seed = decryptionSeed(session, statement);
  observe('Dec.s', octetsText(seed));
  observe('Dec.v', octetsText(decryptionChallenge(session, seed, commitments)));
}
