/*
 * What will go wrong, and when: decided by the seed before anything starts. When exactly it hits, in which statement of
 * which transaction, no seed decides: the machine is a real one.
 */
import { Random } from '../simulation/random.ts';

/** What is done to a process, a database, a disk or the network between two nodes; most of it is undone after a while. */
export const FAULTS = {
  kill: 'a process is killed (kill -9) and started again',
  freeze: 'a process stands still (SIGSTOP), with tasks in hand if it has any',
  'kill database': 'the database server is killed (kill -9)',
  'restart database': 'the database server is restarted while a transaction commits',
  'crash backend': 'a backend of the database is killed while it commits: all connections are lost',
  'freeze database': 'the whole database stands still (SIGSTOP)',
  'kill node and database': 'the process and its database are killed in the same moment',
  partition: 'two nodes cannot reach each other',
  isolate: 'a node can reach nobody, and nobody can reach it',
  'one way': 'one node cannot reach another, which reaches it',
  mute: 'what one node asks of another arrives, the answers are lost',
  slow: 'what two nodes send each other arrives late',
  cut: 'connections between two nodes are cut in the middle of a message',
  'full disk': "the disk of a node's private folder is full",
} as const;

export type FaultKind = keyof typeof FAULTS;

export interface Fault {
  readonly kind: FaultKind;
  /** Seconds from the beginning. */
  readonly at: number;
  /** Seconds until it is undone; 0: nothing is to be undone. */
  readonly lasts: number;
  /** Which node, and which other one: indexes. */
  readonly node: number;
  readonly other: number;
  /** In [0, 1): decides what is left to decide. */
  readonly detail: number;
}

/** Seconds that a fault lasts: at least, at most. */
const LASTS: Readonly<Record<FaultKind, readonly [number, number]>> = {
  kill: [0.1, 4],
  // Leases last 5 seconds.
  freeze: [1, 12],
  'kill database': [0, 0],
  'restart database': [0, 0],
  'crash backend': [0, 0],
  'freeze database': [0.5, 7],
  'kill node and database': [0.1, 3],
  partition: [1, 12],
  isolate: [1, 10],
  'one way': [1, 12],
  mute: [1, 8],
  slow: [3, 12],
  cut: [0, 0],
  'full disk': [1, 6],
};

/** A freeze in which a lease lapses, and others have claimed what was held before it ends. */
const OUTLASTING = [7, 12] as const;
/** Seconds from one of these to the next: it begins when there is work in hand. */
const PAUSE_BETWEEN_FREEZES = 3;

/** Every kind once, in an order by seed, then any; all are over at the end. */
export function planFaults(
  seed: number,
  seconds: number,
  nodes: number,
  possible: readonly FaultKind[],
): Fault[] {
  const random = new Random(seed, 'faults');
  const faults: Fault[] = [];
  const order = shuffled(random, possible);
  // Faults overlap: two or three at a time. A short run has them closer together, and shorter ones.
  const pause = Math.min(2.2, (seconds / possible.length) * 0.9);
  let bothRun = 0;
  for (let at = 0.2; at < seconds - 0.5; at += pause * (0.3 + 1.4 * random.real())) {
    // More freezes than others: only those matter that outlast a lease, and find the right work in hand.
    const kind = order[faults.length] ?? (random.chance(0.25) ? 'freeze' : random.pick(possible));
    // The first node has two processes: one takes over from the other that stands still, if it goes on itself.
    const takenOver = kind === 'freeze' && at >= bothRun;
    const node = takenOver ? 0 : kind === 'freeze' ? 1 + random.below(nodes - 1) : random.below(nodes);
    const [least, most] = takenOver ? OUTLASTING : LASTS[kind];
    const wanted = least + (most - least) * random.real() ** (kind === 'freeze' ? 1 : 1.5);
    if (takenOver) bothRun = at + wanted + PAUSE_BETWEEN_FREEZES;
    faults.push({
      kind,
      at,
      lasts: Math.min(wanted, seconds - at),
      node,
      other: (node + 1 + random.below(nodes - 1)) % nodes,
      detail: random.real(),
    });
  }
  return faults;
}

function shuffled<T>(random: Random, items: readonly T[]): T[] {
  const left = [...items];
  return items.map(() => left.splice(random.below(left.length), 1)[0]!);
}
