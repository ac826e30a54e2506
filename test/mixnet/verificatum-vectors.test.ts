import { expect } from 'chai';
import { readWhole } from '../../lib/mixnet/byte-tree/reader.ts';
import { combinePlaintexts, decryptionFactors } from '../../lib/mixnet/decryption/decryption-proof.ts';
import { readList, readPlaintextsFile } from '../../lib/mixnet/directory/records.ts';
import { readCiphertexts, sameCiphertexts } from '../../lib/mixnet/elgamal/ciphertexts.ts';
import {
  parseCiphertexts,
  parsePlaintexts,
  parsePublicKey,
  writeCiphertexts,
  writePlaintexts,
  writePublicKey,
} from '../../lib/mixnet/formats/external.ts';
import { type Scalars, sameVector } from '../../lib/mixnet/groups/vectors.ts';
import { fromHex, hex, toBigInt } from '../../lib/mixnet/octets.ts';
import { MixSession } from '../../lib/mixnet/session/session.ts';
import { verifyProofDirectory } from '../../lib/mixnet/verifier/proof-directory-verifier.ts';
import { refusalReason } from './refusals.ts';
import { recordedValues, vectorFile, vectorInfo, vectorNames, vectorProof, vectorText } from './vectors.ts';

const widthOf = (name: string): number => (name.includes('width2') ? 2 : 1);
const sessionOf = (name: string): MixSession => new MixSession(vectorInfo(name), { width: widthOf(name) });

for (const name of vectorNames) {
  describe(`Session recorded from Verificatum 3.1.0: ${name}`, () => {
    const shuffling = name.includes('shuffle');

    it('given the proof directory, when verified, then every step holds', () => {
      const result = verifyProofDirectory(vectorProof(name), vectorInfo(name), {
        expect: {
          ciphertexts: vectorFile(name, 'ciphertexts.raw'),
          ...(shuffling
            ? { shuffledCiphertexts: vectorFile(name, 'ciphertextsout.raw') }
            : { plaintexts: vectorFile(name, 'plaintexts.raw') }),
        },
      });
      expect(result.steps.filter((step) => !step.ok)).to.deep.equal([]);
      expect(result.ok).to.equal(true);
      expect(result.length).to.equal(Number(/n(\d+)(?:of\d+)?$/.exec(name)![1]));
    });

    it('given the same directory, when observed, then every intermediate value is the recorded one', () => {
      const found = new Map<string, string[]>();
      verifyProofDirectory(vectorProof(name), vectorInfo(name), {
        observe: (key, value) => found.set(key, [...(found.get(key) ?? []), value]),
      });
      const expected = new Map<string, string[]>();
      for (const [key, value] of recordedValues(name)) {
        expected.set(key, [...(expected.get(key) ?? []), value]);
      }
      expect(expected.size).to.be.greaterThan(15);
      for (const [key, values] of expected) {
        // the threshold is printed twice
        expect(found.get(key), key).to.deep.equal([...new Set(values)]);
      }
    });

    it('given the ciphertexts in each format, when parsed and written, then they are the same', () => {
      const { codec } = sessionOf(name);
      const list = parseCiphertexts(codec, vectorFile(name, 'ciphertexts.raw'), 'raw');
      const formats = name.startsWith('modp')
        ? (['native', 'seqjson', 'json'] as const)
        : (['native', 'seqjson'] as const);
      for (const format of formats) {
        const file = vectorFile(name, `ciphertexts.${format}`);
        expect(sameCiphertexts(parseCiphertexts(codec, file, format), list), format).to.equal(true);
        const written = Buffer.from(writeCiphertexts(codec, list, format)).toString();
        if (format === 'seqjson')
          expect(JSON.parse(written)).to.deep.equal(JSON.parse(Buffer.from(file).toString()));
        else expect(written).to.equal(Buffer.from(file).toString());
      }
      const json = writeCiphertexts(codec, list, 'json');
      expect(sameCiphertexts(parseCiphertexts(codec, json, 'json'), list)).to.equal(true);
    });

    it('given the public key in each format, when parsed and written, then it is the same', () => {
      const { group, key } = parsePublicKey(vectorFile(name, 'publicKey.raw'), 'raw');
      const formats = name.startsWith('modp')
        ? (['native', 'seqjson', 'json'] as const)
        : (['native', 'seqjson'] as const);
      expect(hex(writePublicKey(group, key, 'raw'))).to.equal(hex(vectorFile(name, 'publicKey.raw')));
      for (const format of formats) {
        const file = vectorFile(name, `publicKey.${format}`);
        const parsed = parsePublicKey(file, format);
        expect(sameVector(parsed.key.y[0]!, key.y[0]!), format).to.equal(true);
        const written = Buffer.from(writePublicKey(group, key, format)).toString();
        if (format !== 'seqjson') expect(written).to.equal(Buffer.from(file).toString().trim());
        else expect(JSON.parse(written)).to.deep.equal(JSON.parse(Buffer.from(file).toString()));
      }
      const json = writePublicKey(group, key, 'json');
      expect(sameVector(parsePublicKey(json, 'json').key.y[0]!, key.y[0]!)).to.equal(true);
    });

    if (shuffling) return;

    it('given the plaintexts, when decoded, then the messages are the recorded ones', () => {
      const { codec } = sessionOf(name);
      const plaintexts = parsePlaintexts(codec, vectorFile(name, 'plaintexts.raw'), 'raw');
      const native = Buffer.from(writePlaintexts(codec, plaintexts, 'native')).toString();
      expect(native).to.equal(vectorText(name, 'plaintexts.native'));
      const json = parsePlaintexts(codec, writePlaintexts(codec, plaintexts, 'json'), 'json');
      expect(json.every((v, c) => sameVector(v, plaintexts[c]!))).to.equal(true);
    });

    it('given the recorded key shares, when any t parties decrypt the last list, then the plaintexts come out', () => {
      const session = sessionOf(name);
      const { group, parties, threshold } = session;
      const files = vectorProof(name);
      const shares = (JSON.parse(vectorText(name, 'secretShares.json')) as { shares: Record<string, string> })
        .shares;
      const last = name.includes('decrypt') ? 'Ciphertexts.bt' : `proofs/Ciphertexts0${threshold}.bt`;
      const list = readList(session, files, last);
      const recorded = readPlaintextsFile(session, files, list.length);
      const share = (party: number): Scalars => group.ring.of(toBigInt(fromHex(shares[party]!)!));
      const factors = Array.from({ length: parties }, (_, i) =>
        decryptionFactors(session, list, [share(i + 1)]),
      );
      const sets =
        parties === 1
          ? [[1]]
          : [
              [1, 2],
              [1, 3],
              [2, 3],
              [1, 2, 3],
            ];
      for (const set of sets) {
        const plaintexts = combinePlaintexts(session, list, factors, set);
        expect(
          plaintexts.every((v, c) => sameVector(v, recorded[c]!)),
          set.join(),
        ).to.equal(true);
      }
      expect(refusalReason(() => combinePlaintexts(session, list, factors, []))).to.equal(
        'too-few-decryptors',
      );
    });
  });
}

describe('Lists of another shape', () => {
  it('given a list of width one, when read as one of width two, then it is refused', () => {
    const { codec } = sessionOf('p256-k1-width2-n6');
    const narrow = vectorFile('p256-k1-n10', 'ciphertexts.raw');
    const reason = refusalReason(() =>
      readWhole(narrow, 'list', (reader) => readCiphertexts(codec, reader, 'list')),
    );
    expect(reason).to.be.oneOf(['byte-tree-wrong-length', 'byte-tree-wrong-kind', 'element-not-canonical']);
  });
});
