/**
 * One authority of the demonstration: its folder, and its node as a process of its own, started as an operator would.
 * The process ends with ours, however that ends: it watches the pipe on its standard input.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type MadeNode, makeNode } from '../../node/new-node.ts';
import { CommandFailed } from '../outcome.ts';

export const LAUNCHER = fileURLToPath(new URL('../../../bin/conclave.js', import.meta.url));
const READY_MILLISECONDS = 90_000;
const STOP_MILLISECONDS = 15_000;
const BY_HAND_MILLISECONDS = 2000;
/** A node that dies more often than this has another problem than being killed. */
const MOST_REVIVALS = 5;

export interface AuthorityPlan {
  readonly name: string;
  readonly folder: string;
  readonly port: number;
  readonly healthPort: number;
  /** False: requests wait for a person. */
  readonly autoAccept: boolean;
}

export class DemoAuthority {
  readonly made: MadeNode;
  readonly log: string;
  readonly #healthPort: number;
  #process: ChildProcess | null = null;
  #revivals = 0;

  private constructor(made: MadeNode, healthPort: number) {
    this.made = made;
    this.#healthPort = healthPort;
    this.log = join(made.folder, 'node.log');
  }

  static async make({ name, folder, port, healthPort, autoAccept }: AuthorityPlan): Promise<DemoAuthority> {
    const made = await makeNode({
      folder,
      name,
      url: `https://127.0.0.1:${port}/api/queues`,
      keyType: 'ecdsa-p256',
      host: '127.0.0.1',
      healthPort,
      settings: { auto_accept_requests: autoAccept, log: { file: './node.log' } },
    });
    return new DemoAuthority(made, healthPort);
  }

  get name(): string {
    return this.made.name;
  }

  /** Resolves when the node says that it is ready. */
  async start(signal: AbortSignal): Promise<void> {
    const child = spawn(
      process.execPath,
      [LAUNCHER, 'start', '--with-parent', '--settings', this.made.settings],
      {
        stdio: ['pipe', 'ignore', 'pipe'],
        env: withoutSettings(process.env),
        // Ctrl-C is for us; we stop the nodes in order.
        detached: true,
      },
    );
    this.#process = child;
    let said = '';
    child.stderr!.setEncoding('utf8').on('data', (piece: string) => {
      said = (said + piece).slice(-4000);
    });
    child.stdin!.on('error', () => {});
    const deadline = performance.now() + READY_MILLISECONDS;
    while (!(await this.#isReady())) {
      signal.throwIfAborted();
      if (child.exitCode !== null || child.signalCode !== null) {
        throw new CommandFailed(
          `the node ${this.name} did not start: ${said.trim() || (await this.#lastLine())}`,
        );
      }
      if (performance.now() > deadline) {
        throw new CommandFailed(`the node ${this.name} did not become ready`, `Its log is ${this.log}`);
      }
      await pause(50);
    }
  }

  /**
   * When the node was killed: gives a person some seconds to start it by hand, else starts it again. It goes on where it
   * was. Answers how it came back; null when it runs as it should.
   * @throws CommandFailed when the node cannot stay up
   */
  async revive(signal: AbortSignal): Promise<'by itself' | 'by hand' | null> {
    const why = this.ended;
    if (why === null) return null;
    this.#revivals += 1;
    if (this.#revivals > MOST_REVIVALS) throw new CommandFailed(why);
    this.#process = null;
    const deadline = performance.now() + BY_HAND_MILLISECONDS;
    while (performance.now() < deadline) {
      if (await this.#isReady()) return 'by hand';
      await pause(100, undefined, { signal });
    }
    await this.start(signal);
    return 'by itself';
  }

  /** Why the node is not running any more; null while it is. */
  get ended(): string | null {
    const child = this.#process;
    if (child === null || (child.exitCode === null && child.signalCode === null)) return null;
    return `the node ${this.name} has ended (${child.signalCode ?? `exit code ${child.exitCode}`}); its log is ${this.log}`;
  }

  async stop(): Promise<void> {
    const child = this.#process;
    if (child === null || this.ended !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    const patience = AbortSignal.timeout(STOP_MILLISECONDS);
    await Promise.race([ended, once(patience, 'abort')]);
    if (this.ended === null) child.kill('SIGKILL');
  }

  async #isReady(): Promise<boolean> {
    try {
      const answer = await fetch(`http://127.0.0.1:${this.#healthPort}/readyz`, {
        signal: AbortSignal.timeout(2000),
      });
      const { status } = (await answer.json()) as { status?: unknown };
      return status === 'ready';
    } catch {
      return false;
    }
  }

  async #lastLine(): Promise<string> {
    const text = await readFile(this.log, 'utf8').catch(() => '');
    return text.trim().split('\n').at(-1) ?? '';
  }
}

/** Settings of the shell that started the demonstration are not those of its nodes. */
export function withoutSettings(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const own = Object.entries(environment).filter(
    ([name]) => !name.startsWith('CONCLAVE_') && name !== 'FRESTQ_SETTINGS',
  );
  return Object.fromEntries(own);
}
