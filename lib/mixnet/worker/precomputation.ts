/**
 * Shuffles in two halves as operations of a worker: commitment and its proof before the polls close, the consistent
 * shuffle afterwards (VF 10).
 *
 * The witness in between is a file of mode 0600 that only this module reads and writes. It serves for one list only:
 * the list's hash is stored beside it before anything that depends on it is written, and another list is refused.
 */
import { existsSync, readFileSync } from 'node:fs';
import { fileNames } from '../directory/file-names.ts';
import {
  commitmentHash,
  precompute,
  shufflePrecomputed,
  verifyPrecomputation,
  verifyPrecomputedShuffle,
} from '../directory/precomputed-step.ts';
import type { ProofFiles } from '../directory/proof-files.ts';
import { readKeyFile } from '../directory/records.ts';
import { listName } from '../directory/shuffle-step.ts';
import { hashOctets } from '../hashing/random-oracle.ts';
import { hex } from '../octets.ts';
import { Refusal } from '../refusal.ts';
import { createSecretFile, type DirectoryParameters, openDirectory, readOctets } from './parameters.ts';

type Progress = (step: string, done: number) => void;

interface PrecomputedStep extends DirectoryParameters {
  readonly party: number;
}

interface PrecomputedShuffleStep extends PrecomputedStep {
  /** The shuffler whose output is taken, 0 for the input list. */
  readonly from: number;
}

export const precomputationOperations = {
  /** Commits to a permutation of `count` places; the secret witness goes to `secretPath`, which must not exist. */
  precompute(
    parameters: PrecomputedStep & { count: number; secretPath: string },
    progress: Progress,
  ): { commitmentHash: string } {
    const { session, files } = openDirectory(parameters);
    const { party, count, secretPath } = parameters;
    progress('committing to a permutation', 0);
    precompute(session, files, party, count, (secret) => {
      createSecretFile(secretPath, secret);
    });
    return { commitmentHash: commitmentHash(files, party) };
  },

  /** Throws a `Refusal` for an invalid commitment. Keep the hash for `verifyPrecomputedShuffle`. */
  verifyPrecomputation(parameters: PrecomputedStep, progress: Progress): { commitmentHash: string } {
    const { session, files } = openDirectory(parameters);
    progress(`verifying the commitment of party ${parameters.party}`, 0);
    verifyPrecomputation(session, files, parameters.party);
    return { commitmentHash: commitmentHash(files, parameters.party) };
  },

  /** Shuffles by the precomputed permutation. The witness is of no use for any other list from now on. */
  shufflePrecomputed(
    parameters: PrecomputedShuffleStep & { secretPath: string },
    progress: Progress,
  ): { outputHash: string } {
    const { session, files } = openDirectory(parameters);
    const { party, from, secretPath } = parameters;
    reserveWitness(secretPath, fileHash(files, listName(from)));
    progress('shuffling', 0);
    const secret = readOctets(secretPath);
    shufflePrecomputed(session, files, { key: readKeyFile(session, files), party, from, secret });
    return { outputHash: fileHash(files, fileNames.output(party)) };
  },

  /**
   * Throws a `Refusal` for an invalid shuffle. `commitmentHash`: what `verifyPrecomputation` returned, if the proof of
   * that commitment is not to be verified once more.
   */
  verifyPrecomputedShuffle(
    parameters: PrecomputedShuffleStep & { commitmentHash?: string },
    progress: Progress,
  ): { outputHash: string } {
    const { session, files } = openDirectory(parameters);
    const { party, from } = parameters;
    progress(`verifying the shuffle of party ${party}`, 0);
    const step = { key: readKeyFile(session, files), party, from };
    verifyPrecomputedShuffle(session, files, step, parameters.commitmentHash);
    return { outputHash: fileHash(files, fileNames.output(party)) };
  },
};

/** The same permutation for two lists would show which entries of the one were shuffled like which of the other. */
function reserveWitness(secretPath: string, listHash: string): void {
  const path = `${secretPath}.list`;
  if (!existsSync(path)) {
    createSecretFile(path, Buffer.from(listHash));
    return;
  }
  if (readFileSync(path, 'utf8') === listHash) return;
  throw new Refusal('precomputation-used', 'the precomputed permutation was used for another list already');
}

const fileHash = (files: ProofFiles, name: string): string => hex(hashOctets('SHA-256', files.read(name)));
