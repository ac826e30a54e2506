/**
 * What all examples share: two nodes on this machine, Alice and Bob, with certificates, databases and mutual TLS, who
 * know each other. On machines of their own, each would be made with `conclave init`, and each would add the file of the
 * other with `conclave peers add`.
 */
import { chmod, mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type DefinedContainer,
  type DefinedTask,
  loadSettings,
  makeNode,
  type RunningNode,
  startNode,
  type Task,
} from 'conclave';

type Definitions = readonly (DefinedTask | DefinedContainer)[];

export interface TwoNodes {
  readonly alice: RunningNode;
  readonly bob: RunningNode;
  /** Stops both and removes everything. */
  close(): Promise<void>;
}

export interface Options {
  /** Databases to use; without them each node brings its own. */
  readonly databases?: readonly [alice: string, bob: string] | undefined;
  /** Where the example writes what happens. */
  readonly print?: (line: string) => void;
}

export async function twoNodes(
  definitions: { readonly alice: Definitions; readonly bob: Definitions },
  { databases }: Options = {},
): Promise<TwoNodes> {
  const folder = await mkdtemp(join(tmpdir(), 'conclave-example-'));
  // Where root runs this, the databases belong to another account, which must be able to reach them.
  await chmod(folder, 0o755);
  const running: RunningNode[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(running.map((node) => node.stop()));
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const started = await Promise.allSettled([
      start(folder, 'Alice', definitions.alice, databases?.[0]),
      start(folder, 'Bob', definitions.bob, databases?.[1]),
    ]);
    for (const each of started) if (each.status === 'fulfilled') running.push(each.value);
    for (const each of started) if (each.status === 'rejected') throw each.reason;
    const [alice, bob] = running as [RunningNode, RunningNode];
    await introduce(alice, bob);
    await introduce(bob, alice);
    return { alice, bob, close };
  } catch (thrown) {
    await close();
    throw thrown;
  }
}

async function start(
  folder: string,
  name: string,
  definitions: Definitions,
  database: string | undefined,
): Promise<RunningNode> {
  const [port, healthPort] = [await freePort(), await freePort()];
  const made = await makeNode({
    folder: join(folder, name),
    name,
    url: `https://127.0.0.1:${port}/api/queues`,
    host: '127.0.0.1',
    healthPort,
    settings: { log: { level: 'error' }, ...(database === undefined ? {} : { database: { url: database } }) },
  });
  return await startNode(await loadSettings(made.settings, {}), { definitions });
}

/** Waits until a task has ended well; an error that nobody handled ends the example. */
export async function finished(node: RunningNode, taskId: string): Promise<Task> {
  const task = await node.engine.ended(taskId);
  if (task.status === 'error')
    throw new Error(`${task.action}: ${task.error?.message} (${task.error?.node})`);
  return task;
}

/** From now on `node` trusts `other`, by exactly its certificate. */
async function introduce(node: RunningNode, other: RunningNode): Promise<void> {
  const certificate = await readFile(other.settings.tls.certificate, 'utf8');
  await node.peers.add({
    name: other.name,
    url: other.url,
    certificates: [certificate],
    roles: ['authority'],
  });
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Runs an example from the command line: prints what happens, ends with its success. */
export async function runAsProgram(example: (options: Options) => Promise<unknown>): Promise<void> {
  await example({ print: (line) => console.log(line) });
}
