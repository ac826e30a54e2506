import { expect } from 'chai';
import type { MemoryProofFiles } from '../../lib/mixnet/directory/proof-files.ts';
import { concatenate, utf8 } from '../../lib/mixnet/octets.ts';
import type { RefusalReason } from '../../lib/mixnet/refusal.ts';
import type { ProtocolInfo } from '../../lib/mixnet/session/protocol-info.ts';
import {
  type Expectations,
  verifyProofDirectory,
} from '../../lib/mixnet/verifier/proof-directory-verifier.ts';
import { vectorFile, vectorInfo, vectorProof } from './vectors.ts';

interface Manipulation {
  readonly title: string;
  readonly vector?: string;
  readonly change: (files: MemoryProofFiles) => void;
  readonly info?: Partial<ProtocolInfo>;
  readonly expect?: Expectations;
  /** The step that must fail, and why. */
  readonly step: string;
  readonly reason: RefusalReason | readonly RefusalReason[];
}

const flip =
  (name: string, at: number, mask = 1) =>
  (files: MemoryProofFiles): void => {
    const bytes = files.read(name).slice();
    bytes[at < 0 ? bytes.length + at : at]! ^= mask;
    files.write(name, bytes);
  };
const remove =
  (...names: string[]) =>
  (files: MemoryProofFiles): void => {
    for (const name of names) files.remove(name);
  };
const append =
  (name: string, octets: Uint8Array) =>
  (files: MemoryProofFiles): void =>
    files.write(name, concatenate(files.read(name), octets));
const replace =
  (name: string, by: string) =>
  (files: MemoryProofFiles): void =>
    files.write(name, files.read(by));
const text =
  (name: string, value: string) =>
  (files: MemoryProofFiles): void =>
    files.write(name, utf8(value));
const swap =
  (a: string, b: string) =>
  (files: MemoryProofFiles): void => {
    const [x, y] = [files.read(a), files.read(b)];
    files.write(a, y);
    files.write(b, x);
  };
const all = (files: MemoryProofFiles, pattern: RegExp): string[] =>
  files.list().filter((name) => pattern.test(name));

const decrypt = 'p256-k3t2-decrypt-n10';
const shuffle = 'p256-k3t2-shuffle-n10';
const precomp = 'p256-k3t2-precomp-n8of12';
const notAPoint = ['element-not-in-group', 'element-not-canonical'] as const;

const manipulations: Manipulation[] = [
  // proofs of shuffle
  {
    title: 'a bit of PoSReply01',
    change: flip('proofs/PoSReply01.bt', -1),
    step: 'shuffle-1',
    reason: 'shuffle-proof-invalid',
  },
  {
    title: 'a bit of PoSReply02',
    change: flip('proofs/PoSReply02.bt', 20),
    step: 'shuffle-2',
    reason: ['shuffle-proof-invalid', 'scalar-not-canonical'],
  },
  {
    title: 'a bit of a point in PoSCommitment01',
    change: flip('proofs/PoSCommitment01.bt', -1),
    step: 'shuffle-1',
    reason: notAPoint,
  },
  {
    title: 'a bit of PermutationCommitment02',
    change: flip('proofs/PermutationCommitment02.bt', -1),
    step: 'shuffle-2',
    reason: notAPoint,
  },
  {
    title: 'another valid permutation commitment',
    change: replace('proofs/PermutationCommitment02.bt', 'proofs/PermutationCommitment01.bt'),
    step: 'shuffle-2',
    reason: 'shuffle-proof-invalid',
  },
  {
    title: 'the proofs of two parties swapped',
    change: (files) => {
      for (const stem of ['PoSCommitment', 'PoSReply', 'PermutationCommitment'])
        swap(`proofs/${stem}01.bt`, `proofs/${stem}02.bt`)(files);
    },
    step: 'shuffle-1',
    reason: 'shuffle-proof-invalid',
  },
  {
    title: 'all files of the shuffles of two parties swapped',
    change: (files) => {
      for (const stem of ['Ciphertexts', 'PoSCommitment', 'PoSReply', 'PermutationCommitment'])
        swap(`proofs/${stem}01.bt`, `proofs/${stem}02.bt`)(files);
    },
    step: 'shuffle-1',
    reason: 'shuffle-proof-invalid',
  },
  {
    title: 'all files of the decryptions of two parties swapped',
    change: (files) => {
      for (const stem of ['DecryptionFactors', 'DecrFactCommitment', 'DecrFactReply'])
        swap(`proofs/${stem}01.bt`, `proofs/${stem}02.bt`)(files);
    },
    step: 'decryption-1',
    reason: 'decryption-proof-invalid',
  },
  {
    title: 'an output list replaced by its input',
    change: replace('proofs/Ciphertexts01.bt', 'Ciphertexts.bt'),
    step: 'shuffle-1',
    reason: 'shuffle-proof-invalid',
  },
  {
    title: 'one octet after PoSReply01',
    change: append('proofs/PoSReply01.bt', Uint8Array.of(0)),
    step: 'shuffle-1',
    reason: 'byte-tree-trailing-bytes',
  },
  {
    title: 'the last octet of PoSReply01 cut off',
    change: (files) => files.write('proofs/PoSReply01.bt', files.read('proofs/PoSReply01.bt').slice(0, -1)),
    step: 'shuffle-1',
    reason: 'byte-tree-truncated',
  },
  {
    title: 'a hostile length in PoSCommitment01',
    change: (files) => {
      const bytes = files.read('proofs/PoSCommitment01.bt').slice();
      bytes.set([0x7f, 0xff, 0xff, 0xff], 6);
      files.write('proofs/PoSCommitment01.bt', bytes);
    },
    step: 'shuffle-1',
    reason: 'byte-tree-truncated',
  },
  {
    title: 'an extra child in PoSReply01',
    change: (files) => {
      const bytes = files.read('proofs/PoSReply01.bt').slice();
      bytes[4] = 7;
      files.write('proofs/PoSReply01.bt', concatenate(bytes, Uint8Array.of(1, 0, 0, 0, 0)));
    },
    step: 'shuffle-1',
    reason: 'byte-tree-wrong-length',
  },
  {
    title: 'all files of proofs of shuffle deleted',
    change: (files) => remove(...all(files, /PoS/))(files),
    step: 'files',
    reason: 'file-missing',
  },
  {
    title: 'all files of shuffles deleted',
    change: (files) => remove(...all(files, /PoS|PermutationCommitment|Ciphertexts0/))(files),
    step: 'shufflers',
    reason: 'too-few-shuffles',
  },
  {
    title: 'the second shuffle deleted',
    change: (files) => remove(...all(files, /(PoS\w+|PermutationCommitment|Ciphertexts)02/))(files),
    step: 'shufflers',
    reason: 'too-few-shuffles',
  },
  {
    title: 'PoSReply02 missing',
    change: remove('proofs/PoSReply02.bt'),
    step: 'files',
    reason: 'file-missing',
  },
  {
    title: 'a shuffle of a party that does not exist',
    change: replace('proofs/Ciphertexts04.bt', 'proofs/Ciphertexts02.bt'),
    step: 'shufflers',
    reason: 'shuffle-party-invalid',
  },
  {
    title: 'an unfinished shuffle of a third party',
    change: replace('proofs/Ciphertexts03.bt', 'proofs/Ciphertexts02.bt'),
    step: 'files',
    reason: 'file-missing',
  },
  // files and texts
  { title: 'a foreign file', change: text('proofs/notes', 'x'), step: 'files', reason: 'file-superfluous' },
  {
    title: 'a list of a shuffling session',
    change: replace('ShuffledCiphertexts.bt', 'proofs/Ciphertexts02.bt'),
    step: 'files',
    reason: 'file-superfluous',
  },
  {
    title: 'a newline after activethreshold',
    change: append('proofs/activethreshold', utf8('\n')),
    step: 'active-threshold',
    reason: 'text-file-malformed',
  },
  {
    title: 'another activethreshold',
    change: text('proofs/activethreshold', '3'),
    step: 'active-threshold',
    reason: 'active-threshold-invalid',
  },
  {
    title: 'a newline after the width',
    change: append('width', utf8('\n')),
    step: 'session',
    reason: 'text-file-malformed',
  },
  { title: 'another version', change: text('version', '3.1.1'), step: 'type', reason: 'version-mismatch' },
  { title: 'an unknown type', change: text('type', 'counting'), step: 'type', reason: 'type-mismatch' },
  {
    title: 'another type than expected',
    change: () => {},
    expect: { type: 'shuffling' },
    step: 'type',
    reason: 'type-mismatch',
  },
  {
    title: 'another auxsid than expected',
    change: () => {},
    expect: { auxsid: 'other' },
    step: 'session',
    reason: 'auxsid-mismatch',
  },
  {
    title: 'another auxsid',
    change: text('auxsid', 'other'),
    step: 'shuffle-1',
    reason: 'shuffle-proof-invalid',
  },
  {
    title: 'another width',
    change: text('width', '2'),
    step: 'ciphertexts',
    reason: ['byte-tree-wrong-length', 'element-not-canonical'],
  },
  {
    title: 'another width than expected',
    change: () => {},
    expect: { width: 2 },
    step: 'session',
    reason: 'width-mismatch',
  },
  {
    title: 'another statdist in protInfo.xml',
    change: () => {},
    info: { statdist: 101 },
    step: 'shuffle-1',
    reason: 'shuffle-proof-invalid',
  },
  {
    title: 'another sid in protInfo.xml',
    change: () => {},
    info: { sid: 'Other' },
    step: 'shuffle-1',
    reason: 'shuffle-proof-invalid',
  },
  {
    title: 'a higher threshold in protInfo.xml',
    change: () => {},
    info: { thres: 3 },
    step: 'shufflers',
    reason: 'too-few-shuffles',
  },
  {
    title: 'type mixing on a decryption',
    vector: decrypt,
    change: text('type', 'mixing'),
    step: 'shufflers',
    reason: 'too-few-shuffles',
  },
  {
    title: 'type decryption on a mixing',
    change: text('type', 'decryption'),
    step: 'shufflers',
    reason: 'file-superfluous',
  },
  // keys and lists
  {
    title: 'another public key',
    change: (files) => files.write('FullPublicKey.bt', vectorProof('p256-k1-n10').read('FullPublicKey.bt')),
    step: 'keys',
    reason: 'public-key-mismatch',
  },
  {
    title: 'another public key than expected',
    change: () => {},
    expect: { publicKey: vectorProof('p256-k1-n10').read('FullPublicKey.bt') },
    step: 'keys',
    reason: 'public-key-mismatch',
  },
  {
    title: 'another generator in the public key',
    change: (files) => {
      const bytes = files.read('FullPublicKey.bt').slice();
      bytes.set(bytes.subarray(86, 167), 5);
      files.write('FullPublicKey.bt', bytes);
    },
    step: 'keys',
    reason: 'generator-mismatch',
  },
  {
    title: 'a polynomial of too high a degree',
    change: (files) => {
      const bytes = files.read('proofs/PolynomialInExponent.bt');
      const longer = concatenate(bytes, bytes.subarray(5, 86));
      longer[4] = 3;
      files.write('proofs/PolynomialInExponent.bt', longer);
    },
    step: 'keys',
    reason: 'polynomial-degree-too-large',
  },
  {
    title: 'a polynomial that ends in the identity',
    change: (files) => {
      const bytes = files.read('proofs/PolynomialInExponent.bt').slice();
      bytes.fill(0xff, 96, 129);
      bytes.fill(0xff, 134, 167);
      files.write('proofs/PolynomialInExponent.bt', bytes);
    },
    step: 'keys',
    reason: 'polynomial-not-canonical',
  },
  {
    title: 'another input list',
    change: replace('Ciphertexts.bt', 'proofs/Ciphertexts01.bt'),
    step: 'shuffle-1',
    reason: 'shuffle-proof-invalid',
  },
  {
    title: 'another input list than expected',
    change: () => {},
    expect: { ciphertexts: vectorProof('p256-k3t2-n10').read('proofs/Ciphertexts01.bt') },
    step: 'ciphertexts',
    reason: 'input-mismatch',
  },
  // shuffling
  {
    title: 'the output of a shuffling replaced',
    vector: shuffle,
    change: (files) => {
      replace('ShuffledCiphertexts.bt', 'Ciphertexts.bt')(files);
      remove('proofs/Ciphertexts02.bt')(files);
    },
    step: 'shuffle-2',
    reason: 'shuffle-proof-invalid',
  },
  {
    title: 'two different outputs of a shuffling',
    vector: shuffle,
    change: replace('proofs/Ciphertexts02.bt', 'proofs/Ciphertexts01.bt'),
    step: 'output',
    reason: 'output-mismatch',
  },
  {
    title: 'a bit of PoSReply01 of a shuffling',
    vector: shuffle,
    change: flip('proofs/PoSReply01.bt', -1),
    step: 'shuffle-1',
    reason: 'shuffle-proof-invalid',
  },
  {
    title: 'no proofs in a shuffling',
    vector: shuffle,
    change: (files) => remove(...all(files, /PoS|PermutationCommitment|Ciphertexts0/))(files),
    step: 'shufflers',
    reason: 'too-few-shuffles',
  },
  {
    title: 'all files of proofs of shuffle deleted in a shuffling',
    vector: shuffle,
    change: (files) => remove(...all(files, /PoS/))(files),
    step: 'files',
    reason: 'file-missing',
  },
  {
    title: 'no shuffles in a shuffling, and another list as its output',
    vector: shuffle,
    change: (files) => {
      remove(...all(files, /PoS|PermutationCommitment|Ciphertexts0/))(files);
      replace('ShuffledCiphertexts.bt', 'Ciphertexts.bt')(files);
    },
    step: 'shufflers',
    reason: 'too-few-shuffles',
  },
  {
    title: 'proofs of shuffle deleted in a shuffling, and another list as its output',
    vector: shuffle,
    change: (files) => {
      remove(...all(files, /PoS/), 'proofs/Ciphertexts02.bt')(files);
      replace('ShuffledCiphertexts.bt', 'Ciphertexts.bt')(files);
    },
    step: 'files',
    reason: 'file-missing',
  },
  {
    title: 'another output of a shuffling than expected',
    vector: shuffle,
    change: () => {},
    expect: { shuffledCiphertexts: vectorFile(shuffle, 'ciphertexts.raw') },
    step: 'output',
    reason: 'output-mismatch',
  },
  // precomputation
  {
    title: 'a bit of PoSCReply01',
    vector: precomp,
    change: flip('proofs/PoSCReply01.bt', -1),
    step: 'shuffle-1',
    reason: 'commitment-proof-invalid',
  },
  {
    title: 'a bit of CCPoSReply02',
    vector: precomp,
    change: flip('proofs/CCPoSReply02.bt', -1),
    step: 'shuffle-2',
    reason: 'consistency-proof-invalid',
  },
  {
    title: 'two places of a keep list swapped',
    vector: precomp,
    change: (files) => {
      const bytes = files.read('proofs/KeepList01.bt').slice();
      const off = bytes.indexOf(0, 5);
      const on = bytes.indexOf(1, 5);
      bytes[off] = 1;
      bytes[on] = 0;
      files.write('proofs/KeepList01.bt', bytes);
    },
    step: 'shuffle-1',
    reason: 'consistency-proof-invalid',
  },
  {
    title: 'a keep list that keeps one more',
    vector: precomp,
    change: (files) => {
      const bytes = files.read('proofs/KeepList01.bt').slice();
      bytes[bytes.indexOf(0, 5)] = 1;
      files.write('proofs/KeepList01.bt', bytes);
    },
    step: 'shuffle-1',
    reason: 'keep-list-invalid',
  },
  {
    title: 'a keep list with an entry of two',
    vector: precomp,
    change: (files) => {
      const bytes = files.read('proofs/KeepList01.bt').slice();
      bytes[bytes.length - 1] = 2;
      files.write('proofs/KeepList01.bt', bytes);
    },
    step: 'shuffle-1',
    reason: 'boolean-not-canonical',
  },
  {
    title: 'another maxciph',
    vector: precomp,
    change: text('proofs/maxciph', '11'),
    step: 'generators',
    reason: 'maxciph-invalid',
  },
  {
    title: 'maxciph deleted',
    vector: precomp,
    change: remove('proofs/maxciph'),
    step: 'files',
    reason: 'file-missing',
  },
  // decryption
  {
    title: 'a bit of DecrFactReply01',
    change: flip('proofs/DecrFactReply01.bt', -1),
    step: 'decryption-1',
    reason: 'decryption-proof-invalid',
  },
  {
    title: 'a bit of DecrFactReply03, whose party is not combined',
    change: flip('proofs/DecrFactReply03.bt', -1),
    step: 'decryption-3',
    reason: 'decryption-proof-invalid',
  },
  {
    title: 'the replies of two parties swapped',
    vector: decrypt,
    change: swap('proofs/DecrFactReply01.bt', 'proofs/DecrFactReply02.bt'),
    step: 'decryption-1',
    reason: 'decryption-proof-invalid',
  },
  {
    title: 'a point of DecryptionFactors03 off the curve',
    change: flip('proofs/DecryptionFactors03.bt', -1),
    step: 'factors-3',
    reason: notAPoint,
  },
  {
    title: 'the factors of two parties swapped',
    change: swap('proofs/DecryptionFactors01.bt', 'proofs/DecryptionFactors03.bt'),
    step: 'decryption-1',
    reason: 'decryption-proof-invalid',
  },
  {
    title: 'the commitments of two parties swapped',
    change: swap('proofs/DecrFactCommitment01.bt', 'proofs/DecrFactCommitment02.bt'),
    step: 'decryption-1',
    reason: 'decryption-proof-invalid',
  },
  {
    title: 'the plaintexts in another order',
    change: (files) => {
      const bytes = files.read('Plaintexts.bt').slice();
      const first = bytes.slice(5, 86);
      bytes.copyWithin(5, 86, 167);
      bytes.set(first, 86);
      files.write('Plaintexts.bt', bytes);
    },
    step: 'plaintexts',
    reason: 'plaintexts-mismatch',
  },
  {
    title: 'one plaintext less',
    change: (files) => {
      const bytes = files.read('Plaintexts.bt').slice(0, -81);
      bytes[4] = 9;
      files.write('Plaintexts.bt', bytes);
    },
    step: 'plaintexts',
    reason: 'byte-tree-wrong-length',
  },
  {
    title: 'other plaintexts than expected',
    change: () => {},
    expect: { plaintexts: vectorFile('p256-k1-n10', 'plaintexts.raw') },
    step: 'plaintexts',
    reason: 'output-mismatch',
  },
  {
    title: 'too few correct indices',
    change: (files) => {
      const bytes = files.read('proofs/CorrectIndices.bt').slice();
      bytes.fill(0, 6, 8);
      files.write('proofs/CorrectIndices.bt', bytes);
    },
    step: 'correct-indices',
    reason: 'too-few-decryptors',
  },
  {
    title: 'correct indices without their first entry',
    change: flip('proofs/CorrectIndices.bt', 5),
    step: 'correct-indices',
    reason: 'correct-indices-invalid',
  },
  {
    title: 'a party with a valid proof marked as incorrect',
    change: flip('proofs/CorrectIndices.bt', -1),
    step: 'left-out',
    reason: 'correct-indices-invalid',
  },
  {
    title: 'the polynomial missing',
    change: remove('proofs/PolynomialInExponent.bt'),
    step: 'files',
    reason: 'file-missing',
  },
  {
    title: 'the shuffled list not what was decrypted',
    change: (files) => {
      for (const stem of ['Ciphertexts', 'PoSReply', 'PoSCommitment', 'PermutationCommitment'])
        files.write(`proofs/${stem}02.bt`, vectorProof(shuffle).read(`proofs/${stem}02.bt`));
    },
    step: 'shuffle-2',
    reason: 'shuffle-proof-invalid',
  },
];

describe('The verifier of proof directories', () => {
  for (const {
    title,
    vector = 'p256-k3t2-n10',
    change,
    info,
    expect: expected,
    step,
    reason,
  } of manipulations) {
    it(`given ${title} (${vector}), when verified, then ${step} fails for its own reason`, () => {
      const files = vectorProof(vector);
      change(files);
      const result = verifyProofDirectory(
        files,
        { ...vectorInfo(vector), ...info },
        { expect: expected ?? {} },
      );
      expect(result.ok).to.equal(false);
      const [failed] = result.steps.filter((found) => !found.ok);
      expect(failed?.id).to.equal(step);
      expect(failed?.reason).to.be.oneOf([reason].flat());
    });
  }

  it('given a mixing in a multiplicative group, when an element is not in the group, then the shuffle is refused', () => {
    const files = vectorProof('modp2048-k1-n10');
    flip('proofs/PermutationCommitment01.bt', -1)(files);
    const result = verifyProofDirectory(files, vectorInfo('modp2048-k1-n10'));
    const [failed] = result.steps.filter((found) => !found.ok);
    expect(failed?.id).to.equal('shuffle-1');
    expect(failed?.reason).to.be.oneOf(['element-not-in-group', 'shuffle-proof-invalid']);
  });

  for (const vector of ['p256-k3t2-n10', shuffle, decrypt, precomp, 'p256-k1-width2-n6']) {
    it(`given every file of ${vector}, when its last bit is flipped, then the proof is refused`, () => {
      for (const name of vectorProof(vector).list()) {
        // Nobody shuffled in a decryption: any number of an authority from the threshold on will do.
        if (vector === decrypt && name === 'proofs/activethreshold') continue;
        const files = vectorProof(vector);
        flip(name, -1)(files);
        expect(verifyProofDirectory(files, vectorInfo(vector)).ok, name).to.equal(false);
      }
    });

    it(`given every file of ${vector}, when an octet is added, cut off, or the file deleted, then each is refused`, () => {
      for (const name of vectorProof(vector).list()) {
        const changes = [
          append(name, Uint8Array.of(0)),
          (files: MemoryProofFiles) => files.write(name, files.read(name).slice(0, -1)),
          remove(name),
        ];
        // Of a shuffling these two may be missing, and say nothing that is not said elsewhere.
        if (vector === shuffle && /PolynomialInExponent|Ciphertexts02/.test(name)) changes.pop();
        for (const change of changes) {
          const files = vectorProof(vector);
          change(files);
          expect(verifyProofDirectory(files, vectorInfo(vector)).ok, name).to.equal(false);
        }
      }
    });
  }

  it('given an empty directory, when verified, then it is refused and says what is missing', () => {
    const result = verifyProofDirectory(vectorProofWithout(), vectorInfo('p256-k1-n10'));
    expect(result.steps.map((found) => found.reason)).to.deep.equal(['file-missing']);
  });
});

function vectorProofWithout(): MemoryProofFiles {
  const files = vectorProof('p256-k1-n10');
  for (const name of files.list()) files.remove(name);
  return files;
}
