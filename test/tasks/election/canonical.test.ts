import { expect } from 'chai';
import fc from 'fast-check';

import {
  canonicalHash,
  canonicalJson,
  compactJson,
  compareCodePoints,
  publishedJson,
} from '../../../tasks/election/canonical.ts';

describe('canonical JSON', () => {
  it('given keys that JavaScript would reorder, then they are sorted by code point all the same', () => {
    // U+FF5E sorts after U+1F5F3 by UTF-16 units, before it by code points (as Python sorts).
    const value = { '10': 1, '9': 2, b: 3, B: 4, '\uff5e': 5, '🗳': 6 };
    expect(canonicalJson(value)).to.equal('{"10":1,"9":2,"B":4,"b":3,"\uff5e":5,"🗳":6}');
  });

  it('given any JSON, then its canonical form reads as the value and is stable', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const parsed = JSON.parse(JSON.stringify(value));
        expect(JSON.parse(compactJson(parsed))).to.deep.equal(parsed);
        expect(compactJson(JSON.parse(compactJson(parsed)))).to.equal(compactJson(parsed));
        expect(JSON.parse(publishedJson(parsed))).to.deep.equal(parsed);
      }),
    );
  });

  it('given a date deep inside, then it has the form in which an original peer gives it back', () => {
    expect(canonicalJson([{ a: '2030-01-01T00:00:00.5' }])).to.equal('[{"a":"2030-01-01T00:00:00.500000"}]');
    expect(compactJson([{ a: '2030-01-01T00:00:00.5' }])).to.equal('[{"a":"2030-01-01T00:00:00.5"}]');
  });

  it('given what JSON cannot hold, then it is an error and nothing is dropped', () => {
    for (const value of [
      Number.NaN,
      Number.POSITIVE_INFINITY,
      1n,
      () => 1,
      new Date(),
      new Map(),
      '\ud800',
      { '\ud800': 1 },
    ]) {
      expect(() => canonicalHash({ value })).to.throw(TypeError);
    }
  });

  it('given the published form, then indent is 4, keys are sorted, separators are `,` and `: ` (EO-39)', () => {
    expect(publishedJson({ b: [1, { c: 'ñ"\u0007' }], a: {}, d: [] })).to.equal(
      '{\n    "a": {},\n    "b": [\n        1,\n        {\n            "c": "ñ\\"\\u0007"\n        }\n    ],\n    "d": []\n}',
    );
  });

  it('given any two strings, then their order is that of their code points', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (left, right) => {
        const byBytes = Buffer.compare(Buffer.from(left), Buffer.from(right));
        expect(Math.sign(compareCodePoints(left, right))).to.equal(byBytes);
      }),
    );
  });
});
