import { expect } from 'chai';
import { verificationSections } from '../../lib/mixnet/verifier/sections.ts';
import { tallySectionOf, tallySections } from '../../tasks/tally/verification-sections.ts';
import { describedSteps } from '../support/specification.ts';

describe('sections of a tally’s verification', () => {
  it('given the specification, when read, then it describes every step under its number, and no other', () => {
    const described = [...describedSteps()];
    const known = [...verificationSections, ...tallySections].map((id, i) => [i + 1, id]);
    expect(described.toSorted(([one], [other]) => one - other)).to.deep.equal(known);
  });

  it('given ids of steps, when their section is asked, then it is that of the name without question and party', () => {
    expect(['announced', '0-abc/key', '0-abc/shuffle-12', 'results'].map(tallySectionOf)).to.deep.equal([
      17, 22, 9, 29,
    ]);
    expect(() => tallySectionOf('0-abc/unheard')).to.throw('no section describes');
  });
});
