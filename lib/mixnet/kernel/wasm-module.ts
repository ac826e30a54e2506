/**
 * Loads a compiled module of the kernel and hands out its memory: results that must stay (tables) from the bottom,
 * everything else from above them, forgotten at the next operation. A module's memory grows to what its largest unit of
 * work needs and no further, whatever the number of elements.
 */
import { readFileSync } from 'node:fs';

const PAGE = 65536;

/** Compiles `<name>.wasm`, which lies beside this file. */
export function loadModule(name: 'p256' | 'generic' | 'modp' | 'sha256'): WebAssembly.Module {
  return new WebAssembly.Module(readFileSync(new URL(`./${name}.wasm`, import.meta.url)));
}

/** An instance's linear memory, handed out in 16-octet aligned pieces. */
export class Arena {
  readonly #memory: WebAssembly.Memory;
  readonly #bottom: number;
  #kept: number;
  #top: number;

  constructor(memory: WebAssembly.Memory, bottom: number) {
    this.#memory = memory;
    this.#bottom = aligned(bottom);
    this.#kept = this.#bottom;
    this.#top = this.#bottom;
  }

  /** Room of `size` octets until the next `reset`; its content is arbitrary. */
  take(size: number): number {
    const at = this.#top;
    this.#top = aligned(at + size);
    this.#grow();
    return at;
  }

  /** Forgets everything that is not kept. */
  reset(): void {
    this.#top = this.#kept;
  }

  /** Room that stays until `forget`. Call it right after `reset` only. */
  keep(size: number): number {
    if (this.#top !== this.#kept) throw new Error('memory to keep must be taken before any other');
    const at = this.take(size);
    this.#kept = this.#top;
    return at;
  }

  /** How many octets are kept. */
  get kept(): number {
    return this.#kept - this.#bottom;
  }

  /** Forgets what was kept, too. */
  forget(): void {
    this.#kept = this.#bottom;
    this.#top = this.#bottom;
  }

  /** A view; growing the memory detaches it, so take all room before asking for it. */
  view(at: number, length: number): Uint8Array {
    return new Uint8Array(this.#memory.buffer, at, length);
  }

  /** Copies octets in and returns where they are. */
  put(octets: Uint8Array): number {
    const at = this.take(octets.length);
    this.view(at, octets.length).set(octets);
    return at;
  }

  #grow(): void {
    const missing = this.#top - this.#memory.buffer.byteLength;
    if (missing > 0) this.#memory.grow(Math.ceil(missing / PAGE));
  }
}

function aligned(n: number): number {
  return Math.ceil(n / 16) * 16;
}
