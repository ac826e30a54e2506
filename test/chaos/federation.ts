/*
 * Three authorities who know each other, a proxy from each to each, an election manager, and, where this machine allows
 * it, a small disk of its own for each private folder, so that it can be full.
 */
import { execFile } from 'node:child_process';
import { chmod, cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { DemoManager } from '../../lib/cli/demo/manager.ts';
import { freePorts } from '../../lib/cli/demo/ports.ts';
import { withPeers } from '../../lib/cli/node-access.ts';
import type { Terminal } from '../../lib/cli/terminal.ts';
import { readPeerFile } from '../../lib/protocol/peer-file.ts';
import { eraseEmbedded } from '../../lib/store/embedded.ts';
import { ChaosAuthority } from './authority.ts';
import { FILLER } from './faults.ts';
import { Link } from './link.ts';
import { EFFECTS_TABLE } from './workflow.ts';

const run = promisify(execFile);
const AUTHORITIES = 3;
const DISK_MEBIBYTES = 24;

export interface FederationOptions {
  readonly note: (text: string) => void;
  readonly found: (what: string) => void;
}

export class ChaosFederation {
  readonly authorities: ChaosAuthority[] = [];
  folder = '';
  /** Why disks cannot be full here; null: they can. */
  diskProblem: string | null = null;
  readonly #links = new Map<string, Link>();
  readonly #mounted: string[] = [];
  #manager: DemoManager | null = null;

  get manager(): DemoManager {
    return this.#manager!;
  }

  link(from: number, to: number): Link {
    return this.#links.get(`${from}>${to}`)!;
  }

  /** Everybody runs, and knows everybody. */
  async start(options: FederationOptions): Promise<void> {
    this.folder = await mkdtemp(join(tmpdir(), 'conclave-chaos-'));
    // Where root runs this, the databases' account must reach them.
    await chmod(this.folder, 0o711);
    this.#manager = await DemoManager.start();
    const ports = await freePorts(2 * AUTHORITIES);
    for (let index = 0; index < AUTHORITIES; index += 1) {
      const name = `Auth${index + 1}`;
      const [port, healthPort] = [ports[2 * index]!, ports[2 * index + 1]!];
      const folder = join(this.folder, name.toLowerCase());
      const authority = await ChaosAuthority.make({ name, folder, port, healthPort, ...options });
      this.authorities.push(authority);
      this.#manager.know(authority.certificate);
      await this.#mount(authority);
    }
    await this.#startProcesses(ports);
    await this.#introduce();
  }

  async #startProcesses(ports: readonly number[]): Promise<void> {
    for (const [from, authority] of this.authorities.entries()) {
      const routes: Record<string, number> = {};
      for (let to = 0; to < AUTHORITIES; to += 1) {
        if (to === from) continue;
        const link = await Link.start(ports[2 * to]!);
        this.#links.set(`${from}>${to}`, link);
        routes[ports[2 * to]!] = link.port;
      }
      await authority.addProcess(routes);
      // The first authority has two processes on one database: when one stands still, the other takes over.
      if (from === 0) await authority.addProcess(routes);
    }
    await this.#each(async ({ processes, database }) => {
      for (const each of processes) {
        each.start();
        await each.becomesReady();
      }
      await database.rows(EFFECTS_TABLE);
    });
  }

  /** As operators do it with `peers export` and `peers add`. */
  async #introduce(): Promise<void> {
    const files = [...this.authorities.map(({ peerFile }) => peerFile), this.manager.peerFile];
    const terminal: Terminal = {
      out: () => {},
      note: () => {},
      paint: (_style, text) => text,
      interactive: false,
      environment: {},
    };
    await this.#each(async ({ made, certificate: own }) => {
      await withPeers({ settings: made.settings }, terminal, async (peers) => {
        for (const file of files) {
          const { certificate, ...peer } = readPeerFile(Buffer.from(file));
          if (certificate === own) continue;
          await peers.add({ ...peer, certificates: [certificate], dialect: 'unknown' });
        }
      });
    });
  }

  async #stopNodes(): Promise<void> {
    await this.#each(async ({ processes }) => {
      for (const each of processes) await each.end();
    });
  }

  /** `keep`: what lies on the disks of their own is copied to the folder, beside where they are mounted. */
  async close(keep: boolean): Promise<void> {
    await this.#stopNodes();
    await this.#each(({ database }) => database.end());
    for (const link of this.#links.values()) await link.close();
    await this.#manager?.close();
    for (const folder of this.#mounted) {
      if (keep)
        await cp(folder, `${folder}-kept`, { recursive: true, filter: (path) => !path.endsWith(FILLER) });
      await run('umount', ['-l', folder]).catch(() => {});
    }
  }

  /** Removes everything that it has made. Close it first. */
  async erase(): Promise<void> {
    await this.#each(({ made }) => eraseEmbedded({ folder: join(made.folder, 'database') }));
    await rm(this.folder, { recursive: true, force: true });
  }

  /** A disk in memory: only whoever may mount has one, and it is gone with the mount. */
  async #mount({ privateFolder }: ChaosAuthority): Promise<void> {
    if (this.diskProblem !== null) return;
    const options = `size=${DISK_MEBIBYTES}m,mode=0700`;
    try {
      await run('mount', ['-t', 'tmpfs', '-o', options, 'conclave-chaos', privateFolder]);
      this.#mounted.push(privateFolder);
    } catch {
      this.diskProblem = 'this account may not mount a disk of its own';
    }
  }

  async #each(work: (authority: ChaosAuthority) => Promise<unknown>): Promise<void> {
    await Promise.all(this.authorities.map(work));
  }
}
