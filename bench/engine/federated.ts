/* Simple tasks from one node to another and back, as many at a time as make the nodes busy. */
import { measureRoundTrips, ROUND_TRIP_COMMANDS, roundTripDefinitions, WIDE_QUEUES } from './round-trips.ts';
import type { Scenario } from './scenario.ts';

const IN_FLIGHT = 2000;

export const federated: Scenario = {
  name: 'federated',
  about: `simple tasks a → b → a, ${IN_FLIGHT} under way; at least 3,000 a second on two cores`,
  nodes: [
    { name: 'a', settings: { queues: WIDE_QUEUES } },
    { name: 'b', settings: { queues: WIDE_QUEUES } },
  ],
  definitions: roundTripDefinitions,
  commands: ROUND_TRIP_COMMANDS,
  run: (bench) => measureRoundTrips(bench, { inFlight: IN_FLIGHT }),
};
