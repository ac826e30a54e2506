/* What other authorities, voters and auditors hand to the mix-net. */
import fc from 'fast-check';
import type { Json } from '../../lib/json.ts';
import { encryptBallot, verifyBallot } from '../../lib/mixnet/ballots/ballot.ts';
import { fromMirror, parseByteTree, toMirror, treeOf } from '../../lib/mixnet/byte-tree/mirror.ts';
import { serialise } from '../../lib/mixnet/byte-tree/tree.ts';
import { encrypt } from '../../lib/mixnet/elgamal/ciphertexts.ts';
import { ProductCodec } from '../../lib/mixnet/elgamal/shape.ts';
import {
  type ExternalFormat,
  externalFormats,
  parseCiphertexts,
  parsePlaintexts,
  parsePublicKey,
  writeCiphertexts,
  writePublicKey,
} from '../../lib/mixnet/formats/external.ts';
import { publicKeyFromJson, publicKeyToJson } from '../../lib/mixnet/formats/public-key-json.ts';
import { groupByDescription, groupByMarshalled, groupByName } from '../../lib/mixnet/groups/registry.ts';
import { openShare, verifyComplaint } from '../../lib/mixnet/keys/complaint.ts';
import { checkDealing, deal } from '../../lib/mixnet/keys/dealing.ts';
import { createPartyKey, readPartyKey, readPartySecret } from '../../lib/mixnet/keys/party-key.ts';
import { Refusal } from '../../lib/mixnet/refusal.ts';
import {
  readLocalProtocolInfo,
  readProtocolInfo,
  writeProtocolInfo,
} from '../../lib/mixnet/session/protocol-info.ts';
import { verifyProofDirectory } from '../../lib/mixnet/verifier/proof-directory-verifier.ts';
import { makeParties } from '../mixnet/election.ts';
import { vectorInfo, vectorProof, vectorText } from '../mixnet/vectors.ts';
import { spoiled, spoiledJson, spoiledText } from './mutations.ts';
import { type AnyTarget, Misbehaviour, target } from './target.ts';

const refuses = (thrown: unknown): boolean => thrown instanceof Refusal;

const group = groupByName('P-256');
const codec = new ProductCodec(group, { width: 1, keyWidth: 1 });
const key = { y: [group.powerOfFixed(group.generator, group.ring.random(1))] };
const plain = group.powerOfFixed(group.generator, group.ring.random(2));
const list = encrypt(codec, key, [plain], [group.ring.random(2)]);
const session = { electionId: '1', sessionId: '0-a', group, key };
const ballot = encryptBallot([session], [group.powerOfFixed(group.generator, group.ring.random(1))]);

const parties = makeParties('P-256', 2, 2);
const dealt = deal(parties.context, 1, parties.secrets[0]!);
const checked = checkDealing(parties.context, 1, dealt.dealing, dealt.hash);
/** Of another party's key, so that the share does not open: an honest complaint about it. */
const stranger = makeParties('P-256', 2, 2, 'session1');
const complaint = openShare(parties.context, checked, 2, stranger.secrets[1]!);

const VECTOR = 'p256-k3t2-decrypt-n10';
const directory = vectorProof(VECTOR);
const info = vectorInfo(VECTOR);
const protInfo = vectorText(VECTOR, 'protInfo.xml');
const names = directory.list();
const trees = names
  .filter((name) => name.endsWith('.bt'))
  .map((name) => directory.read(name))
  .filter((bytes) => bytes.length < 4000);

const own = (value: unknown): Json => JSON.parse(JSON.stringify(value)) as Json;

export const mixnetTargets: readonly AnyTarget[] = [
  target({
    name: 'byte tree',
    inputs: spoiled(...trees),
    run(bytes) {
      const again = serialise(treeOf(parseByteTree(bytes)));
      if (!Buffer.from(again).equals(bytes)) throw new Misbehaviour('one tree has two forms');
    },
    refuses,
  }),
  target({
    name: 'mirror of a byte tree',
    inputs: spoiledJson(own(toMirror(parseByteTree(trees[0]!))), own(toMirror(parseByteTree(trees.at(-1)!)))),
    run: (value) => serialise(treeOf(fromMirror(value))),
    refuses,
  }),
  target({
    name: 'protInfo.xml',
    inputs: spoiledText(protInfo, writeProtocolInfo({ ...info, parties: [] })),
    run(text) {
      readProtocolInfo(text);
      const read = readLocalProtocolInfo(text);
      if (writeProtocolInfo(readProtocolInfo(writeProtocolInfo(read))) !== writeProtocolInfo(read))
        throw new Misbehaviour('it is not read as it is written');
    },
    refuses,
    cost: 4,
  }),
  target({
    name: 'ciphertexts',
    inputs: fc.oneof(
      ...externalFormats.map((format) =>
        spoiled(writeCiphertexts(codec, list, format)).map((bytes): [ExternalFormat, Uint8Array] => [
          format,
          bytes,
        ]),
      ),
    ),
    run([format, bytes]) {
      parseCiphertexts(codec, bytes, format);
    },
    refuses,
    cost: 4,
  }),
  target({
    name: 'plaintexts',
    inputs: fc.tuple(
      fc.constantFrom('raw' as const, 'json' as const),
      spoiled(serialise(codec.plaintexts([plain])), Buffer.from(`"${group.elementText(plain, 0)}"\n`)),
    ),
    run: ([format, bytes]) => parsePlaintexts(codec, bytes, format),
    refuses,
    cost: 4,
  }),
  target({
    name: 'public key',
    inputs: fc.oneof(
      ...externalFormats.map((format) =>
        spoiled(
          writePublicKey(group, key, format),
          writePublicKey(groupByName('modp-2048'), { y: [groupByName('modp-2048').generator] }, format),
        ).map((bytes): [ExternalFormat, Uint8Array] => [format, bytes]),
      ),
    ),
    run: ([format, bytes]) => parsePublicKey(bytes, format),
    refuses,
    cost: 10,
  }),
  target({
    name: 'public key as JSON',
    inputs: spoiledJson(
      own(publicKeyToJson(group, key)),
      own(publicKeyToJson(groupByName('modp-2048'), { y: [groupByName('modp-2048').generator] })),
    ),
    run: (value) => publicKeyFromJson(value),
    refuses,
    cost: 10,
  }),
  target({
    name: 'group',
    inputs: fc.oneof(
      spoiled(serialise(group.marshalled), serialise(groupByName('modp-2048').marshalled)),
      spoiled(Buffer.from('P-256'), Buffer.from(vectorText(VECTOR, 'protInfo.xml').slice(0, 3000))),
    ),
    run(bytes) {
      try {
        groupByDescription(Buffer.from(bytes).toString('latin1'));
      } catch (thrown) {
        if (!refuses(thrown)) throw thrown;
      }
      groupByMarshalled(bytes);
    },
    refuses,
    cost: 10,
  }),
  target({
    name: 'ballot',
    inputs: spoiledJson(own(ballot)),
    run: (value) => verifyBallot([session], value),
    refuses,
    cost: 10,
  }),
  target({
    name: 'key of a party',
    inputs: spoiledJson(own(parties.context.partyKeys[0])),
    run: (value) => readPartyKey(value, '42'),
    refuses,
    cost: 4,
  }),
  target({
    name: 'stored secret of a party',
    inputs: spoiledJson(own(createPartyKey('42').secret)),
    run(value) {
      const read = readPartySecret(value);
      if (read.version !== 1) throw new Misbehaviour('another version');
    },
    refuses,
  }),
  target({
    name: 'dealing',
    inputs: spoiledJson(own(dealt.dealing)),
    run: (value) => checkDealing(parties.context, 1, value, dealt.hash),
    refuses,
    cost: 10,
  }),
  target({
    name: 'complaint',
    inputs: spoiledJson(own(complaint.ok ? null : complaint.complaint)),
    run: (value) => verifyComplaint(parties.context, checked, 2, value),
    refuses,
    cost: 10,
  }),
  target({
    name: 'proof directory',
    inputs: fc
      .nat({ max: names.length - 1 })
      .chain((index) =>
        spoiled(directory.read(names[index]!)).map((bytes) => ({ name: names[index]!, bytes })),
      ),
    run({ name, bytes }) {
      const files = vectorProof(VECTOR);
      const same = Buffer.from(bytes).equals(directory.read(name));
      files.write(name, bytes);
      if (verifyProofDirectory(files, info).ok !== same)
        throw new Misbehaviour(`${name} was changed, and it is valid`);
    },
    refuses: () => false,
    cost: 100,
    most: 20_000,
  }),
];
