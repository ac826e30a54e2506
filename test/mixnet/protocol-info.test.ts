import { expect } from 'chai';
import { hex } from '../../lib/mixnet/octets.ts';
import { newProtocolInfo } from '../../lib/mixnet/session/new-protocol-info.ts';
import {
  mergeProtocolInfo,
  type ProtocolInfo,
  readLocalProtocolInfo,
  readProtocolInfo,
  writeProtocolInfo,
} from '../../lib/mixnet/session/protocol-info.ts';
import { MixSession } from '../../lib/mixnet/session/session.ts';
import { refusalReason } from './refusals.ts';
import { vectorInfo, vectorNames, vectorText } from './vectors.ts';

const parties = ['Alpha', 'Beta', 'Gamma'].map((name) => ({
  name,
  url: `https://${name.toLowerCase()}.example:5000`,
}));
const info = newProtocolInfo({
  sid: 'Election42',
  name: 'Test election',
  group: 'P-256',
  threshold: 2,
  parties,
});

describe('protInfo.xml', () => {
  for (const name of vectorNames) {
    it(`given the file of ${name}, when read and written, then reading again gives the same values`, () => {
      const read = vectorInfo(name);
      expect(read.sid).to.equal('MyDemo');
      expect(read.parties).to.have.length(read.nopart);
      expect(readProtocolInfo(writeProtocolInfo(read))).to.deep.equal(read);
    });
  }

  it('given our own information, when written and read, then it is the same', () => {
    expect(readProtocolInfo(writeProtocolInfo(info))).to.deep.equal(info);
  });

  it('given local files of all parties, when merged, then the result is that of one writer', () => {
    const locals = parties.map((party) => {
      const local = newProtocolInfo({
        sid: 'Election42',
        name: 'Test election',
        group: 'P-256',
        threshold: 2,
        parties: [party],
        partyCount: 3,
      });
      return readLocalProtocolInfo(writeProtocolInfo(local));
    });
    expect(mergeProtocolInfo(locals)).to.deep.equal(info);
    expect(refusalReason(() => mergeProtocolInfo(locals.slice(1)))).to.equal('protinfo-malformed');
    const other = [locals[0]!, { ...locals[1]!, statdist: 50 }, locals[2]!];
    expect(refusalReason(() => mergeProtocolInfo(other))).to.equal('parameters-mismatch');
    expect(refusalReason(() => mergeProtocolInfo([locals[0]!, locals[0]!, locals[2]!]))).to.equal(
      'protinfo-malformed',
    );
    expect(refusalReason(() => readLocalProtocolInfo(writeProtocolInfo(info)))).to.equal(
      'protinfo-malformed',
    );
  });

  it('given the parameters of the recorded sessions, when rho is computed, then it is the recorded one', () => {
    expect(hex(new MixSession(vectorInfo('p256-k1-n10')).rho)).to.equal(
      '93735233130915162640564d02defe15975323234e0a7eec90ae3aefa26ff112',
    );
  });

  const source = vectorText('p256-k1-n10', 'protInfo.xml');
  const hostile: [string, string, string][] = [
    ['a document type', `<!DOCTYPE protocol [<!ENTITY a "b">]>${source}`, 'protinfo-malformed'],
    ['an unknown entity', source.replace('MyDemo', '&secret;'), 'protinfo-malformed'],
    ['a character reference', source.replace('MyDemo', '&#77;yDemo'), 'protinfo-malformed'],
    ['an attribute', source.replace('<sid>', '<sid a="b">'), 'protinfo-malformed'],
    ['a processing instruction', source.replace('<sid>', '<?php ?><sid>'), 'protinfo-malformed'],
    ['a CDATA section', source.replace('MyDemo', '<![CDATA[MyDemo]]>'), 'protinfo-malformed'],
    ['an element left open', source.replace('</sid>', ''), 'protinfo-malformed'],
    [
      'elements in another order',
      source.replace(/<sid>MyDemo<\/sid>([\s\S]*?)(<name>[^<]*<\/name>)/, '$2$1<sid>MyDemo</sid>'),
      'protinfo-malformed',
    ],
    ['two documents', `${source}${source}`, 'protinfo-malformed'],
    ['text after the document', `${source}x`, 'protinfo-malformed'],
    ['a sid of one letter', source.replace('MyDemo', 'M'), 'protinfo-malformed'],
    [
      'a threshold above the number of parties',
      source.replace('<thres>1<', '<thres>2<'),
      'protinfo-malformed',
    ],
    ['another number of parties', source.replace('<nopart>1<', '<nopart>2<'), 'protinfo-malformed'],
    ['a number with a leading zero', source.replace('<nopart>1<', '<nopart>01<'), 'protinfo-malformed'],
    ['too few challenge bits', source.replace('<vbitlenro>256<', '<vbitlenro>128<'), 'protinfo-malformed'],
    ['another version', source.replace('<version>3.1.0<', '<version>3.0.4<'), 'version-mismatch'],
    ['an unknown hash function', source.replace('<rohash>SHA-256<', '<rohash>MD5<'), 'protinfo-malformed'],
    ['interactive proofs', source.replace('<corr>non', '<corr>'), 'protinfo-unsupported'],
    ['too many characters', `${source}${' '.repeat(1_000_000)}`, 'protinfo-malformed'],
    ['endless nesting', '<protocol>'.repeat(10_000), 'protinfo-malformed'],
    ['nothing', '', 'protinfo-malformed'],
  ];
  for (const [what, text, reason] of hostile) {
    it(`given ${what}, when read, then it is refused`, () => {
      expect(text).not.to.equal(source);
      expect(refusalReason(() => readProtocolInfo(text))).to.equal(reason);
    });
  }

  it('given values that break the schema, when written, then they are refused', () => {
    const bad: Partial<ProtocolInfo>[] = [{ sid: '1' }, { name: '<x>' }, { width: 0 }, { nopart: 25 }];
    for (const change of bad) {
      expect(refusalReason(() => writeProtocolInfo({ ...info, ...change }))).to.equal('protinfo-malformed');
    }
  });
});
