/**
 * The package's entry `conclave/verifier`: what an auditor's program needs to verify a proof directory, without a node,
 * a database or a network. Everything else of the mix-net is internal.
 */
export { DirectoryProofFiles, MemoryProofFiles, type ProofFiles } from '../directory/proof-files.ts';
export { Refusal, type RefusalReason } from '../refusal.ts';
export { type ProtocolInfo, readProtocolInfo } from '../session/protocol-info.ts';
export {
  type Expectations,
  type VerificationResult,
  type VerifierOptions,
  verifyProofDirectory,
} from './proof-directory-verifier.ts';
export type { VerificationStep } from './report.ts';
