/**
 * Turns the sources in `assembly/` into a WebAssembly module, in memory. Some of the sources are written by a program:
 * the compiler is handed them under the names that the others import.
 */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { main } from 'assemblyscript/asc';
import { p256ConstantsSource, p256ProductsSource } from './p256-field.ts';
import { p256OrderSource } from './p256-order.ts';

type Sources = Readonly<Record<string, () => string>>;

/** Each module's written sources; its entry is `<name>/index.ts`. */
const written = {
  p256: {
    'p256/products.ts': p256ProductsSource,
    'p256/constants.ts': p256ConstantsSource,
    'modulus.ts': p256OrderSource,
  },
  generic: { 'modulus.ts': () => 'export * from "./generic/modulus";\n' },
  modp: {},
  sha256: {},
} as const satisfies Record<string, Sources>;

export type ModuleName = keyof typeof written;

export const moduleNames = Object.keys(written) as ModuleName[];

const OPTIONS = ['-O3', '--runtime', 'stub', '--enable', 'simd', '--noAssert', '--use', 'abort='];

/** The module's octets; an error with the compiler's messages if it does not compile. */
export async function compileModule(name: ModuleName): Promise<Uint8Array> {
  const base = fileURLToPath(new URL('../assembly/', import.meta.url));
  const sources: Sources = written[name];
  let module: Uint8Array | undefined;
  const { error, stderr } = await main([`${name}/index.ts`, '--outFile', 'module.wasm', ...OPTIONS], {
    readFile: async (file: string) => {
      const source = sources[file];
      if (source !== undefined) return source();
      return await readFile(`${base}${file}`, 'utf8').catch(() => null);
    },
    writeFile: (_file: string, contents: Uint8Array | string) => {
      if (typeof contents !== 'string') module = contents;
    },
    listFiles: () => [],
  });
  if (error !== null || module === undefined) {
    throw new Error(`${name} does not compile: ${error?.message ?? 'no output'}\n${stderr.toString()}`);
  }
  return module;
}
