/**
 * What the election workflows need of the node that runs them. The node composes it (D1); workflows reach peers only
 * through the engine, the disk only below the two folders, and the network only through `download` and `callback`.
 */
import type { Knex } from 'knex';
import type { HandlerLog } from '../../lib/engine/context.ts';
import type { AsyncDataReference } from '../../lib/engine/model.ts';
import type { TreeNode } from '../../lib/engine/tree.ts';
import type { VerificatumSettings } from '../../lib/mixnet/external/verificatum.ts';
import type { MixnetWorker } from '../../lib/mixnet/worker/client.ts';
import type { GroupName } from './election.ts';

export interface ElectionSettings {
  /** Approve creations and tallies without an operator (EO-53). Default false. */
  readonly autoAccept: boolean;
  /** An election may be tallied again without a reset (EO-31). */
  readonly multipleTallies: boolean;
  readonly maxQuestions: number;
  readonly defaultGroup: GroupName;
  readonly maxVotesBytes: number;
  /** How long a tally waits for authorities beyond the threshold, in seconds. */
  readonly tallyWaitSeconds: number;
  /** How long one authority may take for one step of a tally, in seconds, before it is left out. */
  readonly tallyStepSeconds: number;
}

/** Verificatum's programs on this node, and the addresses at which those of the other authorities reach them. */
export interface ExternalMixnet extends VerificatumSettings {
  /** `http://host:port`. */
  readonly http: string;
  /** `host:port`. */
  readonly hint: string;
}

/** A peer, as far as workflows may know it. */
export interface PeerReference {
  readonly id: string;
  readonly name: string;
  readonly url: string | null;
}

export interface ElectionServices {
  readonly node: { readonly name: string; readonly url: string };
  /** This node's certificate, PEM. */
  readonly certificate: string;
  /** A signature of the certificate's key, with SHA-256. */
  sign(data: Uint8Array): Buffer;
  readonly db: Knex;
  /** Mode 0700; one folder per election below it. */
  readonly privateFolder: string;
  /** Served below `publicUrl` (EO-10). */
  readonly publicFolder: string;
  readonly publicUrl: string;
  readonly settings: ElectionSettings;
  readonly mixnet: MixnetWorker;
  /** Verificatum's programs, for elections whose mix-net they are (D44); null: this node does not call them. */
  readonly external: ExternalMixnet | null;
  readonly log: HandlerLog;
  /** A task tree of its own. */
  create(tree: TreeNode): Promise<string>;
  /** Secrets at rest (D36): authenticated encryption under the node's key, bound to `context`. */
  seal(secret: Uint8Array, context: string): Buffer;
  /** @throws Error when it was sealed by another key, for another context, or is damaged */
  open(sealed: Uint8Array, context: string): Buffer;
  /** POSTs JSON to a URL that the settings allow (D25). @throws ConclaveError `outgoing_refused`, `outgoing_failed` */
  callback(url: string, body: unknown, signal: AbortSignal): Promise<void>;
  /** Streams a URL to a file (D25). Answers with the SHA-256 of what came. */
  download(
    url: string,
    destination: string,
    options: { maxBytes: number; signal: AbortSignal },
  ): Promise<{ sha256: Buffer; size: number }>;
  /**
   * Offers a file to peers as bulk data (D17, D35): they find it at the reference's URL until it is withdrawn.
   * The file must not change any more.
   */
  share(path: string, readers: readonly string[]): Promise<AsyncDataReference>;
  /** Withdraws everything that was shared below a folder. */
  withdraw(folder: string): Promise<void>;
  /** The pinned peer that holds this certificate (D22). */
  peerByCertificate(pem: string): PeerReference | undefined;
  peerById(id: string): PeerReference | undefined;
}
