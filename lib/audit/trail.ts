/**
 * What the audit trail needs of its database (D24). The node's is PostgreSQL (`lib/store/audit.ts`); the simulation has
 * one in memory that keeps the same promises:
 *
 * - an entry is there exactly if the transaction that caused it was committed;
 * - blocks are made by one process at a time, each on top of the last, in one transaction with the note which entries
 *   they hold;
 * - neither entries nor blocks are changed or removed after that.
 */
import type { Block, Head, SignedHead } from './block.ts';
import type { KnownPeer } from './entries.ts';

/** What a block is made of; null from `build`: nothing is sealed. */
export interface Sealable {
  readonly previous: Head | null;
  /** Of the entries, in the order in which they were written. */
  readonly hashes: readonly string[];
  readonly peers: readonly KnownPeer[];
}

/** `busy`: another process seals at this moment. */
export type Sealing =
  | { readonly outcome: 'sealed'; readonly block: Block }
  | { readonly outcome: 'idle' | 'busy' };

/** A head of a peer that is kept. */
export interface KeptHead extends SignedHead {
  readonly peerId: string;
  readonly pem: string;
  readonly firstSeen: Date;
  readonly kept: 'latest' | 'entered' | 'fork';
}

export interface TrailStore {
  /** Entries that nothing else commits together with. */
  record(lines: readonly string[]): Promise<void>;
  /** Whether entries wait, and the last sealed head. */
  look(): Promise<{ waiting: boolean; head: SignedHead | null }>;
  /** Makes a block of what waits, in the order in which it was written, at most about `most` entries. */
  seal(most: number, build: (sealable: Sealable) => Block): Promise<Sealing>;
  /** Keeps a certificate by which blocks are signed, for exports. */
  keepCertificate(certificate: { readonly fingerprint: string; readonly pem: string }): Promise<void>;
  /** Heads that are kept of a peer: the newest, and all with one of these numbers. */
  headsOf(peerId: string, numbers: readonly number[]): Promise<KeptHead[]>;
  /** Keeps a head, with what is entered into the own log about it; takes the place of the peer's `latest`. */
  keepHead(head: KeptHead, lines: readonly string[]): Promise<void>;
}
