/**
 * By which certificates the signatures of a node are believed (D24): those that the verifier has pinned, for a node or
 * at large, or named by their fingerprints. What a log says of its own certificates only supplies their texts.
 */
import { createHash, verify, X509Certificate } from 'node:crypto';
import { checkSignature, type HeadCertificate, type SignedHead } from './block.ts';

export interface PinnedCertificate {
  /** Lower-case hex SHA-256 of the DER form. */
  readonly fingerprint: string;
  /** Null: only its fingerprint is known. */
  readonly pem: string | null;
  /** The node that it is of; null: whichever shows it first, and that one alone. */
  readonly node: string | null;
}

/** `unpinned`: it is right under a certificate that only the log itself vouches for. */
export type SignatureVerdict = 'pinned' | 'unpinned' | 'unknown' | 'bad';

export class Trust {
  readonly #pinned: readonly PinnedCertificate[];
  /** Texts by their true fingerprints, wherever they come from. */
  readonly #texts = new Map<string, string>();
  /** Nodes that certificates which were pinned for none in particular have turned out to be of. */
  readonly #nodes = new Map<string, string>();

  constructor(pinned: readonly PinnedCertificate[]) {
    this.#pinned = pinned;
    for (const { pem } of pinned) if (pem !== null) this.learn(pem);
  }

  /** A certificate's text: makes signatures checkable, and believes nothing. */
  learn(pem: string): void {
    try {
      const { raw } = new X509Certificate(pem);
      this.#texts.set(createHash('sha256').update(raw).digest('hex'), pem);
    } catch {
      // It is none: whatever names it stays unknown.
    }
  }

  /** Whether anything is pinned that is of this node: then nothing else may sign for it. */
  knows(node: string): boolean {
    return this.#pinned.some((one) => one.node === node || this.#nodes.get(one.fingerprint) === node);
  }

  isPinned(fingerprint: string, node: string): boolean {
    const found = this.#pinned.filter((one) => one.fingerprint === fingerprint);
    if (found.some((one) => one.node === node)) return true;
    const atLarge = found.find((one) => one.node === null && this.#free(one, node));
    if (atLarge === undefined) return false;
    this.#nodes.set(fingerprint, node);
    return true;
  }

  /** A key signs for one node: else whoever is trusted for its own log could write the log of another. */
  #free({ fingerprint }: PinnedCertificate, node: string): boolean {
    return (this.#nodes.get(fingerprint) ?? node) === node;
  }

  /** The holder's common name, for people; null: the certificate's text is not known. */
  subjectOf(fingerprint: string): string | null {
    const pem = this.#texts.get(fingerprint);
    return pem === undefined ? null : new X509Certificate(pem).subject;
  }

  head(head: SignedHead): SignatureVerdict {
    return this.#judge(head.certificate, head.node, head.signature, (certificate) =>
      checkSignature(certificate, head),
    );
  }

  statement(fingerprint: string, node: string, signature: string, bytes: Buffer): SignatureVerdict {
    return this.#judge(fingerprint, node, signature, ({ pem }) => {
      const key = new X509Certificate(pem).publicKey;
      const algorithm = key.asymmetricKeyType?.startsWith('ed') ? null : 'sha256';
      return verify(algorithm, bytes, key, Buffer.from(signature, 'base64'));
    });
  }

  #judge(
    fingerprint: string,
    node: string,
    signature: string,
    check: (certificate: HeadCertificate) => boolean,
  ): SignatureVerdict {
    const pem = this.#texts.get(fingerprint);
    if (pem === undefined) return 'unknown';
    // One text for each signature: base64 can be written in several ways.
    if (Buffer.from(signature, 'base64').toString('base64') !== signature) return 'bad';
    if (!safely(() => check({ pem, fingerprint }))) return 'bad';
    return this.isPinned(fingerprint, node) ? 'pinned' : 'unpinned';
  }
}

/** A key of a kind that cannot sign this is no signature of it. */
function safely(check: () => boolean): boolean {
  try {
    return check();
  } catch {
    return false;
  }
}
