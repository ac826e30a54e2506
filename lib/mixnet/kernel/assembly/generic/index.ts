// What the module for exponents modulo any odd prime exports.
export { constantAddress, setModulus } from "./modulus";
export {
  ringAdd, ringCheck, ringForget, ringInner, ringInvert, ringMultiply, ringMultiplyAdd, ringProduct, ringRecurrence,
  ringReduce, ringRunningProducts, ringSubtract, ringSum,
} from "../ring";

export function heapBase(): usize { return __heap_base; }
