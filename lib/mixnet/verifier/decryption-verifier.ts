/** The part of the verifier about the decryption: each party's proof, the indices and the plaintexts (VF 11, 13). */
import { readWhole } from '../byte-tree/reader.ts';
import {
  challengeOf,
  combiningParties,
  decryptionEquations,
  plaintextEquations,
} from '../decryption/decryption-proof.ts';
import { allParties, readCommitment, readFactors, readReply } from '../directory/decryption-step.ts';
import { fileNames } from '../directory/file-names.ts';
import type { ProofFiles } from '../directory/proof-files.ts';
import { readBooleans, readPlaintextsFile } from '../directory/records.ts';
import type { Ciphertexts } from '../elgamal/ciphertexts.ts';
import { type Elements, sameVector } from '../groups/vectors.ts';
import type { PolynomialInExponent } from '../keys/polynomial-in-exponent.ts';
import { allHold, type Equation } from '../proofs/equations.ts';
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
  const commitments = proofs.map(({ commitment }) => commitment);
  const challenge = challengeOf(session, statement, commitments);
  observe?.('Dec.s', octetsText(challenge.seed));
  observe?.('Dec.v', octetsText(challenge.challenge));
  const equationsOf = (party: number): Equation[] =>
    decryptionEquations(session, statement, party, proofs[party - 1]!, challenge);
  report.require('left-out', 'Parties left out', () => {
    for (const party of parties)
      if (!correct.includes(party)) refuseIfCorrect(session, party, equationsOf(party));
  });
  for (const party of correct) {
    const step = { id: `decryption-${party}`, title: `Decryption by party ${party}`, decisive: false };
    report.claim(session.group, step, () => ({
      value: undefined,
      claims: [
        {
          equations: equationsOf(party),
          refusal: () =>
            new Refusal('decryption-proof-invalid', `the decryption proof of party ${party} does not hold`),
        },
      ],
    }));
  }
  const step = { id: 'plaintexts', title: 'Plaintexts', decisive: true };
  report.claim(session.group, step, () => {
    const plaintexts = readPlaintextsFile(session, files, list.length);
    if (expectedPlaintexts !== undefined) checkExpected(session, plaintexts, expectedPlaintexts);
    const equations = plaintextEquations(session, list, factors, correct, plaintexts);
    const refusal = (): Refusal =>
      new Refusal('plaintexts-mismatch', 'the plaintexts do not follow from the decryption factors');
    return { value: undefined, claims: [{ equations, refusal }] };
  });
  report.settle();
  const failed = new Set(report.steps.filter(({ ok }) => !ok).map(({ id }) => id));
  return correct.filter((party) => !failed.has(`decryption-${party}`));
}

/** A party must not be left out of the combination though its proof holds. */
function refuseIfCorrect(session: MixSession, party: number, equations: readonly Equation[]): void {
  // Short equations first: that of the key fails for a party that took no part.
  if (equations.some((equation) => !allHold(session.group, [equation]))) return;
  throw new Refusal('correct-indices-invalid', `party ${party} is marked as incorrect, but its proof holds`);
}

function checkExpected(session: MixSession, plaintexts: readonly Elements[], octets: Uint8Array): void {
  const expected = readWhole(octets, 'expected plaintexts', (reader) =>
    session.codec.readPlaintexts(reader, 'expected plaintexts'),
  );
  if (plaintexts.every((v, c) => sameVector(v, expected[c]!))) return;
  throw new Refusal('output-mismatch', `${fileNames.plaintexts} is not the expected list`);
}

function readCorrect(session: MixSession, files: ProofFiles): number[] {
  const flags = readBooleans(files, fileNames.correctIndices, session.parties + 1);
  if (!flags[0]) throw new Refusal('correct-indices-invalid', 'the unused first entry must be true');
  const correct = allParties(session).filter((party) => flags[party]);
  combiningParties(session, correct);
  return correct;
}
