/* Simple tasks from one node to another and back, one after the other: what one task takes when nothing else happens. */
import { measureRoundTrips, ROUND_TRIP_COMMANDS, roundTripDefinitions, WIDE_QUEUES } from './round-trips.ts';
import type { Scenario } from './scenario.ts';

export const federatedOne: Scenario = {
  name: 'federated-one',
  about: 'simple tasks a → b → a, one at a time; median at most 10 ms, 99th percentile at most 40 ms',
  nodes: [
    { name: 'a', settings: { queues: WIDE_QUEUES } },
    { name: 'b', settings: { queues: WIDE_QUEUES } },
  ],
  definitions: roundTripDefinitions,
  commands: ROUND_TRIP_COMMANDS,
  run: (bench) => measureRoundTrips(bench, { inFlight: 1 }),
};
