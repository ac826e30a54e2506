// What the P-256 module exports. The host (kernel/p256Module.ts) lays out memory from __heap_base on.
export { addPoints, negatePoints, subtractPoints, totalPoints } from "./batch-add";
export { readWords, scalarsTooLong, windowCount } from "./digits";
export { fixedBase, makeTable, tableSize } from "./fixed-base";
export { multiScalar, multiScalarWork } from "./multi-scalar";
export { checkPoints, readPoints, writePoints } from "./points";
export { decompress, liftCandidates } from "./square-root";
export { pointsToTrees, treesToPoints } from "./trees";
export { recode, variableBase, variableBaseWork } from "./variable-base";
export {
  ringAdd, ringCheck, ringForget, ringInner, ringInvert, ringMultiply, ringMultiplyAdd, ringProduct, ringRecurrence,
  ringReduce, ringRunningProducts, ringSubtract, ringSum,
} from "../ring";

// For tests of the limb bounds.
export { canonical, carry, invert } from "./field";
export { canonical4, carry4, invertLanes } from "./quad";
export { mul, mul4, sqr, sqr4 } from "./products";

export function heapBase(): usize { return __heap_base; }
