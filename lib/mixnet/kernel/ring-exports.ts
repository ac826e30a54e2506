/** Signatures of what assembly/ring.ts exports in every module. */

type Elementwise = (out: number, a: number, aStep: number, b: number, bStep: number, n: number) => void;

export type RingExports = Readonly<{
  ringAdd: Elementwise;
  ringSubtract: Elementwise;
  ringMultiply: Elementwise;
  ringMultiplyAdd(
    out: number,
    a: number,
    aStep: number,
    b: number,
    bStep: number,
    c: number,
    cStep: number,
    n: number,
  ): void;
  ringInner(state: number, a: number, b: number, n: number): void;
  ringSum(state: number, a: number, n: number): void;
  ringProduct(state: number, a: number, n: number): void;
  ringRunningProducts(out: number, a: number, n: number, state: number): void;
  ringRecurrence(out: number, a: number, b: number, n: number, state: number): void;
  ringReduce(out: number, wide: number, width: number, n: number): void;
  ringInvert(out: number, a: number, n: number, work: number): number;
  ringCheck(a: number, n: number): number;
  ringForget(): void;
}>;
