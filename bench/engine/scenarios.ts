/* All scenarios of the engine's benchmark, in the order in which they run. */
import { backlog } from './backlog.ts';
import { federated } from './federated.ts';
import { federatedOne } from './federated-one.ts';
import { local } from './local.ts';
import { originalWire } from './original-wire.ts';
import { peerDown } from './peer-down.ts';
import type { Scenario } from './scenario.ts';
import { synchronized } from './synchronized.ts';
import { deep, tree, wide } from './trees.ts';

export const SCENARIOS: readonly Scenario[] = [
  federated,
  federatedOne,
  originalWire,
  local,
  tree,
  synchronized,
  wide,
  deep,
  backlog,
  peerDown,
];
