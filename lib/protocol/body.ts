/**
 * Reading request bodies, within bounds of size, time and memory. A body is read only after its sender was identified.
 */
import type { IncomingMessage as HttpRequest } from 'node:http';
import { ConclaveError } from '../errors.ts';
import { ClientGone } from './refusal.ts';

export interface BodyLimits {
  maxBytes: number;
  /** From the first to the last byte: who sends slowly does not hold a connection. */
  milliseconds: number;
}

/**
 * Throws `body_too_large` (as soon as it is known), `body_timeout`, or `ClientGone`.
 * `claim` is asked for every piece before it is kept, and may throw.
 */
export function readBody(
  request: HttpRequest,
  limits: BodyLimits,
  claim: (bytes: number) => void,
): Promise<Buffer> {
  const { maxBytes, milliseconds } = limits;
  const tooLarge = () => new ConclaveError('body_too_large', { limit: maxBytes });
  if (Number(request.headers['content-length'] ?? 0) > maxBytes) return Promise.reject(tooLarge());
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = [];
    let size = 0;
    const timer = setTimeout(() => end(() => reject(new ConclaveError('body_timeout'))), milliseconds);
    const end = (settle: () => void) => {
      clearTimeout(timer);
      request.off('data', onData).off('end', onEnd).off('error', onGone).off('close', onGone);
      settle();
    };
    const onData = (piece: Buffer) => {
      size += piece.length;
      if (size > maxBytes) return end(() => reject(tooLarge()));
      try {
        claim(piece.length);
      } catch (reason) {
        return end(() => reject(reason));
      }
      pieces.push(piece);
    };
    const onEnd = () =>
      end(() => resolve(pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces)));
    const onGone = () => end(() => reject(new ClientGone('the client went away')));
    request.on('data', onData).on('end', onEnd).on('error', onGone).on('close', onGone);
  });
}

/** How many bytes of bodies each peer has in this node's memory: one peer cannot fill it for all. */
export class BodyBudget {
  readonly #max: number;
  readonly #held = new Map<string, number>();

  constructor(maxBytesPerPeer: number) {
    this.#max = maxBytesPerPeer;
  }

  /** Throws `queue_full`; `queue` is named in it. */
  claim(peerId: string, bytes: number, queue: string): void {
    const held = (this.#held.get(peerId) ?? 0) + bytes;
    if (held > this.#max) throw new ConclaveError('queue_full', { queue });
    this.#held.set(peerId, held);
  }

  release(peerId: string, bytes: number): void {
    const held = (this.#held.get(peerId) ?? 0) - bytes;
    if (held > 0) this.#held.set(peerId, held);
    else this.#held.delete(peerId);
  }
}
