/**
 * The mix-net's own reasons for refusing an input or a proof.
 *
 * Every check of `lib/mixnet/` that can fail because of what somebody else sent throws a `Refusal` with one of these
 * reasons, so that a caller can name what was wrong without parsing a sentence. A plain `Error` from this folder is a
 * mistake of the calling program, never of a peer.
 */

export const refusalReasons = [
  // encodings
  'byte-tree-truncated',
  'byte-tree-trailing-bytes',
  'byte-tree-unknown-tag',
  'byte-tree-wrong-kind',
  'byte-tree-wrong-length',
  'byte-tree-too-deep',
  'byte-tree-too-large',
  'boolean-not-canonical',
  'text-not-canonical',
  'scalar-not-canonical',
  'element-not-canonical',
  'element-not-in-group',
  'element-is-identity',
  'group-description-invalid',
  'group-unsupported',
  'message-too-long',
  'json-malformed',
  // protInfo.xml and the proof directory
  'protinfo-malformed',
  'protinfo-unsupported',
  'parameters-mismatch',
  'version-mismatch',
  'type-mismatch',
  'auxsid-mismatch',
  'width-mismatch',
  'file-missing',
  'file-superfluous',
  'file-too-large',
  'file-name-invalid',
  'text-file-malformed',
  'public-key-mismatch',
  'generator-mismatch',
  'polynomial-degree-too-large',
  'polynomial-not-canonical',
  'active-threshold-invalid',
  'too-few-shuffles',
  'shuffle-party-invalid',
  'list-length-mismatch',
  'output-mismatch',
  'input-mismatch',
  'plaintexts-mismatch',
  'keep-list-invalid',
  'maxciph-invalid',
  'correct-indices-invalid',
  // proofs
  'shuffle-proof-invalid',
  'commitment-proof-invalid',
  'consistency-proof-invalid',
  'decryption-proof-invalid',
  'plaintext-proof-invalid',
  'challenge-mismatch',
  'ballot-malformed',
  // distributed keys
  'party-key-invalid',
  'party-unknown',
  'session-mismatch',
  'signature-invalid',
  'dealing-commitment-mismatch',
  'dealing-malformed',
  'dealing-proof-invalid',
  'share-undecryptable',
  'share-inconsistent',
  'complaint-malformed',
  'complaint-proof-invalid',
  'complaint-unfounded',
  'too-few-dealings',
  'joint-key-degenerate',
  'secret-state-invalid',
  'second-challenge-refused',
  'precomputation-used',
  'too-few-decryptors',
] as const;

export type RefusalReason = (typeof refusalReasons)[number];

/** Thrown when something that came from outside is refused; `message` says what and where, without secrets. */
export class Refusal extends Error {
  readonly reason: RefusalReason;

  constructor(reason: RefusalReason, message: string) {
    super(message);
    this.name = 'Refusal';
    this.reason = reason;
  }
}
