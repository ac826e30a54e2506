/*
 * One authority of the chaos test: its folder, its database, and its processes, which are killed, stopped and started
 * again as a supervisor would do. A process that ends by itself is a finding.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { loadIdentity } from '../../lib/node/identity.ts';
import { type MadeNode, makeNode } from '../../lib/node/new-node.ts';
import { loadSettings } from '../../lib/node/settings.ts';
import { writePeerFile } from '../../lib/protocol/peer-file.ts';
import { DatabaseServer } from './database-server.ts';
import type { Said, Wanted } from './node-process.ts';
import type { Shape } from './workflow.ts';

const NODE_PROCESS = fileURLToPath(new URL('./node-process.ts', import.meta.url));
const READY_MILLISECONDS = 90_000;
const ANSWER_MILLISECONDS = 30_000;
/** A supervisor waits a moment before it starts again what would not start. */
const AGAIN_MILLISECONDS = 500;
const MOST_FAILED_STARTS = 20;

export interface AuthorityPlan {
  readonly name: string;
  readonly folder: string;
  readonly port: number;
  readonly healthPort: number;
  readonly note: (text: string) => void;
  /** Something that must never happen. */
  readonly found: (what: string) => void;
}

export class ChaosAuthority {
  readonly made: MadeNode;
  readonly certificate: string;
  readonly peerFile: string;
  readonly database: DatabaseServer;
  readonly processes: NodeProcess[] = [];
  readonly #plan: AuthorityPlan;

  private constructor(plan: AuthorityPlan, made: MadeNode, certificate: string, peerFile: string) {
    this.#plan = plan;
    this.made = made;
    this.certificate = certificate;
    this.peerFile = peerFile;
    this.database = new DatabaseServer(join(made.folder, 'database'));
  }

  static async make(plan: AuthorityPlan): Promise<ChaosAuthority> {
    const made = await makeNode({
      folder: plan.folder,
      name: plan.name,
      url: `https://127.0.0.1:${plan.port}/api/queues`,
      keyType: 'ecdsa-p256',
      host: '127.0.0.1',
      healthPort: plan.healthPort,
      settings: { auto_accept_requests: true, log: { file: './node.log' } },
    });
    const { certificate, privateKey } = await loadIdentity(await loadSettings(made.settings, {}));
    const peerFile = writePeerFile({ ...made, roles: ['authority'], certificate }, privateKey);
    return new ChaosAuthority(plan, made, certificate, peerFile);
  }

  get name(): string {
    return this.made.name;
  }

  get url(): string {
    return this.made.url;
  }

  get log(): string {
    return join(this.made.folder, 'node.log');
  }

  get privateFolder(): string {
    return join(this.made.folder, 'private');
  }

  /** Ports of other nodes, and by which port they are reached from here. */
  async addProcess(routes: Readonly<Record<string, number>>): Promise<NodeProcess> {
    const number = this.processes.length + 1;
    const settings = number === 1 ? this.made.settings : await this.#settingsOfWorker(number);
    const name = number === 1 ? this.name : `${this.name}/${number}`;
    const added = new NodeProcess({ ...this.#plan, name }, [settings, JSON.stringify(routes)]);
    this.processes.push(added);
    return added;
  }

  /** A further process on the same database: it listens where nobody asks. */
  async #settingsOfWorker(number: number): Promise<string> {
    const settings = JSON.parse(await readFile(this.made.settings, 'utf8'));
    settings.listen = { federation: { host: '127.0.0.1', port: 0 }, health: { port: 0 } };
    const path = join(dirname(this.made.settings), `conclave-${number}.json`);
    await writeFile(path, JSON.stringify(settings));
    return path;
  }
}

/** One process under supervision. */
export class NodeProcess {
  readonly name: string;
  readonly #plan: Pick<AuthorityPlan, 'note' | 'found'>;
  readonly #args: readonly string[];
  readonly #answers = new Map<string, (said: Said | null) => void>();
  #child: ChildProcess | null = null;
  #ready = false;
  /** Whether it is to run. */
  #wanted = false;
  #stopped = false;
  /** What was killed; it may be wanted again before its end is known. */
  #killed: ChildProcess | null = null;
  /** For good. */
  #over = false;
  #failedStarts = 0;

  constructor(plan: Pick<AuthorityPlan, 'name' | 'note' | 'found'>, args: readonly string[]) {
    this.name = plan.name;
    this.#plan = plan;
    this.#args = args;
  }

  get running(): boolean {
    return this.#child !== null;
  }

  get pid(): number | null {
    return this.#child?.pid ?? null;
  }

  get ready(): boolean {
    return this.#ready && !this.#stopped;
  }

  start(): void {
    if (this.#over) return;
    this.#wanted = true;
    if (this.#child !== null) return;
    const child = spawn(process.execPath, [NODE_PROCESS, ...this.#args], {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      env: withoutSettings(process.env),
    });
    this.#child = child;
    let said = '';
    child.stderr!.setEncoding('utf8').on('data', (piece: string) => {
      said = (said + piece).slice(-4000);
    });
    child.on('message', (message: Said) => this.#heard(message));
    child.on('error', () => {});
    child.once('exit', (code, signal) => this.#exited(child, signal ?? `exit code ${code}`, said));
  }

  async becomesReady(): Promise<void> {
    const deadline = performance.now() + READY_MILLISECONDS;
    while (!this.#ready) {
      if (performance.now() > deadline) throw new Error(`${this.name} did not become ready`);
      await pause(20);
    }
  }

  /** Kills it at once; it is not started again until `start`. */
  kill(): void {
    this.#wanted = false;
    this.#killed = this.#child;
    this.#child?.kill('SIGKILL');
  }

  /** Every thread of it stands still; others hold its connections open. */
  stop(): void {
    this.#stopped = this.#child?.kill('SIGSTOP') === true;
  }

  go(): void {
    this.#stopped = false;
    this.#child?.kill('SIGCONT');
  }

  /** Ends it in order; it is not started again. */
  async end(): Promise<void> {
    const child = this.#child;
    this.#over = true;
    this.#wanted = false;
    if (child === null) return;
    const ended = once(child, 'exit');
    this.go();
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), 15_000);
    await ended;
    clearTimeout(timer);
  }

  /** Has it create a tree; null when nobody knows whether it did. */
  async create(label: string, shape: Shape): Promise<string | null> {
    const child = this.#child;
    if (child === null || !this.#ready) return null;
    const { promise, resolve } = Promise.withResolvers<Said | null>();
    this.#answers.set(label, resolve);
    const timer = setTimeout(() => resolve(null), ANSWER_MILLISECONDS);
    child.send({ label, shape } satisfies Wanted, (failed) => failed !== null && resolve(null));
    const said = await promise;
    clearTimeout(timer);
    this.#answers.delete(label);
    return said !== null && 'created' in said ? said.id : null;
  }

  #heard(said: Said): void {
    if ('ready' in said) {
      this.#ready = true;
      this.#failedStarts = 0;
      return;
    }
    this.#answers.get('created' in said ? said.created : said.failed)?.(said);
  }

  #exited(child: ChildProcess, how: string, said: string): void {
    if (this.#child !== child) return;
    const wasReady = this.#ready;
    this.#child = null;
    this.#ready = false;
    this.#stopped = false;
    for (const answer of this.#answers.values()) answer(null);
    if (!this.#wanted) return;
    const last = said.trim().split('\n').slice(-12).join('\n');
    if (this.#killed === child) this.#killed = null;
    else if (wasReady) this.#plan.found(`the process ${this.name} ended by itself (${how}): ${last}`);
    else this.#startAgain(how, last);
    setTimeout(() => this.#wanted && this.start(), AGAIN_MILLISECONDS);
  }

  /** What cannot start says so and ends: its database may not be there yet. */
  #startAgain(how: string, said: string): void {
    this.#failedStarts += 1;
    this.#plan.note(`${this.name} could not start (${how}): ${reasonIn(said)}`);
    if (this.#failedStarts === MOST_FAILED_STARTS)
      this.#plan.found(`the process ${this.name} does not start: ${said}`);
  }
}

/** What a process that ended has said of its error, in a line. */
function reasonIn(said: string): string {
  const lines = said.split('\n').map((line) => line.trim());
  return (lines.find((line) => /^[\w[\] ]*(Error|error)\b.*:/.test(line)) ?? said).slice(-300);
}

/** Settings of the shell are not those of the nodes. */
export function withoutSettings(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(
    Object.entries(environment).filter(
      ([name]) => !name.startsWith('CONCLAVE_') && name !== 'FRESTQ_SETTINGS',
    ),
  );
}
