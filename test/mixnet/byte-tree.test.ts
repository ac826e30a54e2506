import { expect } from 'chai';
import fc from 'fast-check';
import {
  type ByteTree,
  defaultLimits,
  fromMirror,
  parseByteTree,
  toMirror,
  treeOf,
} from '../../lib/mixnet/byte-tree/mirror.ts';
import { ByteTreeReader, readWhole } from '../../lib/mixnet/byte-tree/reader.ts';
import {
  booleansLeaf,
  integerLeaf,
  intLeaf,
  leaf,
  node,
  serialise,
  textLeaf,
} from '../../lib/mixnet/byte-tree/tree.ts';
import { concatenate, hex, uint32 } from '../../lib/mixnet/octets.ts';
import { Refusal } from '../../lib/mixnet/refusal.ts';
import { refusalReason } from './refusals.ts';

const { tree } = fc.letrec<{ tree: ByteTree }>((tie) => ({
  tree: fc.oneof(
    { depthSize: 'small' },
    fc.uint8Array({ maxLength: 20 }),
    fc.array(tie('tree'), { maxLength: 5 }),
  ),
}));

const header = (tag: number, length: number): Uint8Array => {
  const bytes = new Uint8Array(5);
  bytes[0] = tag;
  new DataView(bytes.buffer).setUint32(1, length);
  return bytes;
};

describe('Byte trees', () => {
  it('given the example of the format, when written, then the octets are tag, length and content', () => {
    const tree = node(
      leaf(Uint8Array.of(255, 1)),
      node(),
      intLeaf(5),
      textLeaf('é'),
      booleansLeaf([true, false]),
    );
    expect(hex(serialise(tree))).to.equal(
      '0000000005' +
        '0100000002ff01' +
        '0000000000' +
        '010000000400000005' +
        '0100000002c3a9' +
        '01000000020100',
    );
    expect(hex(serialise(integerLeaf(255n)))).to.equal('010000000200ff');
    expect(hex(serialise(integerLeaf(127n)))).to.equal('01000000017f');
  });

  it('given any tree, when written and parsed, then it is the same, also through its JSON mirror', () => {
    fc.assert(
      fc.property(tree, (value) => {
        const bytes = serialise(treeOf(value));
        expect(parseByteTree(bytes)).to.deep.equal(value);
        expect(fromMirror(JSON.parse(JSON.stringify(toMirror(value))))).to.deep.equal(value);
      }),
    );
  });

  it('given any octets, when parsed, then they are refused or are the canonical form of what was parsed', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 60 }).map((bytes) => bytes.map((b, i) => (i % 5 === 0 ? b & 1 : b & 3))),
        (bytes) => {
          try {
            expect(hex(serialise(treeOf(parseByteTree(bytes))))).to.equal(hex(bytes));
          } catch (error) {
            expect(error).to.be.instanceOf(Refusal);
          }
        },
      ),
    );
  });

  it('given any tree with an octet missing or added, when parsed, then it is refused', () => {
    fc.assert(
      fc.property(tree, (value) => {
        const bytes = serialise(treeOf(value));
        expect(refusalReason(() => parseByteTree(bytes.subarray(0, -1)))).to.equal('byte-tree-truncated');
        expect(refusalReason(() => parseByteTree(concatenate(bytes, Uint8Array.of(0))))).to.equal(
          'byte-tree-trailing-bytes',
        );
      }),
    );
  });

  it('given hostile lengths, when parsed or read, then they are refused without allocation', () => {
    for (const length of [2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1]) {
      for (const tag of [0, 1]) {
        const reason = length >= 2 ** 31 ? 'byte-tree-too-large' : 'byte-tree-truncated';
        const bytes = header(tag, length);
        expect(refusalReason(() => parseByteTree(bytes))).to.equal(reason);
        const read = (): unknown =>
          tag === 0 ? new ByteTreeReader(bytes, 'x').node() : new ByteTreeReader(bytes, 'x').leaf();
        expect(refusalReason(read)).to.equal(reason);
      }
    }
  });

  it('given a million nested nodes, when parsed, then they are refused at the depth limit in bounded time', () => {
    const depth = 1_000_000;
    const bytes = new Uint8Array(5 * depth);
    for (let i = 0; i < depth; i++) bytes.set(header(0, i === depth - 1 ? 0 : 1), 5 * i);
    const start = performance.now();
    expect(refusalReason(() => parseByteTree(bytes))).to.equal('byte-tree-too-deep');
    const mirror = `${'['.repeat(5000)}${']'.repeat(5000)}`;
    expect(refusalReason(() => fromMirror(JSON.parse(mirror)))).to.equal('byte-tree-too-deep');
    expect(performance.now() - start).to.be.lessThan(500);
    const wide = { ...defaultLimits, trees: 10 };
    const many = serialise(node(...Array.from({ length: 20 }, () => node())));
    expect(refusalReason(() => parseByteTree(many, wide))).to.equal('byte-tree-too-large');
  });

  it('given a reader, when it meets another kind, length or encoding than expected, then it says so', () => {
    const read = (bytes: Uint8Array, use: (reader: ByteTreeReader) => unknown): string =>
      refusalReason(() => readWhole(bytes, 'x', use));
    const five = serialise(intLeaf(5));
    expect(read(five, (r) => r.node())).to.equal('byte-tree-wrong-kind');
    expect(read(five, (r) => r.leaf(3))).to.equal('byte-tree-wrong-length');
    expect(read(serialise(node(leaf(uint32(1)))), (r) => r.node(2))).to.equal('byte-tree-wrong-length');
    expect(read(header(2, 0), (r) => r.leaf())).to.equal('byte-tree-unknown-tag');
    expect(read(serialise(leaf(Uint8Array.of(2))), (r) => r.booleans())).to.equal('boolean-not-canonical');
    expect(read(serialise(leaf(Uint8Array.of(0xff, 0xff, 0xff, 0xff))), (r) => r.int())).to.equal(
      'text-not-canonical',
    );
    expect(read(serialise(leaf(Uint8Array.of(0xff))), (r) => r.text())).to.equal('text-not-canonical');
    expect(read(concatenate(five, five), (r) => r.leaf())).to.equal('byte-tree-trailing-bytes');
  });
});
