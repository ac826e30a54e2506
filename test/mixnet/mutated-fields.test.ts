/** Every field of every file of recorded proofs, changed in every way that its form allows: each change has its reason. */
import { expect } from 'chai';
import type { MemoryProofFiles } from '../../lib/mixnet/directory/proof-files.ts';
import { groupByName } from '../../lib/mixnet/groups/registry.ts';
import { utf8 } from '../../lib/mixnet/octets.ts';
import type { RefusalReason } from '../../lib/mixnet/refusal.ts';
import { verifyProofDirectory } from '../../lib/mixnet/verifier/proof-directory-verifier.ts';
import type { VerificationStep } from '../../lib/mixnet/verifier/report.ts';
import { edited, pointEdits, scalarEdits, type TreePath } from './tree-edits.ts';
import { vectorInfo, vectorProof } from './vectors.ts';

const mixing = 'p256-k3t2-n10';
const precomputed = 'p256-k3t2-precomp-n8of12';
const shuffling = 'p256-k3t2-shuffle-n10';
const decryption = 'p256-k3t2-decrypt-n10';

/** A field, the step that a change of it fails, and why if its form is good. */
interface Field {
  readonly vector: string;
  readonly file: string;
  readonly path: TreePath;
  readonly name: string;
  readonly step: string;
  readonly reason: RefusalReason;
  /** Equations that do not hold when a scalar of a reply is another. */
  readonly equations?: string;
}

type Row = readonly [path: TreePath, name: string, equations?: string];
const fields = (
  vector: string,
  file: string,
  step: string,
  reason: RefusalReason,
  rows: readonly Row[],
): Field[] =>
  rows.map(([path, name, equations]) => ({
    vector,
    file,
    step,
    reason,
    path,
    name,
    ...(equations === undefined ? {} : { equations }),
  }));

const shuffle1 = ['shuffle-1', 'shuffle-proof-invalid'] as const;
const committed1 = ['shuffle-1', 'commitment-proof-invalid'] as const;
const consistent2 = ['shuffle-2', 'consistency-proof-invalid'] as const;
const list = (index: number): Row[] => [
  [[0, index], `u_${index}`],
  [[1, index], `v_${index}`],
];

const points: Field[] = [
  ...fields(mixing, 'Ciphertexts.bt', ...shuffle1, list(3)),
  ...fields(mixing, 'proofs/Ciphertexts01.bt', ...shuffle1, list(9)),
  ...fields(mixing, 'proofs/PermutationCommitment01.bt', ...shuffle1, [[[4], 'u_4']]),
  ...fields(mixing, 'proofs/PoSCommitment01.bt', ...shuffle1, [
    [[0, 0], 'B_0'],
    [[0, 9], 'B_9'],
    [[1], "A'"],
    [[2, 5], "B'_5"],
    [[3], "C'"],
    [[4], "D'"],
    [[5, 0], "F'.u"],
    [[5, 1], "F'.v"],
  ]),
  ...fields(mixing, 'proofs/DecryptionFactors03.bt', 'decryption-1', 'decryption-proof-invalid', [
    [[7], 'f_7'],
  ]),
  ...fields(mixing, 'proofs/DecrFactCommitment02.bt', 'decryption-1', 'decryption-proof-invalid', [
    [[0], "y'"],
    [[1], "B'"],
  ]),
  ...fields(mixing, 'Plaintexts.bt', 'plaintexts', 'plaintexts-mismatch', [[[0], 'm_0']]),
  ...fields(mixing, 'FullPublicKey.bt', 'keys', 'public-key-mismatch', [[[1], 'y']]),
  ...fields(mixing, 'proofs/PolynomialInExponent.bt', 'keys', 'public-key-mismatch', [[[0], 'Y_0']]),
  ...fields(shuffling, 'ShuffledCiphertexts.bt', 'shuffle-2', 'shuffle-proof-invalid', list(0)),
  ...fields(decryption, 'Ciphertexts.bt', 'decryption-1', 'decryption-proof-invalid', list(2)),
  ...fields(precomputed, 'proofs/PermutationCommitment01.bt', ...committed1, [[[11], 'u_11']]),
  ...fields(precomputed, 'proofs/PoSCCommitment01.bt', ...committed1, [
    [[0, 2], 'B_2'],
    [[1], "A'"],
    [[2, 2], "B'_2"],
    [[3], "C'"],
    [[4], "D'"],
  ]),
  ...fields(precomputed, 'proofs/CCPoSCommitment02.bt', ...consistent2, [
    [[0], "A'"],
    [[1, 0], "B'.u"],
    [[1, 1], "B'.v"],
  ]),
];

const scalars: Field[] = [
  ...fields(mixing, 'proofs/PoSReply01.bt', ...shuffle1, [
    [[0], 'k_A', 'A'],
    [[1, 0], 'k_B,0', 'B'],
    [[1, 9], 'k_B,9', 'B'],
    [[2], 'k_C', 'C'],
    [[3], 'k_D', 'D'],
    [[4, 6], 'k_E,6', 'A, B, F'],
    [[5], 'k_F', 'F'],
  ]),
  ...fields(precomputed, 'proofs/PoSCReply01.bt', ...committed1, [
    [[0], 'k_A', 'A'],
    [[1, 11], 'k_B,11', 'B'],
    [[2], 'k_C', 'C'],
    [[3], 'k_D', 'D'],
    [[4, 0], 'k_E,0', 'A, B'],
  ]),
  ...fields(precomputed, 'proofs/CCPoSReply02.bt', ...consistent2, [
    [[0], 'k_A', 'A'],
    [[1], 'k_B', 'B'],
    [[2, 7], 'k_E,7', 'A, B'],
  ]),
  ...fields(mixing, 'proofs/DecrFactReply02.bt', 'decryption-2', 'decryption-proof-invalid', [[[], 'k_2']]),
  ...fields(decryption, 'proofs/DecrFactReply03.bt', 'decryption-3', 'decryption-proof-invalid', [
    [[], 'k_3'],
  ]),
];

const texts: readonly (readonly [string, string, string, string, RefusalReason])[] = [
  [mixing, 'version', '3.0.4', 'type', 'version-mismatch'],
  [mixing, 'version', '', 'type', 'text-file-malformed'],
  [mixing, 'version', '3.1.0\n', 'type', 'text-file-malformed'],
  [mixing, 'version', ' 3.1.0', 'type', 'text-file-malformed'],
  [mixing, 'version', '3'.repeat(3000), 'type', 'file-too-large'],
  [mixing, 'type', 'Mixing', 'type', 'text-file-malformed'],
  [mixing, 'type', 'shuffling', 'files', 'file-missing'],
  [mixing, 'auxsid', 'de-fault', 'session', 'text-file-malformed'],
  [mixing, 'auxsid', '', 'session', 'text-file-malformed'],
  [mixing, 'auxsid', 'défaut', 'session', 'text-file-malformed'],
  [mixing, 'auxsid', 'default2', 'shuffle-1', 'shuffle-proof-invalid'],
  [decryption, 'auxsid', 'default2', 'decryption-1', 'decryption-proof-invalid'],
  [precomputed, 'auxsid', 'default2', 'shuffle-1', 'commitment-proof-invalid'],
  [mixing, 'width', '0', 'session', 'text-file-malformed'],
  [mixing, 'width', '01', 'session', 'text-file-malformed'],
  [mixing, 'width', '-1', 'session', 'text-file-malformed'],
  [mixing, 'width', '1.0', 'session', 'text-file-malformed'],
  [mixing, 'width', '0x1', 'session', 'text-file-malformed'],
  [mixing, 'width', '10001', 'session', 'width-mismatch'],
  [mixing, 'proofs/activethreshold', '1', 'active-threshold', 'active-threshold-invalid'],
  [mixing, 'proofs/activethreshold', '02', 'active-threshold', 'text-file-malformed'],
  [decryption, 'proofs/activethreshold', '4', 'active-threshold', 'active-threshold-invalid'],
  [decryption, 'proofs/activethreshold', '1', 'active-threshold', 'active-threshold-invalid'],
  [precomputed, 'proofs/maxciph', '13', 'generators', 'maxciph-invalid'],
  [precomputed, 'proofs/maxciph', '7', 'generators', 'maxciph-invalid'],
  [precomputed, 'proofs/maxciph', '999999999', 'generators', 'maxciph-invalid'],
  [precomputed, 'proofs/maxciph', '1e1', 'generators', 'text-file-malformed'],
];

function firstFailure(vector: string, change: (files: MemoryProofFiles) => void): VerificationStep {
  const files = vectorProof(vector);
  change(files);
  const { ok, steps } = verifyProofDirectory(files, vectorInfo(vector));
  const failed = steps.find((step) => !step.ok);
  expect(ok, 'accepted').to.equal(false);
  return failed!;
}

const changed =
  ({ file, path }: Field, edit: Parameters<typeof edited>[2]) =>
  (files: MemoryProofFiles): void =>
    files.write(file, edited(files.read(file), path, edit));

const { order } = groupByName('P-256').ring;
const formReasons: Readonly<Record<keyof typeof pointEdits, RefusalReason | null>> = {
  another: null,
  opposite: null,
  infinity: null,
  offCurve: 'element-not-in-group',
  aboveRange: 'element-not-canonical',
  longer: 'element-not-canonical',
  shorter: 'element-not-canonical',
  leaf: 'element-not-canonical',
  third: 'element-not-canonical',
};
const scalarReasons: Readonly<Record<keyof ReturnType<typeof scalarEdits>, RefusalReason | null>> = {
  another: null,
  opposite: null,
  aboveRange: 'scalar-not-canonical',
  order: 'scalar-not-canonical',
  negative: 'scalar-not-canonical',
  longer: 'byte-tree-wrong-length',
  node: 'byte-tree-wrong-kind',
};

/** Reading comes before checking: a malformed file fails the step that reads it. */
const readingStep: Readonly<Record<string, string>> = {
  'Ciphertexts.bt': 'ciphertexts',
  'proofs/DecryptionFactors03.bt': 'factors-3',
  'proofs/DecrFactCommitment02.bt': 'decryption-proof-2',
  'proofs/DecrFactReply02.bt': 'decryption-proof-2',
  'proofs/DecrFactReply03.bt': 'decryption-proof-3',
};

describe('Mutated fields of proofs', () => {
  for (const field of points) {
    const { vector, file, name, step, reason } = field;
    for (const kind of Object.keys(pointEdits) as (keyof typeof pointEdits)[]) {
      it(`given ${name} of ${file} (${vector}) made "${kind}", when verified, then it is refused for that`, () => {
        const failed = firstFailure(vector, changed(field, pointEdits[kind]));
        const form = formReasons[kind];
        if (form === null) {
          const identity = kind === 'infinity' && file === 'FullPublicKey.bt';
          expect(failed.reason).to.equal(identity ? 'element-is-identity' : reason);
          expect(failed.id).to.equal(step);
        } else {
          const truncated = ['longer', 'shorter', 'leaf', 'third'].includes(kind);
          // A list of another length in octets no longer ends where its last point should.
          expect(failed.reason).to.be.oneOf(truncated ? [form, ...shifted] : [form]);
          expect(failed.id).to.equal(readingStep[file] ?? step);
        }
      });
    }
  }

  for (const field of scalars) {
    const { vector, file, name, step, reason, equations } = field;
    for (const kind of Object.keys(scalarReasons) as (keyof typeof scalarReasons)[]) {
      it(`given ${name} of ${file} (${vector}) made "${kind}", when verified, then it is refused for that`, () => {
        const failed = firstFailure(vector, changed(field, scalarEdits(order)[kind]));
        const form = scalarReasons[kind];
        expect(failed.reason).to.equal(form ?? reason);
        expect(failed.id).to.equal(form === null ? step : (readingStep[file] ?? step));
        if (form === null && equations !== undefined)
          expect(failed.detail).to.match(new RegExp(`equation ${equations}\\)$`));
      });
    }
  }

  for (const [vector, file, text, step, reason] of texts) {
    it(`given ${file} (${vector}) of ${JSON.stringify(text.slice(0, 20))}, when verified, then ${step} fails`, () => {
      const failed = firstFailure(vector, (files) => files.write(file, utf8(text)));
      expect([failed.id, failed.reason]).to.deep.equal([step, reason]);
    });
  }

  for (let at = 5; at < 9; at++) {
    it(`given octet ${at} of CorrectIndices.bt made 2, when verified, then it is no list of booleans`, () => {
      const failed = firstFailure(mixing, (files) => {
        const octets = files.read('proofs/CorrectIndices.bt').slice();
        octets[at] = 2;
        files.write('proofs/CorrectIndices.bt', octets);
      });
      expect([failed.id, failed.reason]).to.deep.equal(['correct-indices', 'boolean-not-canonical']);
    });
  }

  it('given a coefficient of the polynomial made another, when verified, then the decryption is refused', () => {
    const failed = firstFailure(mixing, (files) => {
      const file = 'proofs/PolynomialInExponent.bt';
      files.write(file, edited(files.read(file), [1], pointEdits.another));
    });
    expect([failed.id, failed.reason]).to.deep.equal(['decryption-1', 'decryption-proof-invalid']);
  });
});

const shifted: readonly RefusalReason[] = [
  'byte-tree-truncated',
  'byte-tree-trailing-bytes',
  'byte-tree-wrong-kind',
  'byte-tree-wrong-length',
  'byte-tree-unknown-tag',
];
