/** The part of the WebAssembly interface that the kernel uses: TypeScript has it in its DOM library only. */
declare namespace WebAssembly {
  class Module {
    constructor(octets: Uint8Array);
  }
  class Memory {
    readonly buffer: ArrayBuffer;
    grow(pages: number): number;
  }
  class Instance {
    readonly exports: Record<string, unknown>;
    constructor(module: Module, imports?: Record<string, never>);
  }
}
