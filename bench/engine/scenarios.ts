/* All scenarios of the engine's benchmark, in the order in which they run. */
import { federated } from './federated.ts';
import { federatedOne } from './federated-one.ts';
import { originalWire } from './original-wire.ts';
import type { Scenario } from './scenario.ts';

export const SCENARIOS: readonly Scenario[] = [federated, federatedOne, originalWire];
