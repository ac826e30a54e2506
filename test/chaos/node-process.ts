/*
 * A node of the chaos test as a process of its own: everything that `conclave start` runs, and the small trees' actions.
 * Connections to other nodes' ports go to the proxies in between. The parent asks for trees over the channel; when the
 * channel ends, so does the process.
 */
import { Socket } from 'node:net';
import { electionWorkflows } from '../../lib/node/elections.ts';
import { startNode } from '../../lib/node/node.ts';
import { loadSettings } from '../../lib/node/settings.ts';
import { chaosDefinitions, MEETING_QUEUE, rootOf, type Shape } from './workflow.ts';

export interface Wanted {
  readonly label: string;
  readonly shape: Shape;
}

export type Said = { ready: true } | { created: string; id: string } | { failed: string; reason: string };

const [settings, routes] = process.argv.slice(2) as [string, string];
rerouteConnections(JSON.parse(routes));
process.once('disconnect', () => process.exit(1));
if (!process.connected) process.exit(1);

const node = await startNode(await loadSettings(settings, {}), {
  workflows: (services) => {
    const { definitions, ...rest } = electionWorkflows(services);
    const queues = { [MEETING_QUEUE]: { maxThreads: 2 } };
    return { ...rest, definitions: [...definitions, ...chaosDefinitions()], queues };
  },
});
process.on('message', ({ label, shape }: Wanted) => {
  node.engine.create(rootOf(shape, label)).then(
    (id) => say({ created: label, id }),
    (thrown: Error) => say({ failed: label, reason: thrown.message }),
  );
});
process.once('SIGTERM', () => {
  void node.stop().then(() => process.exit(0));
});
say({ ready: true });

function say(what: Said): void {
  process.send?.(what, undefined, undefined, () => {});
}

/** Sends connections to one port of this machine to another: this node's network. */
function rerouteConnections(ports: Readonly<Record<string, number>>): void {
  const connect = Socket.prototype.connect as (this: Socket, ...args: unknown[]) => Socket;
  Socket.prototype.connect = function rerouted(this: Socket, ...[options, ...rest]: unknown[]) {
    const port = (options as { port?: number | string } | null)?.port;
    const other = port === undefined ? undefined : ports[String(port)];
    const changed = other === undefined ? options : { ...(options as object), port: other };
    return connect.call(this, changed, ...rest);
  } as typeof Socket.prototype.connect;
}
