/**
 * One schedule: a federation, its work and its faults, from a seed to a verdict. The same seed and the same faults give
 * the same schedule, event by event.
 */
import type { Registry } from '../../lib/engine/definitions.ts';
import { ConclaveError } from '../../lib/errors.ts';
import type { PeerRow } from '../../lib/store/peers.ts';
import { drawFaults, type Fault, type FaultKind, Occasions } from './faults.ts';
import { type Action, build, createRegistry, mayFail, type Spec } from './handlers.ts';
import { Checker, describe, type Violation } from './invariants.ts';
import { EPOCH, type NodeState, type Tempo } from './machine.ts';
import { Network } from './network.ts';
import { type NodeSettings, SimulatedNode, urlOf } from './node.ts';
import { Original, type OriginalOptions } from './original.ts';
import { Random } from './random.ts';
import { World } from './world.ts';

export interface PlannedNode {
  name: string;
  processes: number;
  /** An original frestq. */
  original?: true;
}

/** What somebody asks of a node. */
export type Request =
  | { at: number; node: string; create: Spec; name: string }
  | { at: number; node: string; cancel: string }
  /** An original sends a task, with an id or without. */
  | { at: number; node: string; to: string; action: Action; taskId: string | null };

/** A scenario, once its seed is known. */
export interface Plan {
  nodes: readonly PlannedNode[];
  requests: readonly Request[];
  slots: Readonly<Record<string, number>>;
  faults: readonly FaultKind[];
  mostFaults: number;
  /** Until when things go wrong, in milliseconds. */
  horizon: number;
  settings?: Partial<NodeSettings>;
}

export interface Scenario {
  name: string;
  /** What it is for, in a line. */
  about: string;
  plan(random: Random): Plan;
}

export interface Result {
  seed: number;
  scenario: string;
  violations: readonly Violation[];
  /** All that the seed draws. */
  faults: readonly Fault[];
  /** Virtual milliseconds until everything had ended. */
  milliseconds: number;
  events: number;
  /** Of everything that was committed, in order: equal for equal schedules. */
  fingerprint: number;
}

export interface RunOptions {
  /** Which of the seed's faults happen, by their places; absent: all. */
  only?: readonly number[];
  trace?: (line: string) => void;
}

/** When faults have stopped, everything must have ended within this. */
const PATIENCE = 30 * 60_000;
/** After so long, nothing comes any more of what an original has forgotten. */
const FORSAKEN_AFTER = 2 * 60_000;

let registry: Registry | undefined;

/** Must be called outside of any promise's continuation; see `outsidePromises`. */
export function simulate(scenario: Scenario, seed: number, options: RunOptions = {}): Result {
  const plan = scenario.plan(new Random(seed, `plan ${scenario.name}`));
  const drawn = drawFaults(new Random(seed, 'faults'), {
    nodes: plan.nodes.map((node) => ({ ...node, original: node.original === true })),
    horizon: plan.horizon,
    kinds: plan.faults,
    most: plan.mostFaults,
  });
  const faults = options.only === undefined ? drawn : options.only.map((place) => drawn[place]!);
  const result = new Simulation(scenario, plan, seed, faults, options).run();
  return { ...result, faults: drawn };
}

/** Runs in a turn of its own of the event loop. */
export function outsidePromises<T>(work: () => T): Promise<T> {
  return new Promise((resolve, reject) => {
    setImmediate(() => {
      // The stacks of simulated errors would cost more than all the rest.
      const { stackTraceLimit } = Error;
      Error.stackTraceLimit = 0;
      try {
        resolve(work());
      } catch (thrown) {
        reject(thrown);
      } finally {
        Error.stackTraceLimit = stackTraceLimit;
      }
    });
  });
}

class Simulation {
  readonly #world = new World();
  readonly #checker = new Checker();
  readonly #nodes = new Map<string, SimulatedNode>();
  readonly #originals = new Map<string, Original>();
  readonly #scenario: Scenario;
  readonly #plan: Plan;
  readonly #seed: number;
  readonly #faults: readonly Fault[];
  readonly #random: Random;
  readonly #trace: (line: string) => void;
  /** Roots by the names under which they were asked for. */
  readonly #roots = new Map<string, string>();
  #requestsOpen = 0;
  #fingerprint = 0;

  constructor(scenario: Scenario, plan: Plan, seed: number, faults: readonly Fault[], options: RunOptions) {
    this.#scenario = scenario;
    this.#plan = plan;
    this.#seed = seed;
    this.#faults = faults;
    this.#random = new Random(seed, 'users');
    const { trace } = options;
    this.#trace =
      trace === undefined ? () => {} : (line) => trace(`${this.#world.now.toFixed(1).padStart(9)} ${line}`);
    this.#build(trace !== undefined);
  }

  #build(tracing: boolean): void {
    const { nodes, horizon, slots, settings } = this.#plan;
    const random = new Random(this.#seed, 'tempo');
    const tempo: Tempo = {
      statement: random.pick([0.3, 1, 1, 5]),
      network: random.pick([1, 5, 20]),
      fine: random.chance(0.15),
      deaf: random.pick([0, 0, 0.5, 1]),
    };
    const world = this.#world;
    const occasions = new Occasions(this.#faults);
    const network = new Network({
      world,
      random: new Random(this.#seed, 'network'),
      occasions,
      partitions: this.#faults.filter((fault) => fault.kind === 'partition'),
      horizon,
      milliseconds: tempo.network,
      server: (name) => this.#originals.get(name) ?? this.#nodes.get(name)?.any(),
      trace: this.#trace,
    });
    const common: NodeSettings = {
      queues: Object.fromEntries(Object.entries(slots).map(([queue, maxThreads]) => [queue, { maxThreads }])),
      capacity: random.pick([1, 2, 10]),
      leaseSeconds: random.pick([1, 2]),
      reservationTimeout: random.pick([1, 2, 5]),
      handlerTransactions: random.pick([1, 3]),
      knowsTheDead: random.chance(0.3),
      leaseMilliseconds: random.pick([1000, 3000]),
      ...settings,
    };
    const skewed = random.chance(0.3);
    // Those of one node differ little, as a rule: a timer that one of them sets is another's to fire.
    const apart = random.chance(0.1) ? 2000 : 100;
    const known = random.chance(0.8);
    registry ??= createRegistry();
    for (const { name, processes, original } of nodes) {
      if (original === true) {
        const post: OriginalOptions['post'] = (to, queue, body) => network.post(name, to, queue, body);
        const own = new Random(this.#seed, `node ${name}`);
        this.#originals.set(name, new Original({ name, world, random: own, post }));
        this.#checker.original(name);
        continue;
      }
      const state: NodeState = {
        name,
        world,
        occasions,
        horizon,
        tempo,
        listeners: new Set(),
        commits: 0,
        statements: 0,
        calls: 0,
        outageUntil: 0,
        trace: this.#trace,
      };
      const own = new Random(this.#seed, `node ${name}`);
      const nodeSkew = own.between(-2000, 2000);
      const node = new SimulatedNode({
        state,
        registry,
        settings: common,
        network,
        random: own,
        peers: nodes.filter((other) => other.name !== name).map((other) => peerRow(other, known)),
        processes,
        skew: () => (skewed ? nodeSkew + own.between(-apart, apart) : 0),
        received: (receiver, messages, receipts) => {
          for (const [index, { peerId, messageId }] of messages.entries())
            if (receipts[index]!.outcome === 'accepted')
              this.#checker.accepted(receiver, `${peerId}/${messageId}`);
        },
      });
      this.#nodes.set(name, node);
      this.#checker.watch({ name, database: node.database, slots: (queue) => slots[queue] ?? 100 });
      node.database.onCommit((changes) => {
        for (const { before, after } of changes) {
          this.#note(`${name} ${after.id} ${after.status} ${after.job} ${after.fence}`);
          if (tracing && describeChange(after) !== (before && describeChange(before)))
            this.#trace(`${name} commits: ${describe(after)}`);
          if (after.type === 'external' && after.status === 'executing' && before?.status !== 'executing')
            this.#decide(node, after.id);
        }
      });
    }
  }

  #note(text: string): void {
    let hash = this.#fingerprint ^ Math.round(this.#world.now * 1000);
    for (let index = 0; index < text.length; index += 1)
      hash = Math.imul(hash ^ text.charCodeAt(index), 16777619);
    this.#fingerprint = hash | 0;
  }

  run(): Result {
    for (const node of this.#nodes.values()) node.start();
    this.#requestsOpen = this.#plan.requests.length;
    for (const request of this.#plan.requests)
      this.#world.after(request.at, null, () => this.#ask(request, 1));
    for (const fault of this.#faults) this.#arm(fault);
    const until = this.#plan.horizon + PATIENCE;
    this.#world.run(until, () => this.#isOver());
    this.#checker.checkEnd();
    this.#checkRoots();
    for (const { name, database } of this.#nodes.values())
      for (const row of database.pending.values())
        this.#checker.report('messages arrive', `${name} → ${row.peerId}: ${row.action} of ${row.taskId}`);
    return {
      seed: this.#seed,
      scenario: this.#scenario.name,
      violations: this.#checker.violations,
      faults: this.#faults,
      milliseconds: Math.round(this.#world.now),
      events: this.#world.events,
      fingerprint: this.#fingerprint,
    };
  }

  /** As if nothing had happened: what has no reason of its own to fail has finished. */
  #checkRoots(): void {
    const { requests } = this.#plan;
    const cancelled = new Set(requests.flatMap((request) => ('cancel' in request ? [request.cancel] : [])));
    for (const request of requests) {
      if (!('create' in request) || cancelled.has(request.name) || mayFail(request.create)) continue;
      const root = this.#nodes.get(request.node)!.database.tasks.get(this.#roots.get(request.name) ?? '');
      // A task may be given up when its workers die again and again.
      if (root?.status !== 'error' || root.error?.message.includes('the workers that executed') === true)
        continue;
      this.#checker.report('as if nothing had happened', `${request.name}: ${root.error?.message}`);
    }
  }

  #isOver(): boolean {
    if (this.#requestsOpen > 0) return false;
    if (this.#checker.violations.length > 0) return true;
    const patient = this.#world.now < this.#plan.horizon + FORSAKEN_AFTER;
    for (const { database } of this.#nodes.values())
      if (database.open > 0 && (patient || !this.#checker.isForsaken(database))) return false;
    return true;
  }

  // What people ask for

  #ask(request: Request, attempt: number): void {
    if ('action' in request) {
      this.#requestsOpen -= 1;
      this.#originals.get(request.node)!.send(request.to, request.action, request.taskId);
      return;
    }
    const node = this.#nodes.get(request.node)!;
    const process = node.any();
    const again = (): void => {
      this.#world.after(100 * attempt, null, () => this.#ask(request, attempt + 1));
    };
    if (process === undefined) {
      again();
      return;
    }
    const { engine, machine } = process;
    if ('cancel' in request) {
      this.#requestsOpen -= 1;
      const root = this.#roots.get(request.cancel);
      if (root !== undefined) engine.cancel(root, 'somebody asked for it').catch(() => {});
      return;
    }
    // Who asks hears an error when the process dies meanwhile, and leaves it at that.
    let open = true;
    const close = (): void => {
      if (open) this.#requestsOpen -= 1;
      open = false;
    };
    const forget = machine.converse(close);
    engine.create(build(request.create, EPOCH + this.#world.now)).then(
      (id) => {
        this.#roots.set(request.name, id);
        forget();
        close();
      },
      (thrown) => {
        if (!(thrown instanceof ConclaveError)) throw thrown;
        forget();
        close();
      },
    );
  }

  /** Somebody decides, sooner or later, and insists. */
  #decide(node: SimulatedNode, taskId: string): void {
    this.#world.after(this.#random.between(1, 400), null, () => {
      const task = node.database.tasks.get(taskId);
      if (task?.status !== 'executing') return;
      const process = node.any();
      process?.engine.finishExternal(taskId, 'decided').catch(() => {});
      this.#world.after(500, null, () => this.#decide(node, taskId));
    });
  }

  // What goes wrong at a time

  #arm(fault: Fault): void {
    const world = this.#world;
    const node = 'node' in fault ? this.#nodes.get(fault.node)! : undefined;
    const at = (time: number, what: () => void): void => {
      world.after(time, null, what);
    };
    switch (fault.kind) {
      case 'outage':
        at(fault.at, () => {
          node!.parts.state.outageUntil = Math.max(
            node!.parts.state.outageUntil,
            world.now + fault.milliseconds,
          );
          for (const { machine } of node!.running.values()) machine.disconnect();
        });
        break;
      case 'crash':
        at(fault.at, () => {
          for (const [index, { machine }] of node!.running)
            if (fault.process === 'all' || fault.process === index) machine.die();
        });
        break;
      case 'restart':
        at(fault.at, () => node!.stopProcess(fault.process, fault.graceSeconds));
        break;
      case 'stall':
        at(fault.at, () => node!.running.get(fault.process)?.machine.stall(fault.milliseconds));
        break;
      case 'clock':
        at(fault.at, () => {
          if (fault.process < 0) node!.databaseSkew += fault.milliseconds;
          else {
            const machine = node!.running.get(fault.process)?.machine;
            if (machine !== undefined) machine.skew += fault.milliseconds;
          }
        });
        break;
      case 'forgery':
        at(fault.at, () => this.#forge(fault.node));
        break;
      case 'database':
      case 'request':
      case 'partition':
      case 'slow':
        return;
    }
  }

  /** A peer speaks of tasks that it has nothing to do with (D22). */
  #forge(forger: string): void {
    for (const { name, database, any } of this.#nodes.values()) {
      if (name === forger) continue;
      for (const { id, status, peerId } of database.tasks.values()) {
        if (status === 'finished' || status === 'error' || peerId === forger) continue;
        const messages = FORGED.map(({ action, data }, index) => ({
          message_id: `forged ${id} ${index} ${this.#world.now}`,
          queue: 'internal.frestq',
          action,
          task_id: id,
          sender_url: urlOf(forger),
          data,
        }));
        this.#world.after(1, null, () => void any()?.batch(forger, { messages }));
      }
    }
  }
}

const FORGED = [
  { action: 'conclave.cancel_task', data: { reason: 'forged' } },
  { action: 'frestq.update_task', data: { status: 'finished', output_data: 'forged' } },
] as const;

function describeChange(task: Parameters<typeof describe>[0]): string {
  return describe(task);
}

function peerRow({ name, original }: PlannedNode, known: boolean): PeerRow {
  return {
    id: name,
    name,
    url: urlOf(name),
    certificates: [],
    roles: ['authority'],
    dialect: known ? (original === true ? 'frestq' : 'conclave') : 'unknown',
    addedDate: new Date(EPOCH),
    lastContact: null,
    downSince: null,
    nextAttempt: null,
    lastError: null,
  };
}
