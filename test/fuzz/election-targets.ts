/* What managers, voters and auditors hand to the workflows: requests, votes, archives, hashes. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { ConclaveError } from '../../lib/errors.ts';
import type { Json } from '../../lib/json.ts';
import { parseVoteLine, REFUSAL_REASONS } from '../../tasks/election/ballot.ts';
import {
  integerOfPlaintext,
  plaintextOfInteger,
  QuestionCodec,
} from '../../tasks/election/ballot-encoding.ts';
import { canonicalJson, publishedJson } from '../../tasks/election/canonical.ts';
import { GROUP_CAPACITY } from '../../tasks/election/election.ts';
import { parseDigest, parseNiUri } from '../../tasks/election/hash.ts';
import { parseElectionRequest, requestHash } from '../../tasks/election/request.ts';
import { parseTallyRequest, tallyRequestHash } from '../../tasks/election/tally-request.ts';
import { extractTarball } from '../../tasks/election/tar-extract.ts';
import {
  ArchiveRefused,
  BLOCK,
  paddingOf,
  readHeader,
  writeHeader,
} from '../../tasks/election/tar-format.ts';
import { newerRequest, olderRequest } from '../tasks/election/requests.ts';
import { spoiled, spoiledJson, spoiledText } from './mutations.ts';
import { type AnyTarget, Misbehaviour, target } from './target.ts';

const invalid = (thrown: unknown): boolean =>
  thrown instanceof ConclaveError && thrown.code === 'invalid_request';

const TALLY = {
  election_id: 7,
  callback_url: 'https://manager.example.org/callback',
  votes_url: 'https://manager.example.org/votes',
  votes_hash: 'ni:///sha-256;f4OxZX_x_FO5LcGBSKHWXfwtSx-j1ncoSt3SABJtkGk=',
};
const POINT = `04${'ab'.repeat(64)}`;
const LINE = JSON.stringify({
  choices: [{ alpha: POINT, beta: POINT }],
  proofs: [{ commitment: POINT, challenge: '4', response: '5' }],
});
const [question] = parseElectionRequest(newerRequest()).questions;
const encoder = new QuestionCodec(question!, GROUP_CAPACITY['P-256']);
const plaintext = encoder.encode({ answers: [1], writeIns: [] });

function archive(): Buffer {
  const file = (name: string, text: string): Buffer[] => [
    writeHeader({ name, type: 'file', size: text.length }),
    Buffer.from(text),
    Buffer.alloc(paddingOf(text.length)),
  ];
  const session = writeHeader({ name: '0-a', type: 'directory', size: 0 });
  return Buffer.concat([
    session,
    ...file('0-a/one', 'text'),
    ...file('0-a/two', 'x'),
    Buffer.alloc(2 * BLOCK),
  ]);
}

const LIMITS = { maxArchiveBytes: 1 << 16, maxTotalBytes: 1 << 20, maxFileBytes: 1 << 18, maxEntries: 20 };

export const electionTargets: readonly AnyTarget[] = [
  target({
    name: 'election request',
    inputs: spoiledJson(newerRequest() as Json, olderRequest() as Json),
    run(value) {
      const request = parseElectionRequest(value);
      // What was accepted is read again as itself: authorities hash what they normalised themselves.
      if (requestHash(parseElectionRequest(request)) !== requestHash(request))
        throw new Misbehaviour('it has two hashes');
    },
    refuses: invalid,
    cost: 6,
  }),
  target({
    name: 'tally request',
    inputs: spoiledJson(TALLY),
    run: (value) => tallyRequestHash(parseTallyRequest(value)),
    refuses: invalid,
  }),
  target({
    name: 'canonical JSON',
    inputs: spoiledJson(TALLY, newerRequest() as Json),
    run(value) {
      const text = canonicalJson(value);
      if (canonicalJson(JSON.parse(text)) !== text) throw new Misbehaviour('it is not stable');
      publishedJson(value);
    },
    refuses: (thrown) => thrown instanceof TypeError || thrown instanceof RangeError,
  }),
  target({
    name: 'line of the votes',
    inputs: fc.tuple(
      spoiled(
        Buffer.from(LINE),
        Buffer.from(`${LINE}|voter`),
        Buffer.from(`"${LINE.replaceAll('"', '""')}"|"v"`),
      ),
      fc.constantFrom('P-256' as const, 'modp-2048' as const),
    ),
    run([line, group]) {
      const read = parseVoteLine(line, group, 1);
      if ('refusal' in read && !Object.hasOwn(REFUSAL_REASONS, read.refusal.reason))
        throw new Misbehaviour('an unknown reason');
    },
    refuses: () => false,
  }),
  target({
    name: 'plaintext of a vote',
    inputs: fc.oneof(spoiled(plaintext), fc.bigInt({ min: 0n, max: 1n << 256n }).map(plaintextOfInteger)),
    run(bytes) {
      encoder.decode(bytes);
      integerOfPlaintext(bytes);
    },
    refuses: () => false,
  }),
  target({
    name: 'hash of votes',
    inputs: spoiledText(TALLY.votes_hash, TALLY.votes_hash.slice(14)),
    run(text) {
      const [one, other] = [parseNiUri(text), parseDigest(text)];
      for (const digest of [one, other])
        if (digest !== undefined && digest.length !== 32)
          throw new Misbehaviour('a digest of another length');
    },
    refuses: () => false,
  }),
  target({
    name: 'tar header',
    inputs: spoiled(writeHeader({ name: 'dir/file', type: 'file', size: 7 })).map((bytes) => {
      const header = Buffer.alloc(BLOCK);
      header.set(bytes.subarray(0, BLOCK));
      // With the right checksum, or nothing else would be reached.
      header.fill(' ', 148, 156);
      const sum = header.reduce((total, octet) => total + octet, 0);
      header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
      return header;
    }),
    run(header) {
      const entry = readHeader(header);
      if (entry !== undefined && (entry.name.startsWith('/') || entry.name.split('/').includes('..')))
        throw new Misbehaviour(`it may be written to ${entry.name}`);
    },
    refuses: (thrown) => thrown instanceof ArchiveRefused,
  }),
  target({
    name: 'tar archive',
    inputs: fc.oneof(
      spoiled(archive()).map((bytes) => gzipSync(bytes)),
      spoiled(gzipSync(archive())),
    ),
    async run(bytes) {
      const folder = mkdtempSync(join(tmpdir(), 'conclave-fuzz-'));
      try {
        await extractTarball(Readable.from([bytes]), join(folder, 'out'), { limits: LIMITS }).catch(
          (thrown: unknown) => {
            if (!(thrown instanceof ArchiveRefused)) throw thrown;
          },
        );
        const beside = readdirSync(folder).filter((name) => name !== 'out');
        if (beside.length > 0) throw new Misbehaviour(`it wrote ${beside.join(', ')}`);
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    },
    refuses: () => false,
    cost: 30,
  }),
];
