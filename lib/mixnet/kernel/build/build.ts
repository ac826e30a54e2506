/**
 * Compiles the kernel's AssemblyScript sources into the WebAssembly modules that are committed beside them, so that an
 * installation needs no compiler: `node lib/mixnet/kernel/build/build.ts`. A test rebuilds them and compares octets.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { compileModule, moduleNames } from './compile.ts';

for (const name of moduleNames) {
  const path = fileURLToPath(new URL(`../${name}.wasm`, import.meta.url));
  const module = await compileModule(name);
  writeFileSync(path, module);
  process.stdout.write(`${path}: ${readFileSync(path).length} octets\n`);
}
