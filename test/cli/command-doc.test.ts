import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { commandsDocument } from '../../lib/cli/command-doc.ts';

describe('the page on the command line', () => {
  it('given the commands, when their page is made, then docs/command-line.md is current', () => {
    const page = readFileSync(new URL('../../docs/command-line.md', import.meta.url), 'utf8');
    expect(page, 'run: node lib/cli/command-doc.ts > docs/command-line.md').to.equal(commandsDocument());
  });
});
