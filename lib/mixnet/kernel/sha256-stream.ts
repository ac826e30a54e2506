/**
 * `SHA-256(s || 0) || SHA-256(s || 1) || …` for a seed of 32 octets, many blocks at a time: what most of a session's
 * pseudo-random octets are (VF 6). Only for this form of input; all other hashing is OpenSSL's.
 */
import { Arena, loadModule } from './wasm-module.ts';

type Sha256Exports = Readonly<{
  memory: WebAssembly.Memory;
  heapBase(): number;
  digests(out: number, seed: number, counter: number, quads: number): void;
}>;

const BLOCK = 32;
const BLOCKS_AT_A_TIME = 4096;

let instance: { exports: Sha256Exports; arena: Arena } | undefined;

function loaded(): { exports: Sha256Exports; arena: Arena } {
  if (instance === undefined) {
    const exports = new WebAssembly.Instance(loadModule('sha256')).exports as unknown as Sha256Exports;
    instance = { exports, arena: new Arena(exports.memory, exports.heapBase()) };
  }
  return instance;
}

/** Blocks `counter` to `counter + blocks - 1`. */
export function sha256Blocks(seed: Uint8Array, counter: number, blocks: number): Uint8Array {
  if (seed.length !== BLOCK) throw new RangeError(`a seed of ${seed.length} octets`);
  const { exports, arena } = loaded();
  const out = new Uint8Array(blocks * BLOCK);
  for (let from = 0; from < blocks; from += BLOCKS_AT_A_TIME) {
    const count = Math.min(BLOCKS_AT_A_TIME, blocks - from);
    arena.reset();
    const at = arena.put(seed);
    const digests = arena.take(BLOCKS_AT_A_TIME * BLOCK);
    exports.digests(digests, at, counter + from, Math.ceil(count / 4));
    out.set(arena.view(digests, count * BLOCK), from * BLOCK);
  }
  return out;
}
