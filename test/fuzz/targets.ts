/* Every parser of the house that reads what somebody else wrote. */
import { custodyTargets } from './custody-targets.ts';
import { electionTargets } from './election-targets.ts';
import { mixnetTargets } from './mixnet-targets.ts';
import { nodeTargets } from './node-targets.ts';
import { protocolTargets } from './protocol-targets.ts';
import type { AnyTarget } from './target.ts';

export const targets: readonly AnyTarget[] = [
  ...protocolTargets,
  ...nodeTargets,
  ...custodyTargets,
  ...electionTargets,
  ...mixnetTargets,
];
