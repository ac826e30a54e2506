/* As `federated`, on the original's wire: one message per request, each node taking the other for an original. */
import { measureRoundTrips, ROUND_TRIP_COMMANDS, roundTripDefinitions, WIDE_QUEUES } from './round-trips.ts';
import type { Scenario } from './scenario.ts';

const IN_FLIGHT = 500;

export const originalWire: Scenario = {
  name: 'original-wire',
  about: `simple tasks a → b → a, one message per request, ${IN_FLIGHT} under way; at least 350 a second`,
  nodes: [
    { name: 'a', settings: { queues: WIDE_QUEUES }, dialects: { b: 'frestq' } },
    { name: 'b', settings: { queues: WIDE_QUEUES }, dialects: { a: 'frestq' } },
  ],
  definitions: roundTripDefinitions,
  commands: ROUND_TRIP_COMMANDS,
  run: (bench) => measureRoundTrips(bench, { inFlight: IN_FLIGHT }),
};
