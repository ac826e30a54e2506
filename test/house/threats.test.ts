import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';

const ROOT = join(import.meta.dirname, '..', '..');

/** By id: the tests that a threat names, as file and part of a title. */
async function threats(): Promise<Map<string, { file: string; title: string }[]>> {
  const page = await readFile(join(ROOT, 'docs/threat-model.md'), 'utf8');
  const found = new Map<string, { file: string; title: string }[]>();
  for (const row of page.split('\n')) {
    const [, id] = /^\| (TM-\d+) \|/.exec(row) ?? [];
    if (id === undefined) continue;
    expect(found.has(id), `${id} stands twice`).to.equal(false);
    const cell = row.split(' | ').at(-1)!;
    const named: { file: string; title: string }[] = [];
    let file = '';
    for (const [, path, title] of cell.matchAll(/`([^`]+)`|"([^"]+)"/g)) {
      if (path !== undefined) file = path;
      else named.push({ file, title: title! });
    }
    found.set(id, named);
  }
  return found;
}

/** The titles of a file's tests; not what else it says. */
async function titlesOf(file: string): Promise<string[]> {
  const text = await readFile(join(ROOT, file), 'utf8');
  const calls = text.matchAll(/^\s*it\(\s*(?:'((?:[^'\\\n]|\\.)*)'|"([^"\n]*)"|`([^`\n]*)`)/gm);
  return [...calls].map(([, single, double, template]) => single ?? double ?? template!);
}

describe('the threat model', () => {
  it('given every threat, when its tests are looked up, then each names one, and each of them exists', async () => {
    const all = await threats();
    expect(all.size).to.be.greaterThan(20);
    for (const [id, tests] of all) {
      expect(tests, `${id} names no test`).not.to.deep.equal([]);
      for (const { file, title } of tests)
        expect(
          (await titlesOf(file)).filter((each) => each.includes(title)),
          `${id}: ${file}: ${title}`,
        ).not.to.deep.equal([]);
    }
  });

  it('given the tests, when they cite threats, then these exist', async () => {
    const all = await threats();
    const names = await readdir(join(ROOT, 'test'), { recursive: true });
    for (const name of names.filter((each) => each.endsWith('.ts'))) {
      const text = await readFile(join(ROOT, 'test', name), 'utf8');
      for (const [id] of text.matchAll(/\bTM-\d+\b/g)) expect([...all.keys()], name).to.include(id);
    }
  });
});

/** Jitter of retries only: what an outsider can foretell of it is of no use. */
const MAY_BE_FORETOLD = [
  'lib/engine/chance.ts',
  'lib/protocol/sender.ts',
  'lib/console/web/live/event-stream.ts',
];

describe('randomness', () => {
  it('given the sources, when Math.random is looked for, then only the jitter of retries uses it', async () => {
    const using: string[] = [];
    for (const folder of ['lib', 'tasks', 'bin']) {
      for (const name of await readdir(join(ROOT, folder), { recursive: true })) {
        // What was built from the page's sources is no source.
        if (!/\.(?:ts|js)$/.test(name) || name.startsWith('console/assets/')) continue;
        const text = await readFile(join(ROOT, folder, name), 'utf8');
        if (text.includes('Math.random')) using.push(`${folder}/${name}`);
      }
    }
    expect(using.filter((file) => !MAY_BE_FORETOLD.includes(file))).to.deep.equal([]);
  });
});
