import { expect } from 'chai';
import { command } from '../support/command.ts';

describe('conclave prune', () => {
  it('given no age, or none of at least a day, then it is refused before anything is opened', async () => {
    const without = await command('prune', '--settings', '/nonexistent/conclave.json');
    expect([without.code, without.notes]).to.satisfy(
      ([code, err]: [number, string]) => code === 2 && err.includes('--days'),
    );
    const none = await command('prune', '--days', '0', '--settings', '/nonexistent/conclave.json');
    expect([none.code, none.notes.includes('at least 1')]).to.deep.equal([2, true]);
  });
});
