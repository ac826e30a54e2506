import { expect } from 'chai';
import fc from 'fast-check';
import { JsonRefused, parseJson } from '../lib/json.ts';

const parse = (text: string, depth?: number) => parseJson(Buffer.from(text), depth);

describe('strict JSON', () => {
  it('given any JSON value, when its text is parsed, then the value comes back', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 6 }), (value) => {
        const text = JSON.stringify(value);
        expect(parse(text)).to.deep.equal(JSON.parse(text));
      }),
      { numRuns: 300 },
    );
  });

  const refused: [string, string | Uint8Array, RegExp][] = [
    ['bytes that are not UTF-8', Uint8Array.of(0x22, 0xff, 0x22), /UTF-8/],
    ['a lone continuation byte', Uint8Array.of(0x22, 0x80, 0x22), /UTF-8/],
    ['a byte order mark', Uint8Array.of(0xef, 0xbb, 0xbf, 0x31), /./],
    ['a key twice', '{"a":1,"b":{"a":2},"a":3}', /key "a" twice/],
    ['a key twice, once escaped', '{"a":1,"\\u0061":2}', /key "a" twice/],
    ['__proto__ twice', '{"__proto__":1,"__proto__":2}', /twice/],
    ['an integer beyond 2^53', '{"n":9007199254740993}', /would be changed/],
    ['a negative one', '[-9007199254740993]', /would be changed/],
    ['an integer that would come back with an exponent', '[1000000000000000000000]', /would be changed/],
    ['an integer of 400 digits', `[${'9'.repeat(400)}]`, /out of range/],
    ['a number beyond the doubles', '[1e400]', /out of range/],
    ['NaN', '{"a":NaN}', /./],
    ['a trailing comma', '[1,]', /./],
    ['two values', '{} {}', /./],
    ['a string that does not end', '{"a":"b', /does not end/],
    ['a string that ends in a backslash', '"\\', /./],
    ['a bad escape in a key', '{"\\x":1}', /./],
    ['closing brackets only', ']]]}', /./],
    ['a raw newline in a string', '"a\nb"', /./],
  ];
  for (const [what, text, reason] of refused) {
    it(`given ${what}, when it is parsed, then it is refused with the reason`, () => {
      const bytes = typeof text === 'string' ? Buffer.from(text) : text;
      expect(() => parseJson(bytes)).to.throw(JsonRefused, reason);
    });
  }

  it('given as many levels as allowed, when one more is added, then it is refused', () => {
    const nested = (levels: number) => '['.repeat(levels) + ']'.repeat(levels);
    expect(parse(nested(5), 5)).to.be.an('array');
    expect(() => parse(nested(6), 5)).to.throw(JsonRefused, /deeper than 5/);
    expect(() => parse('{"a":'.repeat(200_000))).to.throw(JsonRefused, /deeper/);
  });

  it('given brackets and quotes inside strings, when it is parsed, then they do not count', () => {
    const value = { '{"a"': '[[[[[[\\"}', b: ['"a":1,"a":2', '12345678901234567890'] };
    expect(parse(JSON.stringify(value), 2)).to.deep.equal(value);
  });

  it('given the largest safe integers, when they are parsed, then they are exact', () => {
    expect(parse('[9007199254740991,-9007199254740991,1e3,1.5]')).to.deep.equal([
      Number.MAX_SAFE_INTEGER,
      Number.MIN_SAFE_INTEGER,
      1000,
      1.5,
    ]);
  });

  it('given a key __proto__, when it is parsed, then it is an own property and no prototype changes', () => {
    const value = parse(
      '{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}',
    ) as object;
    expect(Object.getPrototypeOf(value)).to.equal(Object.prototype);
    expect(Object.hasOwn(value, '__proto__')).to.equal(true);
    expect({}).not.to.have.property('polluted');
    expect(value).not.to.have.property('polluted');
  });
});
