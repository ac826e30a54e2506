import { readFile } from 'node:fs/promises';
import { expect } from 'chai';
import { withTransitions } from '../../lib/engine/transitions-doc.ts';

describe('engine: its documentation', () => {
  it('the transition tables in docs/engine.md are those of the code (D3)', async () => {
    const written = await readFile(new URL('../../docs/engine.md', import.meta.url), 'utf8');
    const renewed = withTransitions(written);
    expect(written, 'run: node lib/engine/transitions-doc.ts docs/engine.md').to.equal(renewed);
    expect(renewed).to.contain('| finish_external | finished | the decision is its output |');
  });

  it('every defect of 1A.7 in test/engine/README.md names tests that exist', async () => {
    const table = await readFile(new URL('./README.md', import.meta.url), 'utf8');
    const rows = table.split('\n').filter((line) => /^\| (?!defect|-)/.test(line));
    expect(rows.length).to.be.greaterThan(15);
    for (const line of rows) {
      const [, file, title] = /`([^`]+\.test\.ts)`: (.+?) \|$/.exec(line) ?? [];
      expect(file, line).to.be.a('string');
      const source = await readFile(new URL(`../${file}`, import.meta.url), 'utf8');
      expect(source, line).to.contain(title);
    }
  });
});
