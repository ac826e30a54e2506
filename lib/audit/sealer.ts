/**
 * Sealing: what was entered becomes blocks, at most a second later (D24). Every process of a node runs a sealer; the
 * store lets one at a time make a block, on top of the last, so that it does not matter which, nor when one dies. What
 * was committed and not sealed when all processes died is sealed by the next. Adds nothing to what transactions cost.
 */
import type { Clock } from '../engine/clock.ts';
import { reasonOf } from '../errors.ts';
import type { SignedHead, Signer } from './block.ts';
import { makeBlock } from './block.ts';
import { canonicalJson } from './canonical.ts';
import type { TextHash } from './digest.ts';
import { type KnownPeer, peersLine } from './entries.ts';
import type { Sealable, TrailStore } from './trail.ts';

const PAUSE_MILLISECONDS = 1000;
const ENTRIES = 1000;

export interface SealerLog {
  error(fields: object, message: string): void;
}

/** A signer, and the certificate by which its signatures are checked. */
export interface CertifiedSigner extends Signer {
  readonly pem: string;
}

export interface SealerOptions {
  readonly store: TrailStore;
  readonly clock: Clock;
  /** Root URL of the node's queues. */
  readonly node: string;
  /** As it is now: certificates are rotated while nodes run. */
  readonly signer: () => CertifiedSigner;
  readonly log: SealerLog;
  /** Cheaper under simulation. */
  readonly digest?: TextHash;
}

export class Sealer {
  readonly #options: SealerOptions;
  #cancel: (() => void) | null = null;
  #working: Promise<void> | null = null;
  #stopped = false;
  #failing = false;
  #head: SignedHead | null = null;
  /** What the log says about peers, as far as this process knows. */
  #peers: string | null = null;
  #keptCertificate: string | null = null;

  constructor(options: SealerOptions) {
    this.#options = options;
  }

  /** The last sealed block, as far as this process knows: at most a second old. */
  get head(): SignedHead | null {
    return this.#head;
  }

  /** Seals what waits, and goes on doing so. */
  async start(): Promise<void> {
    await this.#work();
    this.#sleep();
  }

  /** Seals what was entered until now. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancel?.();
    await this.#working;
    await this.#work();
  }

  /** A failure is logged once, and tried again: entries wait meanwhile, and nothing is lost. */
  async #work(): Promise<void> {
    try {
      await this.seal();
      this.#failing = false;
    } catch (thrown) {
      if (!this.#failing)
        this.#options.log.error(
          { event: 'log_unsealed', reason: reasonOf(thrown) },
          'the audit trail could not be sealed; its entries wait',
        );
      this.#failing = true;
    }
  }

  /** Makes blocks until nothing waits, or another process makes them. */
  async seal(): Promise<void> {
    const { store } = this.#options;
    const { waiting, head } = await store.look();
    this.#head = head;
    if (!waiting) return;
    await this.#keepCertificate();
    while ((await this.#sealOne()) === 'sealed');
  }

  async #sealOne(): Promise<'sealed' | 'idle' | 'busy'> {
    const { store, node, signer } = this.#options;
    const current = signer();
    let peers = this.#peers;
    const sealing = await store.seal(ENTRIES, (sealable) => {
      peers = textOf(sealable.peers);
      return this.#block(sealable, peers !== this.#peers, current);
    });
    if (sealing.outcome !== 'sealed') return sealing.outcome;
    const { number, hash, signature } = sealing.block;
    this.#peers = peers;
    this.#head = { number, hash, signature, node, certificate: current.certificate };
    return 'sealed';
  }

  /** Entries name peers by their ids here: who these are is entered before, whenever it has changed. */
  #block({ previous, hashes, peers }: Sealable, withPeers: boolean, signer: Signer) {
    const { node, clock, digest } = this.#options;
    const date = clock.now();
    const leading = withPeers ? peersLine(peers, date) : null;
    return makeBlock({ node, previous, date, hashes, leading, signer, digest });
  }

  async #keepCertificate(): Promise<void> {
    const { certificate, pem } = this.#options.signer();
    if (certificate === this.#keptCertificate) return;
    await this.#options.store.keepCertificate({ fingerprint: certificate, pem });
    this.#keptCertificate = certificate;
  }

  #sleep(): void {
    if (this.#stopped) return;
    this.#cancel = this.#options.clock.after(PAUSE_MILLISECONDS, () => {
      this.#working = this.#work().then(() => this.#sleep());
    });
  }
}

function textOf(peers: readonly KnownPeer[]): string {
  return canonicalJson(peers);
}
