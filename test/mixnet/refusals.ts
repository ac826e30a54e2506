/** The reason for which something is refused; fails if it is accepted. */
import { Refusal, type RefusalReason } from '../../lib/mixnet/refusal.ts';

export function refusalReason(work: () => unknown): RefusalReason {
  try {
    work();
  } catch (error) {
    if (error instanceof Refusal) return error.reason;
    throw error;
  }
  throw new Error('it was accepted');
}
