/** All workflows of a node, as the engine's registry takes them. */
import type { DefinedContainer, DefinedTask } from '../lib/engine/definitions.ts';
import { directorDefinitions } from './create-election/director.ts';
import { performerDefinitions } from './create-election/performer.ts';
import { callbackDefinitions } from './election/callbacks.ts';
import { comparisonDefinitions } from './election/comparison.ts';
import type { ElectionServices } from './election/services.ts';
import { tallyDirectorDefinitions } from './tally/director.ts';
import { tallyHashes, tallyPerformerDefinitions } from './tally/performer.ts';

export function electionDefinitions(services: ElectionServices): (DefinedTask | DefinedContainer)[] {
  return [
    ...callbackDefinitions(services),
    ...comparisonDefinitions(services, (election) => tallyHashes(services, election)),
    ...directorDefinitions(services),
    ...performerDefinitions(services),
    ...tallyDirectorDefinitions(services),
    ...tallyPerformerDefinitions(services),
  ];
}
