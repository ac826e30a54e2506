/*
 * Messages that wait for a peer that is away must not slow those to another: round trips a → b are measured with nothing
 * waiting and with 100,000 messages waiting for node c, which does not run. `ratio to without` is near 1 when they do not.
 */
import type { Bench } from './harness.ts';
import type { Measurement } from './measurement.ts';
import {
  measureRoundTrips,
  ROUND_TRIP_COMMANDS,
  roundTripDefinitions,
  sendWithoutWaiting,
  WIDE_QUEUES,
} from './round-trips.ts';
import type { Scenario } from './scenario.ts';

const WAITING = 100_000;
const IN_FLIGHT = 500;
const ROUNDS = 2;

async function run(bench: Bench): Promise<Measurement> {
  await bench.node('c').stop();
  const load = { inFlight: IN_FLIGHT, seconds: bench.seconds / ROUNDS };
  const without = await measureRoundTrips(bench, load);
  await bench.node('a').call('sendWithoutWaiting', { tasks: WAITING, to: 'c' });
  const withThem = await measureRoundTrips(bench, load);
  const rate = ({ tasks, seconds }: Measurement) => Number((tasks / seconds).toPrecision(4));
  const cpu = ({ cpu: spent, tasks }: Measurement) => {
    const total = Object.values(spent).reduce((sum, each) => sum + each, 0);
    return Number((total / tasks).toPrecision(4));
  };
  const further = {
    'messages waiting': WAITING,
    'tasks/s without': rate(without),
    'CPU µs per task without': cpu(without),
    'ratio to without': Number((rate(withThem) / rate(without)).toPrecision(3)),
  };
  return { ...withThem, further };
}

export const peerDown: Scenario = {
  name: 'peer-down',
  about: `simple tasks a → b → a while ${WAITING} messages wait for c, which is away: within 10 % of none waiting`,
  nodes: ['a', 'b', 'c'].map((name) => ({ name, settings: { queues: WIDE_QUEUES } })),
  definitions: roundTripDefinitions,
  commands: { ...ROUND_TRIP_COMMANDS, sendWithoutWaiting },
  run,
};
