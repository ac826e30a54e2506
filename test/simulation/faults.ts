/**
 * What goes wrong in a schedule: a list that is drawn from the seed before anything happens. Each fault names its own
 * occasion (a time, or the n-th commit, statement, request, call), so that any of them can be left out and the others
 * stay what they were: that is how a failing schedule is shortened.
 */
import type { Random } from './random.ts';

export type DatabaseFault =
  /** The process dies before, or after, the statement has had its effect. */
  | 'dies before'
  | 'dies after'
  /** The connection breaks before, or after (the commit whose answer never arrives). */
  | 'breaks before'
  | 'breaks after'
  /** The database asks for another attempt (serialization failure). */
  | 'asks again'
  /** The process does not run for a while, before or after. */
  | 'stalls before'
  | 'stalls after';

export type RequestFault = 'lost' | 'answer lost' | 'twice' | 'late';

export type Fault =
  | {
      kind: 'database';
      node: string;
      on: 'commit' | 'statement';
      number: number;
      what: DatabaseFault;
      milliseconds: number;
    }
  | { kind: 'request'; from: string; to: string; number: number; what: RequestFault; milliseconds: number }
  /** Nothing travels that way. */
  | { kind: 'partition'; from: string; to: string; at: number; milliseconds: number }
  | { kind: 'outage'; node: string; at: number; milliseconds: number }
  | { kind: 'crash'; node: string; process: number | 'all'; at: number }
  | { kind: 'restart'; node: string; process: number; at: number; graceSeconds: number }
  | { kind: 'stall'; node: string; process: number; at: number; milliseconds: number }
  /** `process` -1: the database's clock. */
  | { kind: 'clock'; node: string; process: number; at: number; milliseconds: number }
  /** The n-th call of a handler on the node takes longer. */
  | { kind: 'slow'; node: string; number: number; milliseconds: number }
  /** Somebody with a peer's certificate sends what it must not. */
  | { kind: 'forgery'; node: string; at: number };

export type FaultKind = Fault['kind'];

export interface FaultSetting {
  nodes: readonly { name: string; processes: number; original: boolean }[];
  /** Until when faults happen, in milliseconds. */
  horizon: number;
  kinds: readonly FaultKind[];
  most: number;
}

/** Half of all schedules have few faults, one in ten none. */
export function drawFaults(random: Random, setting: FaultSetting): Fault[] {
  const count = random.chance(0.1) ? 0 : random.between(1, random.chance(0.5) ? 3 : setting.most);
  return Array.from({ length: count }, () => drawFault(random, setting)).filter((fault) => fault !== null);
}

const DATABASE_FAULTS: readonly DatabaseFault[] = [
  'dies before',
  'dies after',
  'dies after',
  'breaks before',
  'breaks after',
  'breaks after',
  'asks again',
  'stalls before',
  'stalls after',
];
const REQUEST_FAULTS: readonly RequestFault[] = ['lost', 'answer lost', 'twice', 'twice', 'late'];

function drawFault(random: Random, { nodes, horizon, kinds }: FaultSetting): Fault | null {
  const own = nodes.filter(({ original }) => !original);
  const { name: node, processes } = random.pick(own);
  const process = random.below(processes);
  const at = random.below(horizon);
  const kind = random.pick(kinds);
  const milliseconds = Math.round(10 ** (1 + 2.9 * random.real()));
  const other = random.pick(nodes).name;
  const both = random.chance(0.5) ? { from: node, to: other } : { from: other, to: node };
  switch (kind) {
    case 'database': {
      const on = random.chance(0.7) ? 'commit' : 'statement';
      const number = drawNumber(random, on === 'commit' ? 24 : 120);
      const what = random.pick(DATABASE_FAULTS);
      return { kind, node, on, number, what, milliseconds };
    }
    case 'request':
      if (other === node) return null;
      return { kind, ...both, number: random.below(12), what: random.pick(REQUEST_FAULTS), milliseconds };
    case 'partition':
      return other === node ? null : { kind, ...both, at, milliseconds };
    case 'outage':
      return { kind, node, at, milliseconds };
    case 'crash':
      return { kind, node, process: random.chance(0.3) ? 'all' : process, at };
    case 'restart':
      return { kind, node, process, at, graceSeconds: random.below(2) };
    case 'stall':
      // Longer than most leases, as often as not.
      return { kind, node, process, at, milliseconds: random.between(100, 5000) };
    case 'clock': {
      const by = milliseconds * (random.chance(0.5) ? 1 : -1);
      return { kind, node, process: random.chance(0.2) ? -1 : process, at, milliseconds: by };
    }
    case 'slow':
      return { kind, node, number: random.below(10), milliseconds };
    case 'forgery':
      return { kind, node, at };
  }
}

/** How much longer than usual a schedule may go on and still be hit at any of its commits and statements. */
const LONG = 40;

/** Among the first ones that nearly every node comes to as often as not; otherwise as likely early as late. */
function drawNumber(random: Random, usual: number): number {
  if (random.chance(0.5)) return random.below(usual);
  return Math.floor((LONG * usual) ** random.real()) - 1;
}

/** The faults that have an occasion other than a time, by that occasion; each happens once. */
export class Occasions {
  readonly #faults = new Map<string, Fault>();

  constructor(faults: readonly Fault[]) {
    for (const fault of faults) {
      const key = occasionOf(fault);
      if (key !== null) this.#faults.set(key, fault);
    }
  }

  get any(): boolean {
    return this.#faults.size > 0;
  }

  database(
    node: string,
    on: 'commit' | 'statement',
    number: number,
  ): Extract<Fault, { kind: 'database' }> | undefined {
    return this.#faults.get(`${on} ${node} ${number}`) as never;
  }

  request(from: string, to: string, number: number): Extract<Fault, { kind: 'request' }> | undefined {
    return this.#faults.get(`request ${from} ${to} ${number}`) as never;
  }

  slow(node: string, number: number): Extract<Fault, { kind: 'slow' }> | undefined {
    return this.#faults.get(`slow ${node} ${number}`) as never;
  }
}

function occasionOf(fault: Fault): string | null {
  switch (fault.kind) {
    case 'database':
      return `${fault.on} ${fault.node} ${fault.number}`;
    case 'request':
      return `request ${fault.from} ${fault.to} ${fault.number}`;
    case 'slow':
      return `slow ${fault.node} ${fault.number}`;
    default:
      return null;
  }
}

/** For people. */
export function describeFault(fault: Fault): string {
  switch (fault.kind) {
    case 'database': {
      const stalls = fault.what.startsWith('stalls') ? ` for ${fault.milliseconds} ms` : '';
      return `${fault.node}: at ${fault.on} ${fault.number} of its database, ${fault.what}${stalls}`;
    }
    case 'request': {
      const late = fault.what === 'late' || fault.what === 'twice' ? ` (${fault.milliseconds} ms)` : '';
      return `${fault.from} → ${fault.to}: request ${fault.number} ${fault.what}${late}`;
    }
    case 'partition':
      return `${fault.from} → ${fault.to}: nothing arrives from ${fault.at} ms on, for ${fault.milliseconds} ms`;
    case 'outage':
      return `${fault.node}: the database is away from ${fault.at} ms on, for ${fault.milliseconds} ms`;
    case 'crash':
      return `${fault.node}: ${fault.process === 'all' ? 'all processes die' : `process ${fault.process} dies`} at ${fault.at} ms`;
    case 'restart':
      return `${fault.node}: process ${fault.process} is stopped at ${fault.at} ms and started again`;
    case 'stall':
      return `${fault.node}: process ${fault.process} stalls at ${fault.at} ms, for ${fault.milliseconds} ms`;
    case 'clock': {
      const whose = fault.process < 0 ? 'the database' : `process ${fault.process}`;
      return `${fault.node}: the clock of ${whose} jumps by ${fault.milliseconds} ms at ${fault.at} ms`;
    }
    case 'slow':
      return `${fault.node}: call ${fault.number} of a handler takes ${fault.milliseconds} ms longer`;
    case 'forgery':
      return `${fault.node} sends forged messages at ${fault.at} ms`;
  }
}
