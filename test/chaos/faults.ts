/*
 * Does what the plan says, and undoes it. What overlaps is counted: a link that two faults hold is open when both are
 * over, and a process that is to be down stays down until the last of them lets it start.
 */
import { open, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { ChaosAuthority, NodeProcess } from './authority.ts';
import { signalProcess } from './database-server.ts';
import type { Link, LinkMode } from './link.ts';
import type { Fault } from './plan.ts';

/** How long a commit is waited for. */
const COMMIT_MILLISECONDS = 400;
/** How long it is waited for that a process holds a task which it works on for seconds. */
const WORK_MILLISECONDS = 2000;
/** The file that fills a disk. */
export const FILLER = 'filler';
const PIECE = Buffer.alloc(64 * 1024, 1);
const STRONGEST: readonly LinkMode[] = ['refused', 'silent', 'mute'];

export interface FaultTargets {
  readonly authorities: readonly ChaosAuthority[];
  /** From the first index to the second. */
  readonly link: (from: number, to: number) => Link;
  readonly note: (text: string) => void;
}

export class Faults {
  readonly #targets: FaultTargets;
  readonly #down = new Map<NodeProcess, number>();
  readonly #frozen = new Map<NodeProcess, number>();
  readonly #links = new Map<Link, LinkMode[]>();
  readonly #disks = new Map<number, number>();
  /** Of disks: from when to when, in milliseconds since 1970. */
  readonly diskFull: { node: string; from: number; to: number }[] = [];

  constructor(targets: FaultTargets) {
    this.#targets = targets;
  }

  /** Resolves when it is undone. */
  async inflict(fault: Fault): Promise<void> {
    const undo = await this.#begin(fault);
    await pause(fault.lasts * 1000);
    await undo();
  }

  async #begin(fault: Fault): Promise<() => unknown> {
    const { node, other, detail, kind } = fault;
    const authority = this.#targets.authorities[node]!;
    const victim = authority.processes[Math.floor(detail * authority.processes.length)]!;
    const peers = this.#targets.authorities.map((_, index) => index).filter((index) => index !== node);
    const both = (to: number): Link[] => [this.#targets.link(node, to), this.#targets.link(to, node)];
    switch (kind) {
      case 'kill':
        return this.#kill(fault, victim);
      case 'freeze':
        return this.#freeze(fault, authority, victim);
      case 'kill database':
        return this.#signalServer(fault, authority, 'SIGKILL');
      case 'restart database':
        return this.#restart(fault, authority);
      case 'crash backend':
        return this.#crash(fault, authority);
      case 'freeze database':
        return this.#freezeDatabase(fault, authority);
      case 'kill node and database': {
        const undo = authority.processes.map((each) => this.#kill(fault, each));
        await this.#signalServer(fault, authority, 'SIGKILL');
        return () => undo.map((each) => each());
      }
      case 'partition':
        return this.#hold(fault, both(other), detail < 0.5 ? 'silent' : 'refused', `${this.#name(other)}`);
      case 'isolate':
        return this.#hold(fault, peers.flatMap(both), detail < 0.5 ? 'silent' : 'refused', 'everybody');
      case 'one way':
        return this.#hold(fault, [both(other)[0]!], detail < 0.5 ? 'silent' : 'refused', this.#name(other));
      case 'mute':
        return this.#hold(fault, [both(other)[0]!], 'mute', this.#name(other));
      case 'slow':
        return this.#slow(fault, both(other));
      case 'cut':
        return this.#cut(fault, both(other));
      case 'full disk':
        return this.#fillDisk(fault, authority);
    }
  }

  #kill(fault: Fault, victim: NodeProcess): () => void {
    this.#tell(fault, victim.name);
    count(this.#down, victim, 1);
    victim.kill();
    return () => {
      if (count(this.#down, victim, -1) > 0) return;
      victim.start();
    };
  }

  async #freeze(fault: Fault, { database }: ChaosAuthority, victim: NodeProcess): Promise<() => void> {
    await database.working(victim.pid, WORK_MILLISECONDS);
    this.#tell(fault, victim.name);
    count(this.#frozen, victim, 1);
    victim.stop();
    return () => {
      if (count(this.#frozen, victim, -1) === 0) victim.go();
    };
  }

  async #signalServer(fault: Fault, { name, database }: ChaosAuthority, signal: NodeJS.Signals) {
    const server = await database.postmaster();
    this.#tell(fault, `${name} (${server === null ? 'it is down already' : signal})`);
    if (server !== null) signalProcess(server, signal);
    return () => {};
  }

  async #restart(fault: Fault, authority: ChaosAuthority) {
    await authority.database.committing(COMMIT_MILLISECONDS);
    // Fast: transactions are rolled back. Immediate: as a crash.
    const signal = fault.detail < 0.6 ? 'SIGINT' : 'SIGQUIT';
    return this.#signalServer(fault, authority, signal);
  }

  async #crash(fault: Fault, { name, database }: ChaosAuthority) {
    const backend = await database.committing(COMMIT_MILLISECONDS);
    this.#tell(fault, `${name} (${backend === null ? 'it has none' : `backend ${backend}`})`);
    if (backend !== null) signalProcess(backend, 'SIGKILL');
    return () => {};
  }

  async #freezeDatabase(fault: Fault, { name, database }: ChaosAuthority) {
    const server = await database.postmaster();
    const all = [...(server === null ? [] : [server]), ...(await database.backends()).map(({ pid }) => pid)];
    this.#tell(fault, `${name} (${all.length} processes)`);
    for (const pid of all) signalProcess(pid, 'SIGSTOP');
    return () => {
      for (const pid of all) signalProcess(pid, 'SIGCONT');
    };
  }

  #hold(fault: Fault, links: readonly Link[], mode: LinkMode, whom: string): () => void {
    this.#tell(fault, `${this.#name(fault.node)} and ${whom}${mode === 'mute' ? '' : ` (${mode})`}`);
    for (const link of links) this.#setLink(link, (modes) => [...modes, mode]);
    return () => {
      for (const link of links) this.#setLink(link, (modes) => modes.toSpliced(modes.indexOf(mode), 1));
    };
  }

  #setLink(link: Link, change: (modes: LinkMode[]) => LinkMode[]): void {
    const modes = change(this.#links.get(link) ?? []);
    this.#links.set(link, modes);
    link.set(STRONGEST.find((mode) => modes.includes(mode)) ?? 'open');
  }

  #slow(fault: Fault, links: readonly Link[]): () => void {
    const milliseconds = Math.round(30 + 400 * fault.detail);
    this.#tell(fault, `${this.#name(fault.node)} and ${this.#name(fault.other)} (${milliseconds} ms)`);
    for (const link of links) link.slow(milliseconds);
    return () => {
      for (const link of links) link.slow(0);
    };
  }

  #cut(fault: Fault, links: readonly Link[]): () => void {
    const bytes = Math.round(20_000 * fault.detail ** 3);
    this.#tell(fault, `${this.#name(fault.node)} and ${this.#name(fault.other)} (after ${bytes} bytes)`);
    for (const link of links) link.cut(bytes);
    return () => {};
  }

  async #fillDisk(fault: Fault, { name, privateFolder }: ChaosAuthority): Promise<() => Promise<void>> {
    this.#tell(fault, name);
    const filler = join(privateFolder, FILLER);
    const full = { node: name, from: Date.now(), to: Number.POSITIVE_INFINITY };
    this.diskFull.push(full);
    count(this.#disks, fault.node, 1);
    await fill(filler);
    return async () => {
      if (count(this.#disks, fault.node, -1) === 0) await rm(filler, { force: true });
      full.to = Date.now();
    };
  }

  #tell({ kind, lasts }: Fault, whom: string): void {
    this.#targets.note(`${kind}: ${whom}${lasts === 0 ? '' : `, ${lasts.toFixed(1)} s`}`);
  }

  #name(index: number): string {
    return this.#targets.authorities[index]!.name;
  }
}

/** Writes until nothing more can be written, to the last byte. */
async function fill(path: string): Promise<void> {
  const file = await open(path, 'a');
  try {
    for (let size = PIECE.length; size >= 1; ) {
      const { bytesWritten } = await file.write(PIECE, 0, size).catch(() => ({ bytesWritten: 0 }));
      if (bytesWritten < size) size = Math.floor(size / 2);
    }
  } finally {
    await file.close();
  }
}

function count<Key>(counts: Map<Key, number>, key: Key, change: number): number {
  const now = (counts.get(key) ?? 0) + change;
  counts.set(key, now);
  return now;
}
