/* Builds the console's page (`lib/console/web`) to `lib/console/assets`, from which the node serves it. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';

const CONSOLE = fileURLToPath(new URL('../lib/console', import.meta.url));

export async function buildConsole(outDir: string): Promise<void> {
  await build({
    configFile: false,
    root: join(CONSOLE, 'web'),
    base: '/',
    logLevel: 'warn',
    oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
    build: {
      outDir,
      emptyOutDir: true,
      assetsDir: 'assets',
      assetsInlineLimit: 0,
      modulePreload: { polyfill: false },
      target: ['es2024', 'chrome125', 'firefox128', 'safari17.5'],
    },
  });
}

if (import.meta.main) await buildConsole(join(CONSOLE, 'assets'));
