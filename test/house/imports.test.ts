/*
 * Dependencies point one way (D1), shown twice: every import of the sources as they are is resolved and held against
 * the table below; and the linter, which tells an author while writing, refuses one example of each forbidden direction.
 */
import { execFile } from 'node:child_process';
import { globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect } from 'chai';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const BELOW_NODE = ['engine', 'audit', 'protocol', 'store', 'mixnet'];
const PURE_PARSERS = ['json', 'certificate', 'wire-dates'].map((name) => `lib/protocol/${name}.ts`);

/** What a folder may import besides itself and, but for the mix-net, the files that lie in lib/ itself. */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  bin: ['cli'],
  cli: ['node', 'operator', 'tasks', 'console', ...BELOW_NODE],
  node: ['operator', 'tasks', 'console', ...BELOW_NODE],
  // What operators do, for console and commands: over the engine, and over what the elections tell of themselves.
  operator: ['tasks', ...BELOW_NODE],
  tasks: ['engine', 'audit', 'store', 'mixnet'],
  console: ['operator', 'engine', 'audit', 'store', 'protocol'],
  protocol: ['engine', 'audit', 'store'],
  store: ['engine', 'audit'],
  // Of each other: the engine's messages, and the shape of an entry.
  audit: ['engine'],
  engine: ['audit'],
  mixnet: [],
  migrations: [],
  lib: [],
  entry: ['cli', 'node', 'operator', 'tasks', 'console', ...BELOW_NODE],
};

interface Import {
  readonly from: string;
  readonly to: string;
  readonly typeOnly: boolean;
}

describe('import directions (D1)', () => {
  it('given all sources, when their imports are resolved, then each points the way it may', () => {
    const imports = sources().flatMap(importsOf);
    expect(imports.length).to.be.greaterThan(100);
    expect(
      imports.filter((found) => !isAllowed(found)).map(({ from, to }) => `${from} → ${to}`),
    ).to.deep.equal([]);
  });

  it('given all sources, when the folders are listed, then the table knows every one', () => {
    expect(new Set(sources().map(areaOf))).to.satisfy((areas: Set<string>) =>
      [...areas].every((area) => area in ALLOWED),
    );
  });

  it('given one forbidden import of each kind, when the linter sees them, then it refuses every one', async () => {
    const { refused, checked } = await lint(FORBIDDEN);
    expect(checked.filter((name) => !refused.includes(name))).to.deep.equal([]);
  });

  it('given one permitted import of each kind, when the linter sees them, then it refuses none', async () => {
    const { refused } = await lint(PERMITTED);
    expect(refused).to.deep.equal([]);
  });
});

/** Folder and specifier: what the linter must refuse. */
const FORBIDDEN: readonly (readonly [string, string])[] = [
  ...['bin', 'cli', 'node', 'console', 'protocol', 'store', 'mixnet'].map(outOf('lib/engine')),
  ...['bin', 'cli', 'node', 'console', 'protocol', 'store', 'mixnet'].map(outOf('lib/engine/rules')),
  ...['cli', 'node', 'console', 'protocol', 'engine', 'store'].map(outOf('lib/mixnet')),
  ...['cli', 'node', 'console', 'protocol', 'engine', 'store'].map(outOf('lib/mixnet/groups')),
  ...['cli', 'node', 'console', 'protocol', 'mixnet'].map(outOf('lib/store')),
  ...['cli', 'node', 'console', 'protocol', 'store', 'mixnet'].map(outOf('lib/audit')),
  ...['cli', 'node', 'console', 'mixnet'].map(outOf('lib/protocol')),
  ...['cli', 'node', 'mixnet'].map(outOf('lib/console')),
  ...['cli', 'node', 'console'].map(outOf('lib/operator')),
  ...['cli'].map(outOf('lib/node')),
  ...['engine', 'protocol', 'store', 'mixnet', '../tasks'].map((area) => ['lib', `./${area}/x.ts`] as const),
  ['lib/engine', '../../tasks/election/election.ts'],
  ['lib/mixnet', '../../tasks/election/election.ts'],
  ['lib/mixnet', '../errors.ts'],
  ['lib/mixnet/groups', '../../log.ts'],
  ['lib/protocol', '../../tasks/election/election.ts'],
  ['lib/store', '../../tasks/election/election.ts'],
  ['tasks/election', '../../lib/node/node.ts'],
  ['tasks/election', '../../lib/cli/main.ts'],
  ['tasks/election', '../../lib/protocol/sender.ts'],
  ['migrations', '../lib/errors.ts'],
  ['examples/hello-world', '../../lib/engine/engine.ts'],
  ...['express', 'undici', 'knex', 'pg', 'node:https', 'conclave'].map(
    (name) => ['lib/engine', name] as const,
  ),
  ...['express', 'undici', 'knex', 'pg', 'node:net', 'conclave/verifier'].map(
    (name) => ['lib/mixnet', name] as const,
  ),
  ...['express', 'undici', 'pg', 'node:tls'].map((name) => ['tasks/tally', name] as const),
];

const PERMITTED: readonly (readonly [string, string])[] = [
  ['lib/engine', '../errors.ts'],
  ['lib/engine/rules', '../model.ts'],
  ['lib/engine', 'zod'],
  ['lib/mixnet/kernel', '../groups/group.ts'],
  ['lib/mixnet/worker', 'node:worker_threads'],
  ['lib/protocol', '../engine/model.ts'],
  ['lib/protocol', '../store/peers.ts'],
  ['lib/store', '../engine/model.ts'],
  ['lib/store', '../audit/entries.ts'],
  ['lib/audit', '../engine/model.ts'],
  ['lib/engine', '../audit/entries.ts'],
  ['lib/store', 'pg'],
  ['lib/node', '../../tasks/election/election.ts'],
  ['lib/operator', '../../tasks/election/records.ts'],
  ['lib/console', '../operator/views.ts'],
  ['lib/cli', '../node/node.ts'],
  ['tasks/tally', '../election/election.ts'],
  ['tasks/election', '../../lib/engine/model.ts'],
  ['tasks/election', '../../lib/json.ts'],
  ['tasks/election', 'knex'],
  ['lib', './errors.ts'],
  ['examples/hello-world', 'conclave'],
];

function outOf(folder: string): (area: string) => readonly [string, string] {
  const lib = '../'.repeat(folder.split('/').length - 1);
  return (area) => [folder, `${area === 'bin' ? `${lib}../` : lib}${area}/x.ts`];
}

function sources(): string[] {
  return globSync(['bin/*.js', 'lib/**/*.ts', 'tasks/**/*.ts', 'migrations/*.ts'], {
    cwd: ROOT,
    // AssemblyScript, compiled on its own.
    exclude: ['lib/mixnet/kernel/assembly/**'],
  });
}

/** Static and dynamic imports, re-exports, and the files of worker threads. */
function importsOf(file: string): Import[] {
  const text = readFileSync(join(ROOT, file), 'utf8').replace(/^\s*(?:\/\/|\/?\*).*$/gm, '');
  const found: Import[] = [];
  const patterns = [
    /^(?:import|export)\s+(type\s)?(?:[^'";]*?\sfrom\s+)?['"](\.[^'"]*)['"]/gm,
    /\bimport\(\s*()['"`](\.[^'"`]*)['"`]/g,
    /new URL\(\s*()['"`](\.[^'"`]*\.ts)['"`]/g,
  ];
  for (const pattern of patterns) {
    for (const [, type, specifier] of text.matchAll(pattern)) {
      const to = relative(ROOT, resolve(ROOT, dirname(file), specifier!));
      found.push({ from: file, to, typeOnly: type !== undefined && type !== '' });
    }
  }
  return found;
}

function areaOf(file: string): string {
  const [first, second, ...rest] = file.split('/');
  if (first !== 'lib') return first!;
  if (rest.length > 0) return second!;
  return second === 'index.ts' ? 'entry' : 'lib';
}

function isAllowed({ from, to, typeOnly }: Import): boolean {
  const [here, there] = [areaOf(from), areaOf(to)];
  if (here === there) return true;
  if (there === 'lib') return here !== 'mixnet' && here !== 'migrations';
  if (here === 'tasks' && there === 'protocol') return typeOnly || PURE_PARSERS.includes(to);
  return ALLOWED[here]!.includes(there);
}

/** Writes each import into a file of its own, in folders named like ours, and lets the linter judge them. */
async function lint(imports: readonly (readonly [string, string])[]) {
  const folder = mkdtempSync(join(tmpdir(), 'conclave-imports-'));
  try {
    const configuration = JSON.parse(readFileSync(join(ROOT, 'biome.json'), 'utf8'));
    const standalone = { ...configuration, vcs: { enabled: false } };
    writeFileSync(join(folder, 'biome.json'), JSON.stringify(standalone));
    const names = new Map<string, string>();
    for (const [index, [area, specifier]] of imports.entries()) {
      const file = `${area}/import-${index}.ts`;
      names.set(file, `${area}: ${specifier}`);
      await mkdir(join(folder, area), { recursive: true });
      writeFileSync(join(folder, file), `import '${specifier}';\n`);
    }
    const { stdout } = await runLinter(folder);
    const judged = [...names].filter(([file]) => stdout.includes(`/${file},line=`));
    return { checked: [...names.values()], refused: judged.map(([, name]) => name) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function runLinter(folder: string): Promise<{ stdout: string }> {
  const biome = join(ROOT, 'node_modules/@biomejs/biome/bin/biome');
  const options = ['lint', '--only=style/noRestrictedImports', '--reporter=github', '--max-diagnostics=none'];
  try {
    return await promisify(execFile)(process.execPath, [biome, ...options], { cwd: folder });
  } catch (error) {
    // Exit code 1: something was refused. Anything else is no judgement.
    const { code, stdout } = error as { code?: unknown; stdout: string };
    if (code === 1) return { stdout };
    throw error;
  }
}
