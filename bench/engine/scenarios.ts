/* All scenarios of the engine's benchmark, in the order in which they run. */
import { federated } from './federated.ts';
import { federatedOne } from './federated-one.ts';
import { originalWire } from './original-wire.ts';
import { peerDown } from './peer-down.ts';
import type { Scenario } from './scenario.ts';
import { synchronized } from './synchronized.ts';

export const SCENARIOS: readonly Scenario[] = [federated, federatedOne, originalWire, synchronized, peerDown];
