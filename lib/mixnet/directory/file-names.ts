/** Names and complete sets of the files of a proof directory (VF 8). */

export const sessionTypes = ['mixing', 'shuffling', 'decryption'] as const;
export type SessionType = (typeof sessionTypes)[number];

const two = (party: number): string => String(party).padStart(2, '0');
const numbered =
  (stem: string) =>
  (party: number): string =>
    `proofs/${stem}${two(party)}.bt`;

export const fileNames = {
  version: 'version',
  type: 'type',
  auxsid: 'auxsid',
  width: 'width',
  publicKey: 'FullPublicKey.bt',
  ciphertexts: 'Ciphertexts.bt',
  shuffledCiphertexts: 'ShuffledCiphertexts.bt',
  plaintexts: 'Plaintexts.bt',
  activeThreshold: 'proofs/activethreshold',
  maxciph: 'proofs/maxciph',
  polynomial: 'proofs/PolynomialInExponent.bt',
  correctIndices: 'proofs/CorrectIndices.bt',
  output: numbered('Ciphertexts'),
  permutationCommitment: numbered('PermutationCommitment'),
  shuffleCommitment: numbered('PoSCommitment'),
  shuffleReply: numbered('PoSReply'),
  commitmentProofCommitment: numbered('PoSCCommitment'),
  commitmentProofReply: numbered('PoSCReply'),
  keepList: numbered('KeepList'),
  consistencyCommitment: numbered('CCPoSCommitment'),
  consistencyReply: numbered('CCPoSReply'),
  factors: numbered('DecryptionFactors'),
  decryptionCommitment: numbered('DecrFactCommitment'),
  decryptionReply: numbered('DecrFactReply'),
} as const;

/** What a shuffler leaves besides its output list. */
export function shuffleProofFiles(party: number, precomputed: boolean): string[] {
  const { permutationCommitment, shuffleCommitment, shuffleReply } = fileNames;
  const {
    commitmentProofCommitment,
    commitmentProofReply,
    keepList,
    consistencyCommitment,
    consistencyReply,
  } = fileNames;
  const makers = precomputed
    ? [
        permutationCommitment,
        commitmentProofCommitment,
        commitmentProofReply,
        keepList,
        consistencyCommitment,
        consistencyReply,
      ]
    : [permutationCommitment, shuffleCommitment, shuffleReply];
  return makers.map((make) => make(party));
}

/** What a party leaves of the decryption. */
export function decryptionFiles(party: number): string[] {
  return [fileNames.factors(party), fileNames.decryptionCommitment(party), fileNames.decryptionReply(party)];
}

export interface DirectoryContent {
  readonly type: SessionType;
  readonly parties: number;
  /** In increasing order. */
  readonly shufflers: readonly number[];
  readonly precomputed: boolean;
}

export interface ExpectedFiles {
  readonly required: ReadonlySet<string>;
  /** May be there: a shuffling session's last list under its other name, and its key's polynomial. */
  readonly optional: ReadonlySet<string>;
}

/** Exactly what a directory of this content must and may hold. */
export function expectedFiles({ type, parties, shufflers, precomputed }: DirectoryContent): ExpectedFiles {
  const required = new Set<string>([
    fileNames.version,
    fileNames.type,
    fileNames.auxsid,
    fileNames.width,
    fileNames.publicKey,
    fileNames.ciphertexts,
    fileNames.activeThreshold,
  ]);
  const optional = new Set<string>();
  if (precomputed) required.add(fileNames.maxciph);
  for (const party of shufflers) {
    for (const name of shuffleProofFiles(party, precomputed)) required.add(name);
    required.add(fileNames.output(party));
  }
  if (type === 'shuffling') {
    const last = fileNames.output(shufflers.at(-1) ?? 0);
    required.delete(last);
    optional.add(last);
    optional.add(fileNames.polynomial);
    required.add(fileNames.shuffledCiphertexts);
    return { required, optional };
  }
  required.add(fileNames.polynomial);
  required.add(fileNames.plaintexts);
  required.add(fileNames.correctIndices);
  for (let party = 1; party <= parties; party++) {
    for (const name of decryptionFiles(party)) required.add(name);
  }
  return { required, optional };
}

/** Parties of which any file of a shuffle is there. */
export function shufflersOf(names: readonly string[]): number[] {
  const found = new Set<number>();
  const pattern =
    /^proofs\/(?:Ciphertexts|PermutationCommitment|PoSC?(?:Commitment|Reply)|KeepList|CCPoS(?:Commitment|Reply))(\d\d)\.bt$/;
  for (const name of names) {
    const match = pattern.exec(name);
    if (match !== null) found.add(Number(match[1]));
  }
  return [...found].sort((a, b) => a - b);
}
