/**
 * The squares modulo a safe prime in batches over flat arrays: the kernel as the rest of the mix-net sees it.
 *
 * An element has as many octets as the prime, an exponent as many as the caller says once, all big-endian. Except in
 * `firstInvalid`, elements must be known to be between 1 and p - 1. A list of one where two lists go together stands
 * for as many equal elements as the other list has. Synchronous, as `P256Kernel`.
 */
import { type Executor, InlineExecutor } from './executor.ts';
import { MODP_UNIT, type ModpTable } from './modp-job.ts';
import type { Operand } from './p256-job.ts';

/** Tables kept for bases that recur. */
const TABLES = 4;
/** A wider window's table would be larger than this. */
const TABLE_OCTETS = 24 * 2 ** 20;
const MAX_CHUNK = 65536;
let nextTable = 1;

export class ModpKernel {
  readonly executor: Executor;
  readonly prime: Uint8Array;
  readonly exponentOctets: number;
  readonly #tables = new Map<string, ModpTable>();

  /** @param prime without leading zeros; up to 3,550 bits. Whether it is a safe prime is the caller's to check. */
  constructor(prime: Uint8Array, exponentOctets: number, executor: Executor = new InlineExecutor()) {
    this.executor = executor;
    this.prime = executor.share(prime);
    this.exponentOctets = exponentOctets;
  }

  /** a_i b_i. */
  multiply(a: Uint8Array, b: Uint8Array): Uint8Array {
    const [m, n] = [this.#elements(a), this.#elements(b)];
    if (m !== n && m !== 1 && n !== 1) throw new RangeError(`lists of ${m} and ${n} elements`);
    const count = m === 1 ? n : m;
    const out = this.executor.allocate(count * this.prime.length);
    const operand = (octets: Uint8Array): Operand => ({
      octets: this.executor.share(octets),
      single: octets.length === this.prime.length && count !== 1,
    });
    this.executor.run({ op: 'modpMultiply', prime: this.prime, a: operand(a), b: operand(b), out });
    return out;
  }

  /** Π a_i; 1 for none. */
  product(a: Uint8Array): Uint8Array {
    const octets = this.prime.length;
    this.#elements(a);
    if (a.length === 0) return this.#one();
    let rest = a;
    do {
      const out = this.executor.allocate(Math.ceil(rest.length / octets / MODP_UNIT.modpProduct) * octets);
      this.executor.run({ op: 'modpProduct', prime: this.prime, elements: this.executor.share(rest), out });
      rest = out;
    } while (rest.length > octets);
    return rest;
  }

  /** base^exponent_i by the base's table, which is kept for the next call. Not constant-time (docs/arithmetic.md). */
  fixedBase(base: Uint8Array, exponents: Uint8Array): Uint8Array {
    const count = this.#exponents(exponents);
    const out = this.executor.allocate(count * this.prime.length);
    const shared = this.executor.share(exponents);
    this.executor.run({
      op: 'modpFixedBase',
      prime: this.prime,
      table: this.#table(base, count),
      exponents: shared,
      exponentOctets: this.exponentOctets,
      out,
    });
    if (shared !== exponents) shared.fill(0);
    return out;
  }

  /** Π base_i^exponent_i; no exponent has more than `bits` bits. Not for secret exponents. */
  multiPower(bases: Uint8Array, exponents: Uint8Array, bits = 8 * this.exponentOctets): Uint8Array {
    const count = this.#elements(bases);
    if (this.#exponents(exponents) !== count) {
      throw new RangeError(`${count} bases and ${exponents.length / this.exponentOctets} exponents`);
    }
    this.#refuseLonger(exponents, bits);
    if (count === 0 || bits === 0) return this.#one();
    const chunks = Math.max(Math.ceil(count / MAX_CHUNK), Math.min(this.executor.threads, count >> 5), 1);
    const chunk = Math.ceil(count / chunks);
    const out = this.executor.allocate(Math.ceil(count / chunk) * this.prime.length);
    this.executor.run({
      op: 'modpMultiPower',
      prime: this.prime,
      bases: this.executor.share(bases),
      exponents: this.executor.share(exponents),
      exponentOctets: this.exponentOctets,
      bits,
      width: bucketWidth(chunk, bits),
      chunk,
      out,
    });
    return this.product(out);
  }

  /** base_i^exponent_i, or all to one exponent, for secret exponents: by OpenSSL, in constant time. */
  power(bases: Uint8Array, exponents: Uint8Array): Uint8Array {
    const count = this.#elements(bases);
    const given = this.#exponents(exponents);
    if (given !== count && given !== 1) throw new RangeError(`${count} bases and ${given} exponents`);
    const out = this.executor.allocate(bases.length);
    const shared = this.executor.share(exponents);
    this.executor.run({
      op: 'modpPower',
      prime: this.prime,
      bases: this.executor.share(bases),
      exponents: { octets: shared, single: given === 1 },
      exponentOctets: this.exponentOctets,
      out,
    });
    if (shared !== exponents) shared.fill(0);
    return out;
  }

  /** The index of the first entry that is not between 1 and p - 1 or no square; -1 if all are. */
  firstInvalid(elements: Uint8Array): number {
    const count = this.#elements(elements);
    const firstBad = this.executor.allocateIntegers(Math.ceil(count / MODP_UNIT.modpCheck));
    const shared = this.executor.share(elements);
    this.executor.run({ op: 'modpCheck', prime: this.prime, elements: shared, firstBad });
    return firstBad.find((index) => index >= 0) ?? -1;
  }

  #one(): Uint8Array {
    const one = this.executor.allocate(this.prime.length);
    one[one.length - 1] = 1;
    return one;
  }

  #table(base: Uint8Array, count: number): ModpTable {
    if (base.length !== this.prime.length) throw new RangeError('a fixed base is one element');
    const key = Buffer.from(base).toString('latin1');
    const bits = 8 * this.exponentOctets;
    const width = fixedBaseWidth(count, bits, this.prime.length);
    let table = this.#tables.get(key);
    if (table === undefined || table.width < width) {
      const windows = Math.ceil(bits / width);
      const octets = this.executor.engines.modp(this.prime).makeTable(base, width, windows);
      table = { id: nextTable++, width, windows, octets: this.executor.share(octets) };
    }
    this.#tables.delete(key);
    this.#tables.set(key, table);
    if (this.#tables.size > TABLES) this.#tables.delete(this.#tables.keys().next().value!);
    return table;
  }

  #elements(octets: Uint8Array): number {
    return countOf(octets, this.prime.length, 'elements');
  }

  #exponents(octets: Uint8Array): number {
    return countOf(octets, this.exponentOctets, 'exponents');
  }

  #refuseLonger(exponents: Uint8Array, bits: number): void {
    if (!Number.isInteger(bits) || bits < 0 || bits > 8 * this.exponentOctets) {
      throw new RangeError(`exponents of ${bits} bits: 0 to ${8 * this.exponentOctets} are possible`);
    }
    const idle = this.exponentOctets - Math.ceil(bits / 8);
    const mask = bits % 8 === 0 ? 0 : 0xff << (bits % 8);
    for (let at = 0; at < exponents.length; at += this.exponentOctets) {
      let excess = mask === 0 ? 0 : exponents[at + idle]! & mask;
      for (let i = at; i < at + idle; i++) excess |= exponents[i]!;
      if (excess !== 0) throw new RangeError(`an exponent is longer than ${bits} bits`);
    }
  }
}

function countOf(octets: Uint8Array, size: number, what: string): number {
  if (octets.length % size !== 0) {
    throw new RangeError(`${octets.length} octets are no list of ${what}, which have ${size} octets each`);
  }
  return octets.length / size;
}

/** The width with the fewest products: each window multiplies every term once and sums its buckets with two each. */
function bucketWidth(terms: number, bits: number): number {
  return fewest(12, (width) => Math.ceil(bits / width) * (terms + 2 ** (width + 1)));
}

/** The width with the fewest products, those that make the table included, whose table is not too large. */
function fixedBaseWidth(count: number, bits: number, primeOctets: number): number {
  return fewest(12, (width) => {
    const entries = Math.ceil(bits / width) * 2 ** width;
    if (entries * primeOctets * 1.15 > TABLE_OCTETS) return Number.POSITIVE_INFINITY;
    return Math.ceil(bits / width) * count + entries;
  });
}

function fewest(maximum: number, cost: (width: number) => number): number {
  let best = 1;
  for (let width = 2; width <= maximum; width++) if (cost(width) < cost(best)) best = width;
  return best;
}
