/** Where ids and jitter come from: the system's randomness, or a seed under simulation (D60). */
import { randomUUID } from 'node:crypto';

export interface Chance {
  /** An id that nothing else has, here or elsewhere. */
  newId(): string;
  /** Uniform in [0, 1). */
  random(): number;
}

export const systemChance: Chance = { newId: randomUUID, random: Math.random };
