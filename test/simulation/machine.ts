/**
 * A simulated process: a clock with a skew of its own, connections to its node's database that break and stall, and
 * its death, after which nothing of it ever happens again.
 */
import type { Chance } from '../../lib/engine/chance.ts';
import type { Clock } from '../../lib/engine/clock.ts';
import type { Hints } from '../../lib/engine/store.ts';
import type { Fault, Occasions } from './faults.ts';
import { DatabaseError } from './memory-database.ts';
import { ConnectionLost, type Gate, type Step } from './memory-store.ts';
import type { MemoryTransaction } from './memory-transaction.ts';
import type { Random } from './random.ts';
import type { Host, World } from './world.ts';

/** Virtual time begins here. */
export const EPOCH = Date.UTC(2030, 0, 1);

/** What all processes of a node have in common. */
export interface NodeState {
  readonly name: string;
  readonly world: World;
  readonly occasions: Occasions;
  /** Faults end here, in milliseconds since the beginning. */
  readonly horizon: number;
  readonly tempo: Tempo;
  readonly listeners: Set<Listener>;
  commits: number;
  statements: number;
  calls: number;
  outageUntil: number;
  trace: (line: string) => void;
}

export interface Listener {
  machine: Machine;
  heard: (hints: Hints) => void;
  missed: () => void;
}

/** How long things take, in milliseconds. */
export interface Tempo {
  statement: number;
  network: number;
  /** Statements inside transactions travel as well; otherwise only the first and the commit do. */
  fine: boolean;
  /** Hints between processes get lost with this probability. */
  deaf: number;
}

export class Machine implements Host, Clock, Chance, Gate {
  readonly node: NodeState;
  readonly index: number;
  /** Tells apart the processes that follow one another. */
  readonly name: string;
  readonly random: () => number;
  alive = true;
  stalledUntil = 0;
  skew: number;
  readonly #random: Random;
  readonly #open = new Set<MemoryTransaction>();
  readonly #onDeath: (machine: Machine) => void;
  readonly #conversations = new Set<() => void>();
  #ids = 0;

  constructor(
    node: NodeState,
    index: number,
    name: string,
    random: Random,
    skew: number,
    onDeath: (machine: Machine) => void,
  ) {
    this.node = node;
    this.index = index;
    this.name = name;
    this.#random = random;
    this.random = random.real;
    this.skew = skew;
    this.#onDeath = onDeath;
  }

  // Clock and chance

  now(): Date {
    return new Date(EPOCH + this.node.world.now + this.skew);
  }

  after(milliseconds: number, call: () => void): () => void {
    if (!this.alive) return () => {};
    const happening = this.node.world.after(milliseconds, this, call);
    return () => {
      happening.call = null;
    };
  }

  soon(call: () => void): void {
    if (this.alive) this.node.world.after(this.random() * 0.3, this, call);
  }

  readonly newId = (): string => {
    this.#ids += 1;
    return `${this.name}-${this.#ids}`;
  };

  sleep(milliseconds: number): Promise<void> {
    return new Promise((resolve) => this.after(milliseconds, resolve));
  }

  // Death

  /** Called off when the process dies: what others wait for from it. */
  converse(broken: () => void): () => void {
    this.#conversations.add(broken);
    return () => this.#conversations.delete(broken);
  }

  die(): void {
    if (!this.alive) return;
    this.alive = false;
    const { world } = this.node;
    // The server notices now or later that the connection is gone.
    const noticed = this.#random.chance(0.7) ? 1 : this.#random.below(1500);
    for (const transaction of this.#open) world.after(noticed, null, () => transaction.rollback());
    for (const broken of this.#conversations) world.after(1 + 5 * this.random(), null, broken);
    this.#onDeath(this);
  }

  stall(milliseconds: number): void {
    this.stalledUntil = Math.max(this.stalledUntil, this.node.world.now + milliseconds);
  }

  /** The database went away: what was open is rolled back, and every statement of it fails. */
  disconnect(): void {
    for (const transaction of this.#open) transaction.rollback();
    for (const listener of this.node.listeners)
      if (listener.machine === this) this.after(100 + 100 * this.random(), () => listener.missed());
  }

  // The gate to the database

  opened(transaction: MemoryTransaction): void {
    this.#open.add(transaction);
  }

  closed(transaction: MemoryTransaction): void {
    this.#open.delete(transaction);
  }

  publish(hints: Hints): void {
    const { listeners, tempo, world } = this.node;
    for (const { machine, heard } of listeners)
      if (machine !== this && !(this.random() < tempo.deaf))
        world.after(tempo.statement * this.random(), machine, () => heard(hints));
  }

  subscribe(heard: (hints: Hints) => void, missed: () => void): () => void {
    const listener: Listener = { machine: this, heard, missed };
    this.node.listeners.add(listener);
    return () => this.node.listeners.delete(listener);
  }

  pass<T>(
    step: Step,
    effect: (answer: (value: T) => void, fail: (thrown: Error) => void) => void,
    transaction?: MemoryTransaction,
  ): Promise<T> {
    if (!this.alive) return new Promise(() => {});
    const { node } = this;
    const { tempo, world } = node;
    const fault = this.#fault(step);
    if (step === 'inside' && !tempo.fine && fault === undefined) {
      if (world.now >= node.outageUntil) return now(effect, transaction);
    }
    return new Promise((resolve, reject) => {
      if (fault?.what === 'dies before') {
        this.die();
        return;
      }
      if (fault?.what === 'stalls before') this.stall(fault.milliseconds);
      const travels = tempo.statement * (0.2 + this.random());
      // Sent is sent, whether its sender lives to hear the answer or not.
      world.after(travels, fault?.what === 'stalls before' ? this : null, () =>
        this.#arrive(effect, transaction, fault, resolve, reject),
      );
    });
  }

  #arrive<T>(
    effect: (answer: (value: T) => void, fail: (thrown: Error) => void) => void,
    transaction: MemoryTransaction | undefined,
    fault: Extract<Fault, { kind: 'database' }> | undefined,
    resolve: (value: T) => void,
    reject: (thrown: unknown) => void,
  ): void {
    const { node } = this;
    const away = node.world.now < node.outageUntil;
    const what = away ? 'breaks before' : fault?.what;
    const gone = transaction !== undefined && !transaction.open;
    // Nobody is there to end it.
    if (!this.alive && transaction !== undefined && what !== 'dies after') {
      transaction.rollback();
      return;
    }
    const broken = (): void => {
      transaction?.rollback();
      this.#deliver(() => reject(new ConnectionLost('the connection to the database broke')));
    };
    if (what === 'breaks before' || gone) {
      broken();
      return;
    }
    if (what === 'asks again') {
      if (transaction !== undefined) transaction.failed = true;
      this.#deliver(() => reject(new DatabaseError('40001', 'could not serialize access')));
      return;
    }
    const answered = (value: T): void => {
      if (what === 'stalls after') this.stall(fault!.milliseconds);
      if (what === 'dies after') this.die();
      else if (what === 'breaks after') broken();
      else this.#deliver(() => resolve(value));
    };
    try {
      effect(answered, (thrown) => this.#deliver(() => reject(thrown)));
    } catch (thrown) {
      if (transaction !== undefined) transaction.failed = true;
      this.#deliver(() => reject(thrown));
    }
  }

  /** Hands an answer to the process, which may be stalled, or dead. */
  #deliver(answer: () => void): void {
    if (!this.alive) return;
    const { world } = this.node;
    if (this.stalledUntil > world.now) world.after(this.stalledUntil - world.now, this, answer);
    else answer();
  }

  #fault(step: Step): Extract<Fault, { kind: 'database' }> | undefined {
    const { node } = this;
    const on = step === 'commit' ? 'commit' : 'statement';
    const number = step === 'commit' ? node.commits : node.statements;
    if (step === 'commit') node.commits += 1;
    else node.statements += 1;
    if (!node.occasions.any || node.world.now > node.horizon) return undefined;
    const fault = node.occasions.database(node.name, on, number);
    if (fault !== undefined) node.trace(`${this.name} ${fault.what} (${on} ${number})`);
    return fault;
  }
}

/** At once, without a journey. */
function now<T>(
  effect: (answer: (value: T) => void, fail: (thrown: Error) => void) => void,
  transaction: MemoryTransaction | undefined,
): Promise<T> {
  if (transaction !== undefined && !transaction.open)
    return Promise.reject(new ConnectionLost('the connection to the database broke'));
  let value: T;
  try {
    effect(
      (given) => {
        value = given;
      },
      (thrown) => {
        throw thrown;
      },
    );
  } catch (thrown) {
    if (transaction !== undefined) transaction.failed = true;
    return Promise.reject(thrown);
  }
  return Promise.resolve(value!);
}
