/**
 * Hash functions, the heuristic pseudo-random generator and the random oracles built from them (VF 6).
 */
import { createHash, hash as hashOnce } from 'node:crypto';
import type { Tree } from '../byte-tree/tree.ts';
import { sha256Blocks } from '../kernel/sha256-stream.ts';
import { concatenate, uint32 } from '../octets.ts';
import { Refusal } from '../refusal.ts';

export const hashNames = ['SHA-256', 'SHA-384', 'SHA-512'] as const;
export type HashName = (typeof hashNames)[number];

export function hashNameOf(text: string, field: string): HashName {
  const found = hashNames.find((name) => name === text);
  if (found === undefined) {
    throw new Refusal('protinfo-unsupported', `${field} must be one of ${hashNames.join(', ')}`);
  }
  return found;
}

const nodeName = { 'SHA-256': 'sha256', 'SHA-384': 'sha384', 'SHA-512': 'sha512' } as const;

export const hashLength = (hash: HashName): number => ({ 'SHA-256': 32, 'SHA-384': 48, 'SHA-512': 64 })[hash];

export function hashOctets(hash: HashName, ...parts: readonly Uint8Array[]): Uint8Array {
  const digest = createHash(nodeName[hash]);
  for (const part of parts) digest.update(part);
  return new Uint8Array(digest.digest());
}

/** Hash of `prefix || serialise(tree)`, streamed. */
export function hashTree(hash: HashName, prefix: readonly Uint8Array[], tree: Tree): Uint8Array {
  const digest = createHash(nodeName[hash]);
  for (const part of prefix) digest.update(part);
  tree({ write: (bytes) => digest.update(bytes) });
  return new Uint8Array(digest.digest());
}

/** Blocks that a stream makes at once, so that long reads need no second copy of what they read. */
const blocksAtATime = 4096;

/** `Hash(s || 0) || Hash(s || 1) || …`; octets not taken by one read are kept for the next. */
export class PseudoRandomStream {
  readonly #hash: HashName;
  /** The seed with room for the counter. */
  readonly #input: Uint8Array;
  readonly #view: DataView;
  #counter = 0;
  #block: Uint8Array = new Uint8Array(0);
  #used = 0;

  constructor(hash: HashName, seed: Uint8Array) {
    const length = hashLength(hash);
    if (seed.length < length) throw new RangeError(`a ${hash} generator needs a seed of ${length} octets`);
    this.#hash = hash;
    this.#input = concatenate(foldSeed(seed, length), uint32(0));
    this.#view = new DataView(this.#input.buffer, length);
  }

  read(length: number): Uint8Array {
    const out = new Uint8Array(length);
    for (let at = 0; at < length; ) {
      if (this.#used === this.#block.length) this.#nextBlocks(length - at);
      const take = Math.min(length - at, this.#block.length - this.#used);
      out.set(this.#block.subarray(this.#used, this.#used + take), at);
      this.#used += take;
      at += take;
    }
    return out;
  }

  /** One block, or as many whole ones as `wanted` octets begin. */
  #nextBlocks(wanted: number): void {
    this.#used = 0;
    if (this.#hash === 'SHA-256') {
      const blocks = Math.min(blocksAtATime, Math.ceil(wanted / 32));
      this.#block = sha256Blocks(this.#input.subarray(0, 32), this.#counter, blocks);
      this.#counter += blocks;
      return;
    }
    this.#view.setInt32(0, this.#counter++);
    this.#block = hashOnce(nodeName[this.#hash], this.#input, 'buffer');
  }

  /** `count` consecutive integers of `bits` bits, each in `ceil(bits / 8)` octets with the excess top bits cleared. */
  readIntegers(count: number, bits: number): Uint8Array {
    const width = Math.ceil(bits / 8);
    const out = this.read(count * width);
    const mask = 0xff >>> (8 * width - bits);
    for (let at = 0; at < out.length; at += width) out[at]! &= mask;
    return out;
  }
}

/** Longer seeds are xor-folded circularly into the output length of the hash function. */
function foldSeed(seed: Uint8Array, length: number): Uint8Array {
  const out = seed.slice(0, length);
  for (let i = length; i < seed.length; i++) out[i % length]! ^= seed[i]!;
  return out;
}

/** `RO_n`: `bits` output bits, right aligned in `ceil(bits / 8)` octets. `prefix` and `tree` are what is asked. */
export function randomOracle(hash: HashName, bits: number, prefix: Uint8Array, tree: Tree): Uint8Array {
  const seed = hashTree(hash, [uint32(bits), prefix], tree);
  return new PseudoRandomStream(hash, seed).readIntegers(1, bits);
}
