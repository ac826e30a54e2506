/** Signatures of what the modp module exports; addresses are octet offsets into its memory. See assembly/modp/. */
export type ModpExports = Readonly<{
  memory: WebAssembly.Memory;
  heapBase(): number;
  setPrime(limbs: number, octets: number, negatedInverse: number): void;
  constantAddress(which: number): number;
  readNumbers(out: number, octets: number, n: number): void;
  multiply(o: number, a: number, b: number): void;
  square(o: number, a: number): void;
  multiplyNumbers(out: number, a: number, aStep: number, b: number, bStep: number, n: number): void;
  productOfNumbers(out: number, numbers: number, n: number): void;
  tableSize(width: number, windows: number): number;
  makeTable(table: number, base: number, width: number, windows: number): void;
  fixedBase(
    out: number,
    table: number,
    width: number,
    windows: number,
    exponents: number,
    exponentOctets: number,
    n: number,
  ): void;
  multiPowerWork(width: number): number;
  multiPower(
    out: number,
    bases: number,
    exponents: number,
    exponentOctets: number,
    n: number,
    bits: number,
    width: number,
    buckets: number,
  ): void;
  jacobi(number: number, modulus: number, width: number): number;
  checkNumbers(numbers: number, n: number, prime: number, width: number): number;
}>;
