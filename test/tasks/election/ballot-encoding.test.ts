import { expect } from 'chai';
import fc from 'fast-check';

import {
  type Choice,
  fitsCapacity,
  INVALID_REASONS,
  type InvalidReason,
  integerOfPlaintext,
  plaintextOfInteger,
  QuestionCodec,
} from '../../../tasks/election/ballot-encoding.ts';
import { GROUP_CAPACITY, type Question } from '../../../tasks/election/election.ts';
import { question } from './requests.ts';

const P256 = GROUP_CAPACITY['P-256'];

/** Every selection that a question allows, by brute force: the oracle of the numbering. */
function everySelection({ answers, min, max }: Question, ranked: boolean): number[][] {
  const all: number[][] = [];
  const grow = (selection: number[]): void => {
    if (selection.length >= min) all.push(selection);
    if (selection.length === max) return;
    for (const { id } of answers) {
      const fits = ranked ? !selection.includes(id) : selection.every((chosen) => chosen < id);
      if (fits) grow([...selection, id]);
    }
  };
  grow([]);
  return all;
}

function reasonFor(codec: QuestionCodec, plaintext: Uint8Array): InvalidReason | undefined {
  const decoded = codec.decode(plaintext);
  return decoded.valid ? undefined : decoded.reason;
}

const ranked = { tally_type: 'borda' } as const;

describe('the encoding of a vote', () => {
  for (const [name, changes] of [
    ['a set', {}],
    ['a ranking', ranked],
  ] as const) {
    it(`given ${name}, then each selection has one number, and the numbers have no gaps`, () => {
      for (const [answers, min, max] of [
        [1, 0, 1],
        [2, 1, 1],
        [5, 0, 5],
        [6, 2, 4],
        [7, 3, 3],
      ] as const) {
        const asked = question(answers, { ...changes, min, max });
        const codec = new QuestionCodec(asked, P256);
        const selections = everySelection(asked, name === 'a ranking');
        expect(codec.selections).to.equal(BigInt(selections.length));
        const texts = selections.map((selection) => {
          const bytes = codec.encode({ answers: selection, writeIns: [] });
          expect(codec.decode(bytes)).to.deep.equal({
            valid: true,
            choice: { answers: selection, writeIns: [] },
          });
          return Buffer.from(bytes).toString();
        });
        expect(new Set(texts).size).to.equal(selections.length);
      }
    });
  }

  it('given any bytes, then they are one choice whose encoding they are, or invalid with a reason', () => {
    const asked = question(9, { ...ranked, min: 0, max: 4 }, [7, 8]);
    const codec = new QuestionCodec(asked, P256);
    const likely = fc
      .tuple(
        fc.stringMatching(/^[!-~]{2}$/),
        fc.array(fc.string({ unit: 'grapheme', maxLength: 5 }), { maxLength: 3 }),
      )
      .map(([digits, texts]) => Buffer.from(`1${[digits, ...texts].join('\t')}`));
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 40 }), likely), (bytes) => {
        const decoded = codec.decode(bytes);
        if (decoded.valid)
          expect(Buffer.from(codec.encode(decoded.choice))).to.deep.equal(Buffer.from(bytes));
        else expect(INVALID_REASONS).to.have.property(decoded.reason);
      }),
      { numRuns: 2000 },
    );
  });

  it('given any allowed choice with write-ins, then it comes back', () => {
    const asked = question(12, { ...ranked, min: 0, max: 5 }, [3, 10]);
    const codec = new QuestionCodec(asked, GROUP_CAPACITY['modp-2048']);
    const text = fc.stringMatching(/^[A-Za-zñé中]{1,20}$/);
    const choices = fc.tuple(fc.shuffledSubarray([...Array(12).keys()], { maxLength: 5 }), text, text);
    fc.assert(
      fc.property(choices, ([answers, one, two]) => {
        const texts: Record<number, string> = { 3: one.normalize('NFC'), 10: `${two.normalize('NFC')} 2` };
        const writeIns = answers.filter((id) => id in texts).map((id) => ({ id, text: texts[id]! }));
        const choice: Choice = { answers, writeIns };
        expect(codec.decode(codec.encode(choice))).to.deep.equal({ valid: true, choice });
      }),
    );
  });

  it('given a set in any order, then it has the same bytes; given a ranking, then it has others', () => {
    const set = new QuestionCodec(question(5, { max: 3 }), P256);
    const order = new QuestionCodec(question(5, { ...ranked, max: 3 }), P256);
    const encode = (codec: QuestionCodec, answers: number[]): string =>
      Buffer.from(codec.encode({ answers, writeIns: [] })).toString();
    expect(encode(set, [4, 0, 2])).to.equal(encode(set, [0, 2, 4]));
    expect(encode(order, [4, 0, 2])).to.not.equal(encode(order, [0, 2, 4]));
  });

  it('given any vote, then its plaintext is one line of text, so that other programs can print it', () => {
    const codec = new QuestionCodec(question(200, { max: 20, min: 1 }, [199]), P256);
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat(198), { minLength: 1, maxLength: 20 }), (answers) => {
        expect(Buffer.from(codec.encode({ answers, writeIns: [] })).toString('latin1')).to.match(/^[!-~]+$/);
      }),
    );
  });

  it('given any vote, then the integer of its plaintext stands for exactly it', () => {
    const codec = new QuestionCodec(question(5, { max: 3 }), P256);
    const [bytes, blank] = [
      codec.encode({ answers: [1, 4], writeIns: [] }),
      codec.encode({ answers: [], writeIns: [] }),
    ];
    expect(plaintextOfInteger(integerOfPlaintext(bytes))).to.deep.equal(bytes);
    expect(integerOfPlaintext(bytes)).to.not.equal(integerOfPlaintext(blank));
    expect(plaintextOfInteger(0n)).to.have.lengthOf(0);
    expect(plaintextOfInteger(0x1ffn)).to.deep.equal(Uint8Array.of(1, 0xff));
    expect(() => plaintextOfInteger(-1n)).to.throw(RangeError);
  });

  it('given write-ins that mean the same, then they have the same bytes (NFC, spaces)', () => {
    const codec = new QuestionCodec(question(2, { min: 1 }, [1]), P256);
    const bytes = (text: string): Buffer =>
      Buffer.from(codec.encode({ answers: [1], writeIns: [{ id: 1, text }] }));
    expect(bytes('  Jose\u0301 \t Díaz ')).to.deep.equal(bytes('José Díaz'));
  });

  describe('given what is no encoding, then it is invalid, with the reason', () => {
    const codec = new QuestionCodec(question(3, { min: 0, max: 2 }, [1, 2]), P256);
    const writeIn = Buffer.from(codec.encode({ answers: [1], writeIns: [{ id: 1, text: 'Zoe' }] }));
    const both = Buffer.from(
      codec.encode({
        answers: [1, 2],
        writeIns: [
          { id: 1, text: 'a' },
          { id: 2, text: 'b' },
        ],
      }),
    );
    const plain = Buffer.from(codec.encode({ answers: [0], writeIns: [] }));
    const cases: [InvalidReason, Uint8Array][] = [
      ['empty', new Uint8Array()],
      ['unknown_version', Buffer.from('2!')],
      ['wrong_length', Buffer.from('1')],
      ['wrong_length', Buffer.concat([plain, Buffer.from('!')])],
      ['wrong_length', Buffer.concat([plain, Buffer.alloc(3)])],
      ['too_long', Buffer.concat([writeIn, Buffer.alloc(P256, 'x')])],
      ['bad_digit', Buffer.from('1 ')],
      ['bad_digit', Buffer.from([0x31, 0x7f])],
      ['bad_digit', Buffer.from([0x31, 0xff])],
      ['no_such_selection', Buffer.from('1~')],
      ['write_in_missing', writeIn.subarray(0, 2)],
      ['write_in_missing', both.subarray(0, -2)],
      ['write_in_unexpected', Buffer.concat([plain, Buffer.from('\tx')])],
      ['write_in_unexpected', Buffer.concat([both, Buffer.from('\tx')])],
      ['not_text', Buffer.concat([writeIn, Buffer.from([0xc3])])],
      ['not_text', Buffer.concat([writeIn, Buffer.from([0xed, 0xa0, 0x80])])],
      ['write_in_not_canonical', writeIn.subarray(0, 3)],
      ['write_in_not_canonical', Buffer.concat([writeIn, Buffer.from(' ')])],
      ['write_in_not_canonical', Buffer.concat([writeIn, Buffer.from('e\u0301')])],
      ['write_in_not_canonical', Buffer.concat([writeIn, Buffer.from('\u202e')])],
      ['write_in_not_canonical', Buffer.concat([writeIn, Buffer.from('\u001b[0m')])],
      ['write_in_not_canonical', Buffer.concat([writeIn, Buffer.from('\n')])],
      ['write_in_repeated', Buffer.concat([both.subarray(0, -1), Buffer.from('a')])],
    ];
    for (const [at, [reason, bytes]] of cases.entries()) {
      it(`${reason} (${at})`, () => {
        expect(reasonFor(codec, bytes)).to.equal(reason);
      });
    }
  });

  describe('given a choice that the question does not allow, then encoding it is refused with what to change', () => {
    const codec = new QuestionCodec(question(4, { min: 1, max: 2 }, [3]), P256);
    const cases: [string, Choice][] = [
      ['choose 1 to 2', { answers: [], writeIns: [] }],
      ['choose 1 to 2', { answers: [0, 1, 2], writeIns: [] }],
      ['chosen twice', { answers: [1, 1], writeIns: [] }],
      ['no answer 4', { answers: [4], writeIns: [] }],
      ['no answer -1', { answers: [-1], writeIns: [] }],
      ['has no text', { answers: [3], writeIns: [] }],
      ['no chosen write-in', { answers: [0], writeIns: [{ id: 3, text: 'x' }] }],
      [
        'two texts',
        {
          answers: [3],
          writeIns: [
            { id: 3, text: 'x' },
            { id: 3, text: 'y' },
          ],
        },
      ],
      ['is empty', { answers: [3], writeIns: [{ id: 3, text: ' ' }] }],
      ['invisible', { answers: [3], writeIns: [{ id: 3, text: 'a\u200bb' }] }],
      ['shorten the text', { answers: [3], writeIns: [{ id: 3, text: 'x'.repeat(30) }] }],
    ];
    for (const [message, choice] of cases) {
      it(`${message}: ${JSON.stringify(choice).slice(0, 60)}`, () => {
        expect(() => codec.encode(choice)).to.throw(RangeError, message);
      });
    }
  });

  describe('the capacity of a group', () => {
    it('given 176 answers of which any may be chosen, then they fit into P-256; given 177, then they do not', () => {
      expect(fitsCapacity(question(176, { max: 176 }), P256)).to.equal(undefined);
      expect(fitsCapacity(question(177, { max: 177 }), P256)).to.include('larger group');
      expect(fitsCapacity(question(177, { max: 177 }), GROUP_CAPACITY['modp-2048'])).to.equal(undefined);
    });

    it('given a question that fits, then its largest selection is encoded within the capacity', () => {
      const asked = question(40, { ...ranked, max: 33 });
      expect(fitsCapacity(asked, P256)).to.equal(undefined);
      const answers = [...Array(40).keys()].reverse().slice(0, 33);
      expect(new QuestionCodec(asked, P256).encode({ answers, writeIns: [] })).to.have.lengthOf.at.most(P256);
      expect(fitsCapacity(question(45, { ...ranked, max: 45 }), P256)).to.be.a('string');
    });

    it('given write-ins without room for a name, then that is said', () => {
      expect(fitsCapacity(question(4, { max: 2 }, [2, 3]), P256)).to.equal(undefined);
      expect(fitsCapacity(question(6, { max: 4 }, [2, 3, 4, 5]), P256)).to.include('4 write-in(s)');
    });

    it('given a thousand answers in any order, then it is refused at once', () => {
      expect(fitsCapacity(question(1000, { ...ranked, max: 1000 }), 379)).to.include('larger group');
      expect(() => new QuestionCodec(question(1000, { ...ranked, max: 1000 }), 379)).to.throw(
        RangeError,
        'larger group',
      );
    });
  });
});
