/**
 * How Conclave nodes tell each other the heads of their logs (D24): opaque texts, in a header of each batch and of the
 * answer to it. What they say and whether they are believed is decided elsewhere.
 */
import type { Peer } from './peers.ts';

export const HEAD_HEADER = 'X-Conclave-Log-Head';

export interface HeadExchange {
  /** This node's; null: it has none yet. */
  current(): string | null;
  /** Never waits, never throws: messages do not depend on it. */
  received(peer: Peer, head: string): void;
}
