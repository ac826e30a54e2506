import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';

const root = join(import.meta.dirname, '..', '..');

describe('docs/elections.md', () => {
  it('given the tests that it names, then each of them exists', async () => {
    const text = await readFile(join(root, 'docs', 'elections.md'), 'utf8');
    const table = text.slice(text.indexOf('| the original | here | test |'));
    const named = table
      .split('\n')
      .slice(2)
      .filter((line) => line.startsWith('|'))
      .map((line) => line.split('|')[3]!.trim());
    expect(named.length).to.be.greaterThan(15);
    const files = (await readdir(join(root, 'test'), { recursive: true })).filter((name) =>
      name.endsWith('.test.ts'),
    );
    const sources = (await Promise.all(files.map((name) => readFile(join(root, 'test', name), 'utf8')))).join(
      '\n',
    );
    for (const name of named) expect(sources.includes(`it('${name}`), name).to.equal(true);
  });

  it('given the codes of errors that it names, then each has the status that it says', async () => {
    const { ERROR_CODES } = await import('../../lib/errors.ts');
    const text = await readFile(join(root, 'docs', 'elections.md'), 'utf8');
    const rows = [...text.matchAll(/^\| (`[a-z_`, ]+) \| ([\d, ]+) \|/gm)];
    expect(rows.length).to.be.greaterThan(8);
    for (const [, codes, statuses] of rows) {
      const each = [...codes!.matchAll(/`([a-z_]+)`/g)].map(([, code]) => code!);
      const status = statuses!.split(',').map(Number);
      expect(each.map((code) => ERROR_CODES[code as keyof typeof ERROR_CODES]?.status)).to.deep.equal(status);
    }
  });
});
