/** Signatures of what the P-256 module exports; addresses are octet offsets into its memory. See assembly/p256/. */
import type { RingExports } from './ring-exports.ts';

export type P256Exports = RingExports &
  Readonly<{
    memory: WebAssembly.Memory;
    heapBase(): number;

    readPoints(out: number, octets: number, n: number): void;
    writePoints(octets: number, points: number, n: number): void;
    checkPoints(octets: number, n: number): number;
    pointsToTrees(trees: number, octets: number, n: number): void;
    treesToPoints(octets: number, trees: number, n: number): number;
    decompress(out: number, compressed: number, good: number, n: number): void;
    liftCandidates(out: number, candidates: number, width: number, good: number, n: number): void;

    readWords(words: number, octets: number, n: number): void;
    scalarsTooLong(words: number, n: number, bits: number): number;
    windowCount(width: number, bits: number): number;

    addPoints(out: number, a: number, aStep: number, b: number, bStep: number, n: number): void;
    subtractPoints(out: number, a: number, aStep: number, b: number, bStep: number, n: number): void;

    negatePoints(points: number, n: number): void;
    totalPoints(points: number, n: number): void;

    tableSize(width: number, bits: number): number;
    makeTable(table: number, base: number, width: number, first: number, windows: number): void;
    fixedBase(
      out: number,
      table: number,
      width: number,
      bits: number,
      words: number,
      n: number,
      accumulate: boolean,
    ): void;

    multiScalarWork(n: number, width: number, windows: number, group: number): number;
    multiScalar(
      out: number,
      points: number,
      words: number,
      n: number,
      width: number,
      first: number,
      last: number,
      group: number,
      work: number,
    ): void;

    recode(recoded: number, words: number): void;
    variableBaseWork(quads: number): number;
    variableBase(
      out: number,
      points: number,
      recoded: number,
      step: number,
      quads: number,
      work: number,
    ): void;

    mul(o: number, a: number, b: number): void;
    sqr(o: number, a: number): void;
    mul4(o: number, a: number, b: number): void;
    sqr4(o: number, a: number): void;
    carry(o: number): void;
    carry4(o: number): void;
    canonical(o: number): void;
    canonical4(o: number): void;
    invert(o: number, a: number): void;
    invertLanes(o: number, a: number): void;
  }>;
