/*
 * The engine's benchmark harness: real nodes as `conclave start` runs them, each in a process of its own, on mutual TLS,
 * each with an embedded PostgreSQL of its own (or a database of its own on the server that `database` names). Every commit
 * is durable; settings are the defaults except where a scenario names others.
 *
 *     benchmark ──IPC: trust, commands──▶ node a ◀──mutual TLS──▶ node b ◀── …
 *         │                                │                       │
 *         └──/proc: CPU, memory─────▶ PostgreSQL of a         PostgreSQL of b
 *
 * Commands run in the nodes' processes, so that a load costs no more than what its node does for it.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client } from 'pg';
import type { Json } from '../../lib/json.ts';
import { type MadeNode, makeNode } from '../../lib/node/new-node.ts';
import { loadSettings } from '../../lib/node/settings.ts';
import { eraseEmbedded } from '../../lib/store/embedded.ts';
import { baselineCommits, type Connection, serverOf } from './baseline.ts';
import { type Measurement, peakMemory, processorTime, serverProcessorTime } from './measurement.ts';
import type { Answered, NewPeer, Ready, Told } from './node-process.ts';
import type { NodePlan, Scenario } from './scenario.ts';

const NODE_PROCESS = fileURLToPath(new URL('./node-process.ts', import.meta.url));
const BASELINE_SECONDS = 1.5;

export interface BenchOptions {
  /** How long a measurement that goes by time takes. */
  readonly seconds: number;
  /** A PostgreSQL server by URL, on which every node gets a database of its own; null: embedded servers. */
  readonly database: string | null;
  /** Where the nodes' CPU profiles are written when they stop. */
  readonly profiles: string | null;
}

export class Bench {
  readonly seconds: number;
  readonly nodes: ReadonlyMap<string, BenchNode>;

  constructor(options: BenchOptions, nodes: ReadonlyMap<string, BenchNode>) {
    this.seconds = options.seconds;
    this.nodes = nodes;
  }

  node(name: string): BenchNode {
    const node = this.nodes.get(name);
    if (node === undefined) throw new Error(`the scenario has no node ${name}`);
    return node;
  }

  /**
   * Runs a load and measures what it costs. Warm up before. `baseline` is taken immediately before, while nodes are idle.
   * The load answers with how many tasks it did, and in how many seconds if not in those that it took.
   */
  async measure(
    load: () => Promise<
      Pick<Measurement, 'tasks'> & Partial<Pick<Measurement, 'latencies' | 'further' | 'seconds'>>
    >,
  ): Promise<Measurement> {
    const [first] = this.nodes.values();
    const baseline = await baselineCommits(first!.connection, BASELINE_SECONDS);
    const before = await this.#processorTimes();
    const started = performance.now();
    const done = await load();
    const seconds = (performance.now() - started) / 1000;
    const after = await this.#processorTimes();
    const cpu = Object.fromEntries(
      Object.entries(after).map(([name, spent]) => [name, spent - (before[name] ?? 0)]),
    );
    return { latencies: [], seconds, ...done, cpu, memory: await this.#memory(), baseline };
  }

  async #processorTimes(): Promise<Record<string, number>> {
    const times: Record<string, number> = {};
    const servers = new Set<number>();
    for (const node of this.nodes.values()) {
      const own = await processorTime(node.pid);
      if (own !== null) times[node.name] = own;
      const server = node.serverPid === null ? null : await serverProcessorTime(node.serverPid);
      if (server === null || servers.has(node.serverPid!)) continue;
      servers.add(node.serverPid!);
      times[`${node.name}'s PostgreSQL`] = server;
    }
    return times;
  }

  async #memory(): Promise<Record<string, number>> {
    const memory: Record<string, number> = {};
    for (const { name, pid } of this.nodes.values()) {
      const most = await peakMemory(pid);
      if (most !== null) memory[name] = most;
    }
    return memory;
  }
}

/** A node in a process of its own. */
export class BenchNode {
  readonly name: string;
  readonly url: string;
  readonly made: MadeNode;
  readonly #child: ChildProcess;
  readonly #asked = new Map<number, PromiseWithResolvers<Json>>();
  readonly #ready: Ready;
  #questions = 0;
  serverPid: number | null = null;

  constructor(made: MadeNode, child: ChildProcess, ready: Ready) {
    this.name = made.name;
    this.url = made.url;
    this.made = made;
    this.#child = child;
    this.#ready = ready;
    child.on('message', (said: Answered) => this.#heard(said));
    child.once('exit', (code, signal) => {
      const ended = new Error(`the node ${this.name} ended (${signal ?? `exit code ${code}`})`);
      for (const { reject } of this.#asked.values()) reject(ended);
    });
  }

  get pid(): number {
    return this.#child.pid!;
  }

  get connection(): Connection {
    return this.#ready.connection;
  }

  /** Runs one of the scenario's commands in the node's process. */
  call<Answer extends Json>(command: string, argument: Json = null): Promise<Answer> {
    return this.#ask({ question: ++this.#questions, command, argument }) as Promise<Answer>;
  }

  /** Makes other nodes peers of this one. */
  async trust(peers: readonly NewPeer[]): Promise<void> {
    await this.#ask({ question: ++this.#questions, peers });
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'exit');
    this.#child.disconnect();
    await ended;
  }

  #ask(told: Told & { question: number }): Promise<Json> {
    const answer = Promise.withResolvers<Json>();
    this.#asked.set(told.question, answer);
    this.#child.send(told, (failed) => failed !== null && answer.reject(failed));
    return answer.promise;
  }

  #heard(said: Answered): void {
    const asked = this.#asked.get(said.question);
    this.#asked.delete(said.question);
    if ('failed' in said) asked?.reject(new Error(`${this.name}: ${said.failed}`));
    else asked?.resolve(said.answer);
  }
}

/** Starts the nodes of a scenario, makes them each other's peers, runs it, and removes everything. */
export async function runScenario(scenario: Scenario, options: BenchOptions): Promise<Measurement> {
  const folder = await mkdtemp(join(tmpdir(), 'conclave-bench-'));
  // Embedded servers run under another account when root runs the benchmark.
  await chmod(folder, 0o711);
  const nodes = new Map<string, BenchNode>();
  const databases: string[] = [];
  try {
    for (const plan of scenario.nodes) {
      const database = options.database === null ? null : await createDatabase(options.database);
      if (database !== null) databases.push(database);
      nodes.set(plan.name, await startBenchNode(folder, scenario.name, plan, database, options));
    }
    await introduce(scenario.nodes, nodes);
    return await scenario.run(new Bench(options, nodes));
  } finally {
    await Promise.all([...nodes.values()].map((node) => node.stop()));
    for (const database of databases) await dropDatabase(options.database!, database);
    // A node's database may lie elsewhere.
    if (options.database === null)
      for (const { made } of nodes.values()) await eraseEmbedded({ folder: join(made.folder, 'database') });
    await rm(folder, { recursive: true, force: true });
  }
}

async function startBenchNode(
  folder: string,
  scenario: string,
  { name, settings = {} }: NodePlan,
  database: string | null,
  options: BenchOptions,
): Promise<BenchNode> {
  const port = await freePort();
  const made = await makeNode({
    folder: join(folder, name),
    name,
    url: `https://127.0.0.1:${port}/api/queues`,
    host: '127.0.0.1',
    healthPort: await freePort(),
    settings: {
      log: { file: './node.log' },
      ...(database === null ? {} : { database: { url: databaseUrl(options.database!, database) } }),
      ...settings,
    },
  });
  if (options.profiles !== null) await mkdir(options.profiles, { recursive: true });
  const child = fork(NODE_PROCESS, [scenario, made.settings], {
    execArgv: [
      '--disable-warning=ExperimentalWarning',
      ...(options.profiles === null
        ? []
        : [
            '--cpu-prof',
            `--cpu-prof-dir=${options.profiles}`,
            `--cpu-prof-name=${scenario}-${name}.cpuprofile`,
          ]),
    ],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const ready = await Promise.race([once(child, 'message'), once(child, 'exit').then(() => null)]);
  if (ready === null) throw new Error(`the node ${name} did not start; see above`);
  const node = new BenchNode(made, child, ready[0] as Ready);
  node.serverPid = await serverOf(node.connection);
  return node;
}

async function introduce(plans: readonly NodePlan[], nodes: ReadonlyMap<string, BenchNode>): Promise<void> {
  const peers = new Map<string, NewPeer>();
  for (const { name, url, made } of nodes.values()) {
    const { tls } = await loadSettings(made.settings, {});
    peers.set(name, { name, url, certificate: await readFile(tls.certificate, 'utf8'), dialect: 'unknown' });
  }
  for (const { name, dialects = {} } of plans) {
    const others = [...peers.values()].filter((peer) => peer.name !== name);
    await nodes
      .get(name)!
      .trust(others.map((peer) => ({ ...peer, dialect: dialects[peer.name] ?? 'unknown' })));
  }
}

function databaseUrl(server: string, database: string): string {
  const url = new URL(server);
  url.pathname = `/${database}`;
  return url.href;
}

async function createDatabase(server: string): Promise<string> {
  const database = `bench_${randomBytes(6).toString('hex')}`;
  await administer(server, `create database ${database}`);
  return database;
}

function dropDatabase(server: string, database: string): Promise<void> {
  return administer(server, `drop database if exists ${database} with (force)`);
}

async function administer(server: string, statement: string): Promise<void> {
  const client = new Client({ connectionString: server });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
