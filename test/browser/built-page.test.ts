import { globSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { buildConsole } from '../../scripts/build-console.ts';

const ASSETS = fileURLToPath(new URL('../../lib/console/assets/', import.meta.url));

function filesOf(folder: string): Record<string, string> {
  const names = globSync('**/*.*', { cwd: folder }).sort();
  return Object.fromEntries(names.map((name) => [name, readFileSync(join(folder, name), 'latin1')]));
}

describe("the console's built page", function () {
  this.timeout(60_000);
  let folder: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'conclave-console-'));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  it('given its sources, when they are built, then every byte is as committed (else: npm run build:console)', async () => {
    await buildConsole(folder);
    const [built, committed] = [filesOf(folder), filesOf(ASSETS)];
    expect(Object.keys(built)).to.deep.equal(Object.keys(committed));
    for (const [name, text] of Object.entries(built)) expect(text === committed[name], name).to.equal(true);
    expect(built['index.html']).to.not.match(/<style|<script(?![^>]* src=)|style=|https?:/);
  });
});
