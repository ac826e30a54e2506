/*
 * `npm pack` and `npm publish` run this before and after: in a checkout the package's entries are the sources, in the
 * published package they are what was built from them. npm has no field for that, so package.json differs meanwhile.
 */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build, ROOT } from './build.ts';

const MANIFEST = join(ROOT, 'package.json');
/** The checkout's manifest while the published one takes its place; not below what is published. */
const ASIDE = join(ROOT, 'package.json.checkout');

interface Manifest {
  readonly exports: Readonly<Record<string, string>>;
  readonly [field: string]: unknown;
}

/** The manifest of the published package. */
export function published(manifest: Manifest): Record<string, unknown> {
  const { devDependencies: _, allowScripts: __, scripts: ___, ...kept } = manifest;
  const entries = Object.entries(manifest.exports).map(([name, source]) => [name, entry(source)]);
  return { ...kept, exports: Object.fromEntries(entries) };
}

function entry(source: string): string | { types: string; default: string } {
  if (!source.endsWith('.ts')) return source;
  const built = source.replace('./', './dist/').slice(0, -'.ts'.length);
  return { types: `${built}.d.ts`, default: `${built}.js` };
}

function before(): void {
  restore();
  build();
  const text = readFileSync(MANIFEST, 'utf8');
  writeFileSync(ASIDE, text);
  writeFileSync(MANIFEST, `${JSON.stringify(published(JSON.parse(text)), null, 2)}\n`);
}

/** Also after a run that was interrupted. */
function restore(): void {
  if (existsSync(ASIDE)) renameSync(ASIDE, MANIFEST);
}

if (import.meta.main) {
  const step = process.argv[2];
  if (step === 'before') before();
  else if (step === 'after') restore();
  else throw new Error('usage: node scripts/pack.ts before|after');
}
