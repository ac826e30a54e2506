/*
 * Whole nodes for tests: folders as `conclave init` makes them, with a database of the tests' server, started in this
 * process or as processes of their own; and requests to them as clients make them.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { request as httpsRequest } from 'node:https';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createLog } from '../../lib/log.ts';
import { createNodeCertificate, type NodeCertificate } from '../../lib/node/certificates.ts';
import { type MadeNode, makeNode } from '../../lib/node/new-node.ts';
import { type RunningNode, type StartOptions, startNode } from '../../lib/node/node.ts';
import { loadSettings } from '../../lib/node/settings.ts';
import type { PeerRole } from '../../lib/store/peers.ts';
import { createTestDatabase, type TestDatabase } from './postgresql.ts';

export const LAUNCHER = fileURLToPath(new URL('../../bin/conclave.js', import.meta.url));

/** A test database's socket as a URL, as settings take it. */
export function databaseUrl({ address }: TestDatabase): string {
  const { host, port, user, database } = address;
  return `postgres:///${database}?${new URLSearchParams({ host, port: String(port), user })}`;
}

export interface NodeFolder extends MadeNode {
  readonly healthPort: number;
  readonly certificate: string;
  readonly privateKey: string;
}

export interface Answer {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: string;
}

export class NodeFolders {
  readonly #databases: TestDatabase[] = [];
  readonly #nodes: RunningNode[] = [];
  readonly #children: ChildProcess[] = [];
  #folder = '';

  /** `settings`: further ones, as in the file. */
  async make(name: string, settings: Record<string, unknown> = {}): Promise<NodeFolder> {
    if (this.#folder === '') this.#folder = await mkdtemp(join(tmpdir(), 'conclave-nodes-'));
    const database = await createTestDatabase();
    this.#databases.push(database);
    const [port, healthPort] = [await freePort(), await freePort()];
    const made = await makeNode({
      folder: join(this.#folder, name),
      name,
      url: `https://127.0.0.1:${port}/api/queues`,
      host: '127.0.0.1',
      healthPort,
      settings: { database: { url: databaseUrl(database) }, ...settings },
    });
    const { tls } = await loadSettings(made.settings, {});
    const [certificate, privateKey] = [
      await readFile(tls.certificate, 'utf8'),
      await readFile(tls.key, 'utf8'),
    ];
    return { ...made, healthPort, certificate, privateKey };
  }

  /** In this process. Its log goes to `lines`, when given. */
  async start(folder: NodeFolder, options: StartOptions = {}, lines: string[] = []): Promise<RunningNode> {
    const log = createLog({ stream: { write: (line: string) => void lines.push(line) } });
    const node = await startNode(await loadSettings(folder.settings, {}), { log, ...options });
    this.#nodes.push(node);
    return node;
  }

  /** As a process of its own: `script` gets the settings' path; resolves when the node is ready. */
  async spawn(folder: NodeFolder, script: readonly string[]): Promise<ChildProcess> {
    const child = spawn(process.execPath, [...script, folder.settings], {
      stdio: ['pipe', 'ignore', 'pipe'],
    });
    this.#children.push(child);
    let said = '';
    child.stderr!.setEncoding('utf8').on('data', (piece: string) => {
      said += piece;
    });
    const deadline = Date.now() + 20_000;
    while (!(await isReady(folder))) {
      if (child.exitCode !== null || Date.now() > deadline)
        throw new Error(`the node did not start: ${said}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    return child;
  }

  async write(name: string, text: string): Promise<string> {
    const path = join(this.#folder, name);
    await writeFile(path, text);
    return path;
  }

  async close(): Promise<void> {
    for (const child of this.#children) {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGKILL');
        await once(child, 'exit');
      }
    }
    await Promise.all(this.#nodes.map((node) => node.stop(0)));
    for (const database of this.#databases) await database.drop();
    if (this.#folder !== '') await rm(this.#folder, { recursive: true, force: true });
  }
}

async function isReady({ healthPort }: NodeFolder): Promise<boolean> {
  return await fetch(`http://127.0.0.1:${healthPort}/readyz`).then(
    (answer) => answer.status === 200,
    () => false,
  );
}

/** Trusts a folder's certificate under its name, or another certificate. */
export async function trust(
  node: RunningNode,
  peer: { name: string; url?: string | null; certificate: string },
  roles: PeerRole[] = ['authority'],
): Promise<string> {
  const { name, url = null, certificate } = peer;
  return (await node.peers.add({ name, url, certificates: [certificate], roles })).id;
}

export function newCaller(name: string): Promise<NodeCertificate> {
  return createNodeCertificate({ name, hosts: ['127.0.0.1'] });
}

/** One request to a node, with or without a client certificate. */
export async function call(
  node: { url: string },
  caller: { certificate: string; privateKey: string } | null,
  method: string,
  path: string,
  body?: string,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const { hostname, port } = new URL(node.url);
  const identity = caller === null ? {} : { cert: caller.certificate, key: caller.privateKey };
  return await new Promise((resolve, reject) => {
    const request = httpsRequest(
      { hostname, port, method, path, headers, agent: false, rejectUnauthorized: false, ...identity },
      async (response) => {
        const pieces: Buffer[] = [];
        for await (const piece of response) pieces.push(piece as Buffer);
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(pieces).toString(),
        });
      },
    );
    request.once('error', reject);
    request.end(body);
  });
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
