/**
 * What the operations of operators need of the node. The node composes it, for the console and for commands; nothing here
 * does anything.
 */
import type { Knex } from 'knex';
import type { ElectionServices } from '../../tasks/election/services.ts';
import type { Engine } from '../engine/engine.ts';
import type { Json } from '../json.ts';
import type { PeerDirectory } from '../protocol/peers.ts';

/** An entry of the audit trail: what was done, by whom. */
export interface OperatorEntry {
  readonly kind: string;
  readonly by: string;
  readonly [field: string]: Json;
}

export interface OperatorServices {
  readonly node: { readonly name: string; readonly url: string };
  readonly db: Knex;
  readonly engine: Engine;
  readonly peers: Pick<
    PeerDirectory,
    'list' | 'byId' | 'byFingerprint' | 'byUrl' | 'add' | 'addCertificate' | 'removeCertificate' | 'remove'
  >;
  readonly elections: ElectionServices;
  /** How many different operators must accept an approval: 1 or 2. */
  readonly approvalsRequired: number;
  /** This node's own certificate, PEM. */
  readonly certificate: () => string;
  /** This node's peer file, for the operators of others. */
  readonly peerFile: () => string;
  /** Writes an entry of the audit trail in the transaction of what it tells of (D24). */
  readonly record: (transaction: Knex, entry: OperatorEntry) => Promise<void>;
  /** As if an election manager asked again: checked as a request is. */
  readonly requestElection: (body: unknown) => Promise<string>;
  readonly requestTally: (body: unknown) => Promise<string>;
  /** Connects to a peer, and says what its clock says; rejects with the reason. */
  readonly reach: (
    peerId: string,
    signal: AbortSignal,
  ) => Promise<{ date: Date | null; refusal: string | null }>;
}
