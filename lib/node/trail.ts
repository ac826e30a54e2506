/**
 * The audit trail of a running process (D24): it seals what was entered, tells peers the last block, keeps theirs, and
 * enters that the process started and stopped.
 */

import { checkSignature } from '../audit/block.ts';
import { HeadKeeper } from '../audit/heads.ts';
import { type CertifiedSigner, Sealer } from '../audit/sealer.ts';
import { systemClock } from '../engine/clock.ts';
import type { Log } from '../log.ts';
import type { HeadExchange } from '../protocol/log-heads.ts';
import { createTrailStore, record } from '../store/audit.ts';
import type { Database } from '../store/database.ts';
import { VERSION } from '../version.ts';
import { type NodeIdentity, workerName } from './identity.ts';

export interface TrailOptions {
  readonly database: Database;
  /** Root URL of the node's queues. */
  readonly node: string;
  readonly identity: () => NodeIdentity;
  readonly log: Log;
}

export class Trail {
  readonly #options: TrailOptions;
  readonly #sealer: Sealer;
  readonly #keeper: HeadKeeper;
  #started = false;

  constructor(options: TrailOptions) {
    const { database, node, log, identity } = options;
    const store = createTrailStore(database.knex);
    this.#options = options;
    this.#sealer = new Sealer({ store, clock: systemClock, node, log, signer: () => signerOf(identity()) });
    this.#keeper = new HeadKeeper({ store, clock: systemClock, check: checkSignature, log });
  }

  /** For the protocol's client and server. */
  readonly heads: HeadExchange = {
    current: () => {
      const { head } = this.#sealer;
      return head === null ? null : JSON.stringify(head);
    },
    received: (peer, head) => this.#keeper.received(peer, head),
  };

  async start(): Promise<void> {
    await this.#record('start');
    this.#started = true;
    await this.#sealer.start();
  }

  /** A process that is killed enters nothing; that it is gone, its next start says. */
  async stop(): Promise<void> {
    if (!this.#started) return;
    this.#started = false;
    await this.#keeper.idle();
    await this.#record('stop').catch(() => {});
    await this.#sealer.stop();
  }

  async #record(kind: 'start' | 'stop'): Promise<void> {
    const { database, identity } = this.#options;
    const { fingerprint } = identity();
    await record(database.knex, { kind, by: workerName(), version: VERSION, certificate: fingerprint });
  }
}

function signerOf({ fingerprint, certificate, sign }: NodeIdentity): CertifiedSigner {
  return { certificate: fingerprint, pem: certificate, sign };
}
