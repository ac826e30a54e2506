/*
 * A node of a benchmark as a process of its own: everything that `conclave start` runs, with the scenario's actions in
 * place of the elections'. Does what the benchmark tells it over the channel, and ends in order when that ends.
 */
import type { Json } from '../../lib/json.ts';
import { startNode } from '../../lib/node/node.ts';
import { loadSettings } from '../../lib/node/settings.ts';
import type { Connection } from './baseline.ts';
import { EndedTasks } from './ended-tasks.ts';
import { SCENARIOS } from './scenarios.ts';

export interface NewPeer {
  readonly name: string;
  readonly url: string;
  readonly certificate: string;
  readonly dialect: 'unknown' | 'conclave' | 'frestq';
}

/** What the process says first. */
export interface Ready {
  readonly connection: Connection;
}

export type Told =
  | { readonly question: number; readonly peers: readonly NewPeer[] }
  | { readonly question: number; readonly command: string; readonly argument: Json };

export type Answered =
  | { readonly question: number; readonly answer: Json }
  | { readonly question: number; readonly failed: string };

const [name, settings] = process.argv.slice(2) as [string, string];
const scenario = SCENARIOS.find((each) => each.name === name);
if (scenario === undefined) throw new Error(`there is no scenario ${name}`);

const ended = new EndedTasks();
const node = await startNode(await loadSettings(settings, {}), {
  definitions: scenario.definitions(),
  onEnded: (taskIds) => ended.heard(taskIds),
});
const urls: Record<string, string> = { [node.name]: node.url };

process.on('message', (told: Told) => {
  work(told).then(
    (answer) => say({ question: told.question, answer }),
    (thrown: Error) => say({ question: told.question, failed: thrown.stack ?? thrown.message }),
  );
});
process.once('disconnect', () => void node.stop(2).then(() => process.exit(0)));
say({ connection: connectionOf(node.database.knex.client.config.connection) });

async function work(told: Told): Promise<Json> {
  if ('peers' in told) {
    for (const { certificate, ...peer } of told.peers) {
      await node.peers.add({ ...peer, certificates: [certificate], roles: ['authority'] });
      urls[peer.name] = peer.url;
    }
    return null;
  }
  const command = scenario!.commands[told.command];
  if (command === undefined) throw new Error(`the scenario ${name} has no command ${told.command}`);
  return command({ node, ended, urls }, told.argument);
}

function connectionOf(settings: Record<string, unknown>): Connection {
  const { connectionString, host, port, user, database } = settings;
  return (
    connectionString === undefined ? { host, port, user, database } : { connectionString }
  ) as Connection;
}

function say(what: Ready | Answered): void {
  process.send?.(what, undefined, undefined, () => {});
}
