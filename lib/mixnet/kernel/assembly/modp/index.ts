// What the module for groups modulo a prime exports. The host is kernel/modp-engine.ts.
export { checkNumbers, jacobi } from "./jacobi";
export { readNumbers } from "./lanes";
export { constantAddress, multiply, setPrime, square } from "./montgomery";
export {
  fixedBase, makeTable, multiplyNumbers, multiPower, multiPowerWork, productOfNumbers, tableSize,
} from "./powers";

export function heapBase(): usize { return __heap_base; }
