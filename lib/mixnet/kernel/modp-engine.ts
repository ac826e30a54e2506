/** One instance of the modp module, set up for one prime, and what it does with a unit of a job (see p256-engine.ts). */

import type { ModpExports } from './modp-exports.ts';
import { type ModpJob, type ModpTable, modpExtent } from './modp-job.ts';
import { OpensslPower } from './openssl-power.ts';
import type { Operand } from './p256-job.ts';
import { Arena, loadModule } from './wasm-module.ts';

const LIMB_BITS = 28;
/** See the bounds in assembly/modp/montgomery.ts. */
const MAX_LIMBS = 127;
/** Tables kept by one instance. */
const TABLE_OCTETS = 128 * 2 ** 20;

type Job<Op extends ModpJob['op']> = Extract<ModpJob, { op: Op }>;
type Range = Readonly<{ from: number; count: number }>;

export class ModpEngine {
  readonly exports: ModpExports;
  readonly arena: Arena;
  /** 32-bit words of a number inside. */
  readonly limbs: number;
  readonly #prime: Uint8Array;
  readonly #tables = new Map<number, number>();
  #openssl: OpensslPower | null = null;

  /** @param prime an odd prime of up to 3,550 bits; whether it is prime is not checked */
  constructor(prime: Uint8Array, module: WebAssembly.Module = loadModule('modp')) {
    const p = BigInt(`0x${Buffer.from(prime).toString('hex')}`);
    this.limbs = Math.ceil((p.toString(2).length + 2) / LIMB_BITS);
    if (this.limbs > MAX_LIMBS || p % 2n === 0n || p < 3n) {
      throw new RangeError('the prime must be odd and have at most 3,550 bits');
    }
    this.#prime = new Uint8Array(prime);
    this.exports = new WebAssembly.Instance(module).exports as unknown as ModpExports;
    this.arena = new Arena(this.exports.memory, this.exports.heapBase());
    const r = 1n << BigInt(LIMB_BITS * this.limbs);
    [p, r % p, (r * r) % p].forEach((value, which) => {
      const words = new Uint32Array(
        this.exports.memory.buffer,
        this.exports.constantAddress(which),
        4 * this.limbs,
      );
      for (let i = 0; i < 4 * this.limbs; i++) {
        words[i] = Number((value >> BigInt(LIMB_BITS * (i >> 2))) & 0xfffffffn);
      }
    });
    this.exports.setPrime(this.limbs, prime.length, negatedInverse(p));
  }

  run(job: ModpJob, unit: number): void {
    this.arena.reset();
    const extent = modpExtent(job);
    const from = unit * extent.unit;
    const range = { from, count: Math.min(extent.unit, extent.count - from) };
    switch (job.op) {
      case 'modpMultiply':
        this.#multiply(job, range);
        break;
      case 'modpProduct':
        this.#product(job, range, unit);
        break;
      case 'modpFixedBase':
        this.#fixedBase(job, range);
        break;
      case 'modpMultiPower':
        this.#multiPower(job, range, unit);
        break;
      case 'modpPower':
        this.#power(job, range);
        break;
      case 'modpCheck':
        this.#check(job, range, unit);
        break;
    }
  }

  makeTable(base: Uint8Array, width: number, windows: number): Uint8Array {
    this.arena.reset();
    const size = this.exports.tableSize(width, windows);
    const at = this.arena.put(base);
    const table = this.arena.take(size);
    this.exports.makeTable(table, at, width, windows);
    return this.arena.view(table, size).slice();
  }

  #multiply(job: Job<'modpMultiply'>, { from, count }: Range): void {
    const octets = this.#prime.length;
    const [a, b] = [job.a, job.b].map((operand: Operand) => ({
      at: this.arena.put(operand.single ? operand.octets : slice(operand.octets, octets, from, count)),
      step: operand.single ? 0 : octets,
    })) as [{ at: number; step: number }, { at: number; step: number }];
    const out = this.arena.take(count * octets);
    this.exports.multiplyNumbers(out, a.at, a.step, b.at, b.step, count);
    job.out.set(this.arena.view(out, count * octets), from * octets);
  }

  #numbers(octets: Uint8Array): number {
    const count = octets.length / this.#prime.length;
    const numbers = this.arena.take(count * 4 * this.limbs);
    this.exports.readNumbers(numbers, this.arena.put(octets), count);
    return numbers;
  }

  #product(job: Job<'modpProduct'>, { from, count }: Range, unit: number): void {
    const octets = this.#prime.length;
    const numbers = this.#numbers(slice(job.elements, octets, from, count));
    const out = this.arena.take(octets);
    this.exports.productOfNumbers(out, numbers, count);
    job.out.set(this.arena.view(out, octets), unit * octets);
  }

  #fixedBase(job: Job<'modpFixedBase'>, { from, count }: Range): void {
    const octets = this.#prime.length;
    const table = this.#tableAddress(job.table);
    const exponents = this.arena.put(slice(job.exponents, job.exponentOctets, from, count));
    const out = this.arena.take(count * octets);
    const { width, windows } = job.table;
    this.exports.fixedBase(out, table, width, windows, exponents, job.exponentOctets, count);
    this.arena.view(exponents, count * job.exponentOctets).fill(0);
    job.out.set(this.arena.view(out, count * octets), from * octets);
  }

  /** Where this instance has the table; copied in the first time. Before any other memory is taken. */
  #tableAddress(table: ModpTable): number {
    const known = this.#tables.get(table.id);
    if (known !== undefined) return known;
    if (this.arena.kept + table.octets.length > TABLE_OCTETS) {
      this.arena.forget();
      this.#tables.clear();
    }
    const at = this.arena.keep(table.octets.length);
    this.arena.view(at, table.octets.length).set(table.octets);
    this.#tables.set(table.id, at);
    return at;
  }

  #multiPower(job: Job<'modpMultiPower'>, { from, count }: Range, unit: number): void {
    const octets = this.#prime.length;
    const bases = this.#numbers(slice(job.bases, octets, from, count));
    const exponents = this.arena.put(slice(job.exponents, job.exponentOctets, from, count));
    const out = this.arena.take(octets);
    const buckets = this.arena.take(this.exports.multiPowerWork(job.width));
    this.exports.multiPower(out, bases, exponents, job.exponentOctets, count, job.bits, job.width, buckets);
    job.out.set(this.arena.view(out, octets), unit * octets);
  }

  #power(job: Job<'modpPower'>, { from, count }: Range): void {
    const octets = this.#prime.length;
    this.#openssl ??= new OpensslPower(this.#prime);
    const { exponents, exponentOctets } = job;
    const step = exponents.single ? count : 1;
    for (let i = from; i < from + count; i += step) {
      const exponent = new Uint8Array(
        exponents.single ? exponents.octets : slice(exponents.octets, exponentOctets, i, 1),
      );
      const out = slice(job.out, octets, i, step);
      this.#openssl.powers(slice(job.bases, octets, i, step), exponent, out);
      exponent.fill(0);
    }
    this.#openssl.forget();
  }

  #check(job: Job<'modpCheck'>, { from, count }: Range, unit: number): void {
    const octets = this.#prime.length;
    const prime = this.arena.put(this.#prime);
    const elements = this.arena.put(slice(job.elements, octets, from, count));
    const bad = this.exports.checkNumbers(elements, count, prime, octets);
    job.firstBad[unit] = bad === count ? -1 : from + bad;
  }
}

/** -1/p mod 2^28, by Newton's iteration. */
function negatedInverse(p: bigint): number {
  const word = 1n << BigInt(LIMB_BITS);
  let inverse = 1n;
  for (let exact = 1; exact < LIMB_BITS; exact *= 2) inverse = (inverse * (2n - p * inverse)) % word;
  return Number(((-inverse % word) + word) % word);
}

function slice(octets: Uint8Array, size: number, from: number, count: number): Uint8Array {
  return octets.subarray(from * size, (from + count) * size);
}
